/** What can be done to a task, the same in its row and in its pane. */

import { cancel, remove, rerun } from "../actions.js";
import { confirm } from "../dialogs.js";
import { visible } from "../format.js";
import { useState } from "../html.js";
import { store } from "../store.js";
import { spokenId } from "../spoken.js";
import { T } from "../text.js";

// The row is gone with what had the focus: it goes to the row that took its place.
function focusNeighbour(at) {
  const rows = document.querySelectorAll(".task-open");
  rows[Math.min(at, rows.length - 1)]?.focus();
}

// A button that was pressed may be gone then, or was out of order for a moment.
function focusAgain(id) {
  if (document.activeElement === document.body)
    document.querySelector(`.task[data-id="${CSS.escape(id)}"] .task-open`)?.focus();
}

/** @param {import("../types.js").Task} task */
export function useTaskActions(task) {
  const [busy, setBusy] = useState(false);
  // One at a time: a second click while the first is under way would run a task twice.
  const once = async (work) => {
    if (busy) return;
    const row = document.activeElement?.closest(".task")?.dataset.id;
    setBusy(true);
    try {
      await work();
    } finally {
      setBusy(false);
    }
    if (row) setTimeout(() => focusAgain(row), 0);
  };
  return {
    busy,
    cancel: () => once(() => cancel(task.task_id)),
    /** @param {object} [limits] other limits than it had */
    rerun: (limits) => once(() => rerun(task.task_id, limits)),
    remove: async () => {
      const id = spokenId(task);
      const yes = await confirm({
        title: T.dialog.deleteTask(id),
        body: T.dialog.deleteTaskBody(visible(task.description)),
        button: T.dialog.deleteTaskButton(id),
      });
      if (!yes) return;
      const rows = [...document.querySelectorAll(".task")];
      const at = rows.findIndex((row) => row.dataset.id === task.task_id);
      await once(() => remove(task.task_id));
      if (!store.get().tasks.has(task.task_id)) setTimeout(() => focusNeighbour(at), 0);
    },
  };
}
