/** My tasks: filters with counts, and the rows, newest first. */

import { html, useMemo, useRef } from "../html.js";
import { store } from "../store.js";
import { T } from "../text.js";
import { useStore } from "../use-store.js";
import { StaleTag } from "./state.js";
import { TaskRow } from "./taskrow.js";

const FILTERS = {
  all: () => true,
  running: (task) => task.status === "running",
  queued: (task) => task.status === "queued",
  done: (task) => task.status === "completed" || task.status === "cancelled",
  failed: (task) => task.status === "failed",
};

function Filters({ tasks, chosen }) {
  return html`<div class="tabs" role="group" aria-label=${T.tasks.filterName}>
    ${Object.entries(FILTERS).map(([name, test]) => html`<button type="button" key=${name}
      aria-pressed=${name === chosen}
      onClick=${() => store.set({ filter: name })}>${T.tasks.filters[name]} <span
        class="n">${tasks.filter(test).length}</span></button>`)}
  </div>`;
}

const STEPS = { ArrowDown: 1, ArrowUp: -1, Home: -Infinity, End: Infinity };

function moveFocus(event, list) {
  const step = STEPS[event.key];
  if (step === undefined || event.ctrlKey || event.metaKey || event.altKey) return;
  const links = [...list.querySelectorAll(".task-open")];
  const at = links.findIndex((link) => link.closest(".task").contains(document.activeElement));
  if (at < 0) return;
  event.preventDefault();
  links[Math.min(links.length - 1, Math.max(0, at + step))].focus();
}

/** The left pane. */
export function TaskList() {
  const byId = useStore((state) => state.tasks);
  const order = useStore((state) => state.order);
  const filter = useStore((state) => state.filter);
  const selectedId = useStore((state) => state.selectedId);
  const lost = useStore((state) => state.connection.lost);
  const max = useStore((state) => state.dash.permissions.max_concurrent_tasks);
  const list = useRef(null);
  const tasks = useMemo(() => order.map((id) => byId.get(id)), [byId, order]);
  const shown = tasks.filter(FILTERS[filter]);

  return html`<section class=${`tasks${lost ? " is-stale" : ""}`} id="pane-tasks" tabindex="-1"
    aria-labelledby="h-tasks">
    <div class="tasks-head">
      <div class="sec-head"><h2 id="h-tasks">${T.tasks.title}</h2><${StaleTag} /><span class="grow"></span>
        <span class="fine phone-hide">${T.tasks.order}</span></div>
      <${Filters} tasks=${tasks} chosen=${filter} />
    </div>
    ${shown.length
      ? html`<ul class="tasks-list" ref=${list} onKeyDown=${(event) => moveFocus(event, list.current)}>
          ${shown.map((task) => html`<${TaskRow} key=${task.task_id} task=${task} current=${task.task_id === selectedId}
            lost=${lost} max=${max} />`)}
        </ul>`
      : html`<div class="tasks-list"><p class="nothing">${T.tasks.empty[filter]} <button class="linkbtn" type="button"
        onClick=${() => store.set({ filter: "all" })}>${T.tasks.showAll}</button></p></div>`}
  </section>`;
}
