/** The page: which regions there are, and which of them a phone shows. */

import { start } from "../actions.js";
import { startAgain } from "../device.js";
import { hasFiles, take } from "../drag.js";
import { html, useEffect, useLayoutEffect, useRef } from "../html.js";
import { PHONE, usePhone } from "../phone.js";
import { taskKey } from "../route.js";
import { runningCount, store } from "../store.js";
import { T } from "../text.js";
import { useStore } from "../use-store.js";
import { Banner, DrainingBanner, EndedBanner, EndingBanner, useLeft } from "./banner.js";
import { Composer } from "./composer.js";
import { Detail } from "./detail.js";
import { Dialog } from "./dialog.js";
import { Icon, IconSheet } from "./icons.js";
import { OwnerMessage } from "./message.js";
import { Network } from "./network.js";
import { Start } from "./start.js";
import { Device, Swarm } from "./swarm.js";
import { TaskList } from "./tasklist.js";
import { IdLine, Topbar } from "./topbar.js";
import { Workspace } from "./workspace.js";

const VIEWS = [["tasks", "tasks"], ["files", "dir"], ["swarm", "swarm"]];

function TabBar({ view }) {
  const now = view === "task" ? "tasks" : view;
  return html`<nav class="tabbar" aria-label=${T.page.sections}>
    ${VIEWS.map(([name, icon]) => html`<a key=${name} href=${`#${name}`} class=${name === now ? "on" : ""}
      aria-current=${name === now ? "page" : undefined}><${Icon} name=${icon} />${T.page.views[name]}</a>`)}
  </nav>`;
}

function Notice() {
  const notice = useStore((state) => state.notice);
  if (!notice) return null;
  return html`<div class="notice" role="alert"><${Icon} name="warn" /><p class="grow">${notice}</p>
    <button class="ib" type="button" aria-label=${T.dismiss} title=${T.dismiss}
      onClick=${() => store.set({ notice: null })}><${Icon} name="x" /></button></div>`;
}

// Wherever a file is dropped, it is meant for here: else the browser would leave the page and open it.
function useDropAnywhere() {
  useEffect(() => {
    const over = (event) => hasFiles(event) && event.preventDefault();
    addEventListener("dragover", over);
    addEventListener("drop", take);
    return () => {
      removeEventListener("dragover", over);
      removeEventListener("drop", take);
    };
  }, []);
}

const scrolled = {};

// A phone's views share one page: each keeps its own place. On wider screens a link to a section scrolls to it.
function useViewScroll(view, place) {
  useLayoutEffect(() => {
    if (place && PHONE.matches) document.getElementById(`pane-${place}`)?.scrollIntoView();
    else if (PHONE.matches) scrollTo(0, view === "task" ? 0 : scrolled[view] ?? 0);
    else if (view === "files" || view === "swarm") {
      document.getElementById(`pane-${view}`)?.scrollIntoView({ block: "nearest" });
    }
    return () => {
      scrolled[view] = window.scrollY;
    };
  }, [view, place]);
}

function Title() {
  const running = useStore((state) => (state.dash ? runningCount(state) : 0));
  const lost = useStore((state) => state.connection.lost);
  const expired = useStore((state) => state.expired);
  const left = useLeft();
  const words = expired ? T.ending.overTitle : left ? T.ending.title(left) : T.page.title(running, lost);
  useEffect(() => {
    document.title = `${words}${T.dot}${T.product}`;
  }, [words]);
  return null;
}

function Ready() {
  const hasTasks = useStore((state) => state.tasks.size > 0 || state.more);
  const lost = useStore((state) => state.connection.lost);
  const said = useStore((state) => state.said);
  const expiring = useStore((state) => state.expiresAt > 0);
  const expired = useStore((state) => state.expired);
  const draining = useStore((state) => state.dash.swarm_health.draining);
  const view = useStore((state) => {
    const { view: asked, key } = state.route;
    const selected = state.tasks.get(state.selectedId);
    return asked === "task" && (!selected || taskKey(selected) !== key) ? "tasks" : asked;
  });
  const place = useStore((state) => state.route.place);
  const phone = usePhone();
  const railOnly = phone && (view === "files" || view === "swarm");
  useDropAnywhere();
  useViewScroll(view, place);
  return html`<div class="page" data-view=${view}>
    <a class="skip" href="#pane-tasks">${T.page.skip}</a>
    <${Topbar} ready heading=${hasTasks} />
    ${expired ? html`<${EndedBanner} />` : lost ? html`<${Banner} />` : expiring && html`<${EndingBanner} />`}
    ${draining && !lost && html`<${DrainingBanner} />`}
    <${OwnerMessage} />
    <${IdLine} />
    <div class="app">
      <main class="main">
        <${Composer} />
        <${Notice} />
        ${hasTasks ? html`<div class="work"><${TaskList} /><${Detail} /></div>` : html`<${Start} />`}
      </main>
      <div class="rail" role=${railOnly ? "main" : "complementary"} aria-label=${T.page.rail}>
        <${Workspace} /><${Network} /><${Swarm} />${phone && html`<${Device} />`}
      </div>
    </div>
    <${TabBar} view=${view} />
    <p class="sr" role="status" id="said">${said}</p>
    <${Title} />
    <${Dialog} />
  </div>`;
}

function Waiting() {
  const { phase, error, retries } = useStore(({ phase, error, retries }) => ({ phase, error, retries }));
  return html`<div class="page"><${Topbar} ready=${false} />
    <main class="lone" aria-busy=${phase === "loading"}>
      ${phase === "loading"
        ? html`<p role="status">${T.page.loading}</p>`
        : html`<div role="alert"><h1>${T.page.failed}</h1><p>${error}${retries && ` ${T.page.again}`}</p></div>
          <button class="btn btn--lg" type="button" onClick=${() => start()}>
            <${Icon} name="retry" />${T.tryAgain}</button>`}
    </main></div>`;
}

function Gone() {
  const why = useStore((state) => state.gone);
  const [title, words] = T.device.gone[why];
  const button = useRef(null);
  useEffect(() => {
    document.title = `${title}${T.dot}${T.product}`;
    button.current.focus();
  }, []);
  return html`<div class="page"><${Topbar} ready=${false} />
    <main class="lone"><div role="alert"><h1>${title}</h1><p>${words}</p></div>
      <button class="btn btn--lg" type="button" ref=${button} onClick=${startAgain}>
        ${why === "cookies" ? T.tryAgain : T.device.anew}</button>
    </main></div>`;
}

/** Everything. */
export function App() {
  const phase = useStore((state) => state.phase);
  const page = phase === "ready" ? Ready : phase === "gone" ? Gone : Waiting;
  return html`<${IconSheet} /><${page} />`;
}
