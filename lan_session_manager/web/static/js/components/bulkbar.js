/** What can be done with the tasks that are chosen: at once, and with the number of those that it is done to. */

import { bulk } from "../actions.js";
import { confirm } from "../dialogs.js";
import { html, useState } from "../html.js";
import { hasEnded } from "../outcomes.js";
import { store } from "../store.js";
import { T } from "../text.js";
import { Icon } from "./icons.js";

const close = () => store.set({ picked: null });

/** How many are chosen, and what chooses all. @param {{ids: string[], picked: Set<string>}} props */
export function Chosen({ ids, picked }) {
  return html`<span class="fine" role="status">${T.tasks.chosen(picked.size)}</span>
    ${picked.size < ids.length && html`<button class="linkbtn fine" type="button"
      onClick=${() => store.set({ picked: new Set(ids) })}>${T.tasks.chooseAll(ids.length)}</button>`}`;
}

/** @param {{byId: Map<string, import("../types.js").Task>, picked: Set<string>, lost: boolean}} props */
export function BulkBar({ byId, picked, lost }) {
  const [busy, setBusy] = useState(false);
  const chosen = [...picked].map((id) => byId.get(id)).filter(Boolean);
  const over = chosen.filter(hasEnded);
  const kinds = {
    cancel: chosen.filter((task) => !hasEnded(task) && !task.stopping),
    rerun: over.filter((task) => task.number !== null),
    delete: over,
  };
  const run = async (action) => {
    const tasks = kinds[action];
    if (action === "delete" && !(await confirm(T.tasks.deleteMany(tasks.length)))) return;
    setBusy(true);
    const all = await bulk(action, tasks.map((task) => task.task_id)).finally(() => setBusy(false));
    if (!all) return;
    close();
    document.getElementById("pane-tasks")?.focus();
  };
  const button = (action, icon) => html`<button class="btn" type="button" disabled=${lost || busy || !kinds[action].length}
    onClick=${() => run(action)}><${Icon} name=${icon} />${T.tasks.many[action](kinds[action].length)}</button>`;
  return html`<div class="bulk" role="group" aria-label=${T.tasks.chosen(chosen.length)}>
    ${button("cancel", "stop")}${button("rerun", "retry")}${button("delete", "trash")}
  </div>`;
}
