/** The pane of the selected task: what it is, how far it is, and its log, outputs and details. */

import { clock, duration, ms, shortId, visible } from "../format.js";
import { html, useRef } from "../html.js";
import { hasEnded, ranFor } from "../outcomes.js";
import { replaceHash, taskHash, taskKey } from "../route.js";
import { T } from "../text.js";
import { useStore } from "../use-store.js";
import { Details } from "./details.js";
import { RunMeter } from "./elapsed.js";
import { Icon } from "./icons.js";
import { LogPane } from "./logpane.js";
import { Outputs } from "./outputs.js";
import { StaleTag, State } from "./state.js";
import { useTaskActions } from "./task-actions.js";

const TABS = ["log", "outputs", "details"];
const PANELS = { log: LogPane, outputs: Outputs, details: Details };

function Actions({ task, lost }) {
  const actions = useTaskActions(task);
  const off = lost || actions.busy;
  const button = (icon, words, onClick, disabled = off) => html`<button class="btn" type="button" disabled=${disabled}
    onClick=${onClick}><${Icon} name=${icon} />${words}</button>`;
  const ended = hasEnded(task);
  const stopWord = task.stopping ? T.tasks.stopping : T.tasks.cancelShort;
  return html`<div class="d-acts" role="group" aria-label=${T.detail.actions}>
    ${!ended && button("stop", stopWord, actions.cancel, off || task.stopping)}
    ${task.status !== "queued" && task.number !== null && button("retry", T.tasks.rerunShort, () => actions.rerun())}
    ${task.status !== "running" && button("trash", T.tasks.removeShort, actions.remove)}
  </div>`;
}

function When({ task, lost }) {
  const plain = (words) => html`<span class="started">${words}</span>`;
  if (task.status === "queued") return plain(T.detail.submitted(clock(ms(task.created_at))));
  if (task.status === "running") {
    return html`${!lost && plain(T.detail.started(clock(ms(task.started_at))))}
      <${RunMeter} since=${task.started_at} limit=${task.limits.time_s} />`;
  }
  const ran = ranFor(task);
  return html`<span>${T.detail.ended(clock(ms(task.ended_at)), Number.isNaN(ran) ? "" : duration(ran))}</span>`;
}

function FullId({ task }) {
  const suffix = /\d+$/.exec(task.task_id)?.[0] ?? "";
  const rest = task.task_id.slice(0, task.task_id.length - suffix.length);
  return html`<span><span class="mono">${rest}<b>${suffix}</b></span></span>`;
}

// While a task runs nobody has counted.
const showsCount = (task) => task.status !== "running" || task.outputs_total > 0;

function Tabs({ task, tab }) {
  const list = useRef(null);
  const choose = (name) => replaceHash(taskHash(task, name));
  const onKeyDown = (event) => {
    const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (!step) return;
    event.preventDefault();
    const at = (TABS.indexOf(tab) + step + TABS.length) % TABS.length;
    choose(TABS[at]);
    list.current.children[at].focus();
  };
  return html`<div class="tabs" role="tablist" aria-label=${shortId(task)} ref=${list} onKeyDown=${onKeyDown}>
    ${TABS.map((name) => html`<button type="button" role="tab" id=${`tab-${name}`} key=${name}
      aria-selected=${name === tab} aria-controls="task-panel"
      tabindex=${name === tab ? 0 : -1} onClick=${() => choose(name)}>
      ${T.detail.tabs[name]}${name === "outputs" && showsCount(task) && html` <span class="n">${task.outputs_total}</span>`}
    </button>`)}
  </div>`;
}

/** What helps first: an exit code is explained by the log, a limit by the facts. */
function firstTab(task) {
  return task.status === "failed" && task.reason !== "exit" && task.reason !== "signal" ? "details" : "log";
}

/** The right pane. */
export function Detail() {
  const task = useStore((state) => state.tasks.get(state.selectedId) ?? null);
  const route = useStore((state) => state.route);
  const lost = useStore((state) => state.connection.lost);
  if (!task) return html`<article class="detail"><p class="nothing">${T.tasks.choose}</p></article>`;
  const tab = (route.key === taskKey(task) && route.tab) || firstTab(task);
  const Panel = PANELS[tab];
  const title = visible(task.description) || shortId(task);
  return html`<article class=${`detail${lost ? " is-stale" : ""}`} aria-labelledby="h-task" data-id=${task.task_id}>
    <div class="d-head">
      <a class="back phone-only" href="#tasks"><${Icon} name="left" />${T.detail.back}</a>
      <div class="d-title">
        <${State} status=${task.status} lost=${lost} pill />
        <h2 class="trunc" id="h-task" title=${title}><bdi>${title}</bdi></h2>
        <${Actions} key=${task.task_id} task=${task} lost=${lost} />
      </div>
      <div class="d-meta">
        <${FullId} task=${task} />
        <span class="phone-hide">${T.runners[task.runner] ?? visible(task.runner)}</span>
        ${lost && !hasEnded(task) && html`<${StaleTag} />`}
        <${When} task=${task} lost=${lost} />
      </div>
      <${Tabs} task=${task} tab=${tab} />
    </div>
    <div class="d-panel" id="task-panel" role="tabpanel" aria-labelledby=${`tab-${tab}`}>
      <${Panel} key=${task.task_id} task=${task} lost=${lost} />
    </div>
  </article>`;
}
