/** Everybody's tasks that run or wait: who, since when and why, and nothing of what they do. */

import { clock, ms, shortId, visible } from "../format.js";
import { html, memo } from "../html.js";
import { useStore } from "../use-store.js";
import { ask } from "./actions.js";
import { Panel, plainHeads, Reading, State, Table } from "./parts.js";
import { admin, serverNow } from "./store.js";
import { A } from "./text.js";

const ICONS = { running: ["running", "running"], queued: ["queued", "queued"], stopping: ["cancelled", "stop"] };

function why(task) {
  const words = A.queue.waits[task.waits_for] ?? A.queue.waits.slot;
  if (typeof words !== "function") return words;
  return words(task.waits_for === "dependency" ? task.wait?.tasks?.length ?? 1 : clock(ms(task.wait?.until)));
}

function Now({ task }) {
  if (task.status === "queued") return why(task);
  if (task.worker) return A.queue.worker(visible(task.worker));
  const { cores, memory_mb: memory } = task.usage ?? {};
  return cores === undefined
    ? html`<span class="dim">${A.queue.notCounted}</span>`
    : html`<span class="num">${A.queue.use(cores, memory ?? 0)}</span>`;
}

const Row = memo(({ task, since }) => {
  const t = A.queue;
  const state = task.stopping ? "stopping" : task.status;
  const [cls, icon] = ICONS[state];
  const name = task.workspace ? visible(task.workspace) : t.nobody;
  return html`<tr data-task=${task.task_id}>
    <td class="c-state"><${State} cls=${cls} icon=${icon} spin=${state === "running"}>${t.states[state]}<//>${
      task.queue_position && html`<span class="two-line num">${t.position(task.queue_position)}</span>`}</td>
    <td class="mono any" data-l=${t.heads[1]} title=${visible(task.task_id)}>${shortId(task)}</td>
    <td class="mono any" data-l=${t.heads[2]}>${name}</td>
    <td class="num" data-l=${t.heads[3]}>${since}</td>
    <td data-l=${t.heads[4]}>${visible(task.runner)}</td>
    <td class="num" data-l=${t.heads[5]}>${t.limits(task.limits.memory_mb, task.limits.time_s)}${
      task.network !== "none" && html`<span class="two-line">${t.network(visible(task.network))}</span>`}</td>
    <td data-l=${t.heads[6]}><${Now} task=${task} /></td>
    <td class="c-wide"><span class="row-acts">${!task.stopping && html`<button class="btn btn--quiet" type="button"
      aria-label=${t.cancelOf(shortId(task), name)} onClick=${() => ask("cancelTask", { task })}>${t.cancel}</button>`}
    </span></td>
  </tr>`;
});

/** The panel of the queue. */
export function Queue() {
  const known = useStore((state) => state.queue, admin);
  const now = useStore(serverNow, admin);
  const t = A.queue;
  if (!known) return html`<${Panel} id="queue" title=${t.title}><${Reading} /><//>`;
  const left = known.running + known.queued > known.tasks.length ? ` ${t.left(known.tasks.length)}` : "";
  const since = (task) => t.since((now - ms(task.started_at ?? task.created_at)) / 1000);
  return html`<${Panel} id="queue" title=${t.title} fine=${t.of(known.running, known.queued) + left}>
    ${known.tasks.length
      ? html`<${Table} label=${t.table} name="rows--queue" heads=${plainHeads(t.heads)} actions=${t.actions}>${known.tasks.map(
          (task) => html`<${Row} key=${task.task_id} task=${task} since=${since(task)} />`)}<//>`
      : html`<p class="nothing">${t.none}</p>`}
  <//>`;
}
