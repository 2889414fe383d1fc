/** Why a task failed, what to do, and the button that does it. */

import { attempt } from "../actions.js";
import * as api from "../api.js";
import { confirm } from "../dialogs.js";
import { draft, edit } from "../draft.js";
import { html } from "../html.js";
import { failure } from "../outcomes.js";
import { goTo } from "../route.js";
import { O, T } from "../text.js";
import { useStore } from "../use-store.js";
import { Icon } from "./icons.js";
import { useTaskActions } from "./task-actions.js";

/** @param {{task: import("../types.js").Task, lost: boolean}} props */
export function Callout({ task, lost }) {
  const dash = useStore((state) => state.dash);
  const actions = useTaskActions(task);
  const { title, body, detail, rerun, edit: editable } = failure(task, dash);
  const editCommand = async () => {
    const whole = task.command_cut ? await attempt(() => api.task(task.task_id)) : task;
    if (!whole) return;
    const written = draft.get().command.trim();
    if (written && written !== whole.command && !(await confirm(T.dialog.replaceDraft))) return;
    edit({ command: whole.command, runner: task.runner, limits: task.limits, network: task.network });
    goTo("#tasks");
    setTimeout(() => document.getElementById("command")?.focus(), 0);
  };
  const canEdit = editable && dash.runners.some((runner) => runner.name === task.runner);
  return html`<div class="callout" role="note"><${Icon} name="failed" /><div>
    <h3>${title}</h3>
    <p>${body}</p>
    ${detail && html`<p class="mono callout-detail">${detail}</p>`}
    <div class="acts">
      <button class="btn btn--primary" type="button" disabled=${lost || actions.busy}
        onClick=${() => actions.rerun(rerun.limits)}><${Icon} name="retry" />${rerun.label}</button>
      ${canEdit && html`<button class="btn" type="button" onClick=${editCommand}>${O.edit}</button>`}
    </div>
  </div></div>`;
}
