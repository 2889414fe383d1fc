/** One task in the list. The second line answers what its state asks: when, how much, why, what came out. */

import { clock, duration, ms, shortId, sizeMb, spokenId, visible } from "../format.js";
import { html, memo } from "../html.js";
import { failureLine, hasEnded, ranFor } from "../outcomes.js";
import { taskHash } from "../route.js";
import { T } from "../text.js";
import { waitLine } from "../waits.js";
import { Elapsed } from "./elapsed.js";
import { Icon, iconForRunner } from "./icons.js";
import { State } from "./state.js";
import { useTaskActions } from "./task-actions.js";

function completedLine(task) {
  const peak = task.usage?.memory_peak_mb;
  return T.meta.outputs(task.outputs_total) + (peak ? T.meta.peakOf(peak) : "");
}

function cancelledLine(task) {
  const by = T.meta.cancelledBy[task.reason] ?? T.meta.cancelled;
  return task.started_at ? by : by + T.meta.beforeStart;
}

function Meta({ task, max }) {
  const line = (text, cls = "trunc") => html`<span class=${cls} title=${text}>${text}</span>`;
  switch (task.status) {
    case "queued":
      return line(waitLine(task, max));
    case "running":
      if (task.stopping) return line(T.meta.stopping);
      if (!task.usage) return line(T.meta.started(clock(ms(task.started_at))));
      return html`<span class="figure">${T.meta.cpu} <span class="sub num">${duration(task.usage.cpu_s)}</span></span>
        <span class="figure">${T.meta.peak} <span class="sub num">${sizeMb(task.usage.memory_peak_mb)}</span></span>`;
    case "completed":
      return line(completedLine(task));
    case "failed":
      return line(failureLine(task), "reason trunc");
    default:
      return line(cancelledLine(task));
  }
}

function Id({ task }) {
  if (task.number === null) return html`<b class="trunc"><bdi>${shortId(task)}</bdi></b>`;
  return html`<span>task_<b>${shortId(task).slice(5)}</b></span>`;
}

function Time({ task }) {
  if (!hasEnded(task)) return html`<${Elapsed} since=${task.started_at ?? task.created_at} />`;
  const ran = ranFor(task);
  return Number.isNaN(ran) ? "" : duration(ran);
}

function Action({ icon, name, main, disabled, onClick }) {
  return html`<button class=${main ? "ib ib--main" : "ib"} type="button" aria-label=${name} title=${name}
    disabled=${disabled} onClick=${onClick}><${Icon} name=${icon} /></button>`;
}

/** @param {{task: import("../types.js").Task, current: boolean, lost: boolean, max: number}} props */
export const TaskRow = memo(({ task, current, lost, max }) => {
  const actions = useTaskActions(task);
  const id = spokenId(task);
  const title = visible(task.description) || shortId(task);
  const runner = T.runners[task.runner] ?? visible(task.runner);
  const off = lost || actions.busy;
  const cancel = html`<${Action} icon="stop" main name=${T.tasks.cancel(id)} disabled=${off || task.stopping}
    onClick=${actions.cancel} />`;
  // What an orchestrator reported under an id of its own, only that can run again.
  const again = (main) => task.number !== null && html`<${Action} icon="retry" main=${main} name=${T.tasks.rerun(id)} disabled=${off}
    onClick=${() => actions.rerun()} />`;
  const remove = html`<${Action} icon="trash" name=${T.tasks.remove(id)} disabled=${off} onClick=${actions.remove} />`;
  return html`<li class="task" data-id=${task.task_id} data-status=${task.status}
    aria-current=${current ? "true" : undefined}>
    <span class="line1"><${State} status=${task.status} lost=${lost} /></span>
    <span class="desc trunc"><a class="task-open" href=${taskHash(task)} title=${title}>
      <bdi>${title}</bdi></a></span>
    <span class="time num"><${Time} task=${task} /></span>
    <span class="tid" title=${`${runner}, ${task.task_id}`}><${Icon} name=${iconForRunner(task.runner)} />
      <span class="sr">${runner}, </span><${Id} task=${task} /></span>
    <span class="meta"><${Meta} task=${task} max=${max} /></span>
    <span class="acts">
      ${task.status === "running" && [cancel, again(false)]}
      ${task.status === "queued" && [cancel, remove]}
      ${hasEnded(task) && [again(true), remove]}
    </span>
  </li>`;
});
