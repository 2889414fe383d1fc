/** The whole admin page: the login, or the bar, the sections and the one that is shown. */

import { Brand, Icon, IconSheet } from "../components/icons.js";
import { clock } from "../format.js";
import { healthOf } from "../health.js";
import { html, useEffect, useRef } from "../html.js";
import { toggleTheme } from "../theme.js";
import { useStore } from "../use-store.js";
import { ask, logout } from "./actions.js";
import { Dialog, LoginForm } from "./dialog.js";
import { Health } from "./health.js";
import { Audit, Connections } from "./logs.js";
import { Head, Problem } from "./parts.js";
import { Queue } from "./queue.js";
import { Sessions } from "./sessions.js";
import { Settings } from "./settings.js";
import { admin, SECTIONS } from "./store.js";
import { Told } from "./tell.js";
import { A } from "./text.js";

const VIEWS = { sessions: Sessions, queue: Queue, health: Health, settings: Settings, audit: Audit, connections: Connections };
const WORRIES = { CAUTION: "queued", FAIL: "failed" };

function Swarm() {
  const seen = useStore((state) => state.seen, admin);
  const lostSince = useStore((state) => (state.lost ? state.seenAt : 0), admin);
  const { icon, cls, short, rest } = healthOf(seen, lostSince);
  return html`<span class="vr"></span><span class=${`health ${cls}`}><${Icon} name=${icon} /><span>${short}
    <span class="w2">${rest}</span></span></span>`;
}

function Bar({ open }) {
  const lost = useStore((state) => state.lost, admin);
  const [word, title] = lost ? A.lost : A.polling;
  return html`<header class="topbar">
    <a class="brand" href="/admin"><${Brand} /><span>${A.product}</span></a><span class="tag">${A.tag}</span>
    ${open && html`<${Swarm} />`}
    <div class="topbar-end">
      ${open && html`<span class="who"><span><span class="w">${A.signedIn[0]}</span><b>${A.signedIn[1]}</b></span></span>
        <span class="vr"></span>
        <span class=${`state pill ${lost ? "state--queued" : "state--cancelled"}`} role="status" title=${title}>
          <${Icon} name=${lost ? "retry" : "queued"} />${word}</span>`}
      <button class="ib ib--lg phone-hide" type="button" onClick=${toggleTheme} aria-label=${A.theme}
        title=${A.theme}><${Icon} name="moon" /></button>
      ${open && html`<button class="btn phone-hide" type="button" onClick=${logout}>${A.logout}</button>`}
      <a class="btn btn--icon" href="/" aria-label=${A.dashboard} title=${A.dashboard}><span
        class="phone-only"><${Icon} name="tasks" /></span><span class="phone-hide">${A.dashboard}</span></a>
    </div>
  </header>`;
}

/** @param {any} seen @param {string} name of a section @returns what stands beside its name: a count, or a worry */
function mark(seen, name) {
  if (name === "sessions") return html` <span class="dim num">${seen.live_sessions}</span>`;
  if (name === "queue") return html` <span class="dim num">${seen.running + seen.queued}</span>`;
  if (name !== "health" || !WORRIES[seen.doctor]) return null;
  return html` <span class=${`state state--${WORRIES[seen.doctor]}`}><${Icon} name="warn" /><span
    class="sr">${A.health.verdicts[seen.doctor]}</span></span>`;
}

function Nav() {
  const section = useStore((state) => state.section, admin);
  const seen = useStore((state) => state.seen, admin);
  const bar = useRef(null);
  useEffect(() => {
    bar.current.querySelector("[aria-current]").scrollIntoView({ block: "nearest", inline: "nearest" });
  }, [section]);
  return html`<nav class="sections" aria-label=${A.nav} ref=${bar}><ul>${SECTIONS.map(
    (name) => html`<li key=${name}><a href=${`#${name}`} aria-current=${name === section ? "page" : undefined}>${
      A.sections[name]}${mark(seen, name)}</a></li>`)}</ul></nav>`;
}

function Page() {
  const { lost, seenAt, seen, section, asked, said } = useStore(
    (state) => ({
      lost: state.lost, seenAt: state.seenAt, seen: state.seen, section: state.section, asked: !!state.dialog || state.over,
      said: state.said,
    }),
    admin,
  );
  useEffect(() => {
    document.title = A.title(A.sections[section]);
  }, [section]);
  const sub = section === "sessions" ? A.summary(seen)
    : section === "settings" ? A.settings.lead("settings.toml") : A[section].lead ?? A.summary(seen);
  return html`<${Nav} /><main class=${lost ? "admin is-stale" : "admin"} id="main" tabindex="-1">
    <${Head} title=${A[section].heading} sub=${sub}>${section === "sessions" && html`<button class="btn btn--lg"
      type="button" onClick=${() => ask("tell", { message: seen.message })}><${Icon} name="pen" />${A.tell.button}</button>`}<//>
    ${lost && html`<p class="notice notice--stale" role="alert"><${Icon} name="warn" />${A.stale(clock(seenAt))}</p>`}
    ${seen.draining && html`<p class="told" role="status"><${Icon} name="queued" />${A.draining}</p>`}
    ${!asked && html`<${Problem} />`}
    <${Told} />
    <${VIEWS[section]} />
    <p class="foot phone-only"><button class="btn" type="button" onClick=${toggleTheme}>${A.theme}</button>
      <button class="btn" type="button" onClick=${logout}>${A.logout}</button></p>
    <p class="sr" role="status">${said}</p>
  </main>`;
}

/** What stands in the page. */
export function App() {
  const view = useStore((state) => (state.view === "open" && !state.seen ? "opening" : state.view), admin);
  // One element, in the place of the one that stands in the page before anything runs.
  return html`<div><${IconSheet} />${view === "open" && html`<a class="skip" href="#main" onClick=${skip}>${A.skip}</a>`}
    <${Bar} open=${view === "open"} />
    ${view === "open" && html`<${Page} />`}
    ${view === "login" && html`<main class="login"><${LoginForm} lead=${A.login.lead} /></main>`}
    ${view === "opening" && html`<main class="lone"><p role="status">${A.opening}</p></main>`}
    <${Dialog} /></div>`;
}

// The address names a section: it stays.
function skip(event) {
  event.preventDefault();
  document.getElementById("main").focus();
}
