/** One task in the list. */

import { runNext } from "../actions.js";
import { duration, shortId, visible } from "../format.js";
import { html, memo } from "../html.js";
import { hasEnded, ranFor } from "../outcomes.js";
import { taskHash } from "../route.js";
import { spokenId } from "../spoken.js";
import { T } from "../text.js";
import { Elapsed } from "./elapsed.js";
import { Icon, iconForRunner } from "./icons.js";
import { State } from "./state.js";
import { useTaskActions } from "./task-actions.js";
import { Meta } from "./taskmeta.js";

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

/**
 * @param {{task: import("../types.js").Task, current: boolean, lost: boolean, max: number, top: number, place: number,
 *   of: number, picked: boolean | null, onPick: (id: string, isRange: boolean) => void}} props `top`: where it stands, in
 *   pixels; `picked`: whether it is chosen, null where nothing is to be
 */
export const TaskRow = memo(({ task, current, lost, max, top, place, of, picked, onPick }) => {
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
  const first = task.queue_position > 1 && html`<${Action} icon="first" name=${T.tasks.first(id)} disabled=${off}
    onClick=${() => runNext(task.task_id)} />`;
  return html`<li class="task" data-id=${task.task_id} data-status=${task.status}
    aria-current=${current ? "true" : undefined} aria-posinset=${place} aria-setsize=${of} style=${{ top: `${top}px` }}>
    ${picked !== null && html`<input class="pick" type="checkbox" checked=${picked} aria-label=${T.tasks.choose1(id)}
      onClick=${(event) => onPick(task.task_id, event.shiftKey)} />`}
    <span class="line1"><${State} status=${task.status} lost=${lost} /></span>
    <span class="desc trunc"><a class="task-open" href=${taskHash(task)} title=${title}>
      <bdi>${title}</bdi></a></span>
    <span class="time num"><${Time} task=${task} /></span>
    <span class="tid" title=${`${runner}, ${task.task_id}`}><${Icon} name=${iconForRunner(task.runner)} />
      <span class="sr">${runner}, </span><${Id} task=${task} /></span>
    <span class="meta"><${Meta} task=${task} max=${max} /></span>
    <span class="acts">
      ${task.status === "running" && [cancel, again(false)]}
      ${task.status === "queued" && [first, cancel, remove]}
      ${hasEnded(task) && [again(true), remove]}
    </span>
  </li>`;
});
