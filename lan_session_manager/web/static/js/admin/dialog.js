/** The dialogs of the admin page: what asks before something is done, what more is known of a session, the login. */

import { clock, ms, shortId, visible } from "../format.js";
import { html, useEffect, useRef, useState } from "../html.js";
import { useStore } from "../use-store.js";
import { ask, cancelTask, change, closeDialog, login, showAuditOf } from "./actions.js";
import { archiveUrl } from "./api.js";
import { Limits } from "./limits.js";
import { Problem } from "./parts.js";
import { admin } from "./store.js";
import { Tell } from "./tell.js";
import { A } from "./text.js";

/** Says what is lost; its button repeats the verb. */
function Question({ title, body, keep = A.keep, button, onDo }) {
  const busy = useStore((state) => state.busy, admin);
  return html`<div class="dialog-body"><h2 id="h-dialog">${title}</h2><p>${body}</p><${Problem} /></div>
    <div class="dialog-acts">
      <button class="btn btn--lg" type="button" autofocus onClick=${closeDialog}>${keep}</button>
      <button class="btn btn--lg btn--danger" type="button" disabled=${busy} onClick=${onDo}>${button}</button>
    </div>`;
}

const End = ({ session }) => html`<${Question} title=${A.end.title(visible(session.workspace))}
  body=${A.end.body(session.running, session.queued)} button=${A.end.button}
  onDo=${() => change(session.workspace, "end")} />`;

function Trash({ session }) {
  const days = useStore((state) => state.leaving?.trash_days ?? 0, admin);
  return html`<${Question} title=${A.trash.title(visible(session.workspace))} body=${A.trash.body(days)}
    button=${A.trash.button} onDo=${() => change(session.workspace, "trash")} />`;
}

const Purge = ({ session }) => html`<${Question} title=${A.purge.title(visible(session.workspace))}
  body=${A.purge.body} button=${A.purge.button} onDo=${() => change(session.workspace, "purge")} />`;

const CancelTask = ({ task }) => html`<${Question} title=${A.cancelTask.title(shortId(task))}
  body=${A.cancelTask.body(task.workspace ? visible(task.workspace) : A.queue.nobody, task.status === "running")}
  keep=${A.cancelTask.keep} button=${A.cancelTask.button} onDo=${() => cancelTask(task.task_id)} />`;

function More({ session }) {
  const t = A.more;
  const facts = {
    address: html`<span class="mono">${visible(session.ip)}</span>`,
    id: html`<span class="mono">${session.session_id}</span>`,
    since: clock(ms(session.created_at)),
    tasks: session.total_tasks,
    paused: session.paused_at && clock(ms(session.paused_at)),
    devices: session.devices.length
      ? session.devices.map((device, at) => html`<span key=${at} class="device"><bdi>${visible(device.name)}</bdi> <span
          class="dim">${t.device(A.sessions.deviceKinds[device.kind], clock(ms(device.last_seen)))}</span></span>`)
      : A.sessions.noDevice,
  };
  return html`<div class="dialog-body"><h2 id="h-dialog">${t.title(visible(session.workspace))}</h2></div>
    <dl class="factlist scrolls">${Object.entries(facts).filter(([, value]) => value !== null).map(
      ([name, value]) => html`<dt key=${`${name}-t`}>${t.facts[name]}</dt><dd key=${name} class="any">${value}</dd>`)}</dl>
    <div class="dialog-acts">
      <a class="btn btn--lg" href=${archiveUrl(session.workspace)} download>${t.download}</a>
      <button class="btn btn--lg" type="button" onClick=${() => showAuditOf(session.workspace)}>${t.log}</button>
      <button class="btn btn--lg" type="button" onClick=${() => ask("limits", { session })}>${A.sessions.limits}</button>
      <button class="btn btn--lg btn--primary" type="button" autofocus onClick=${closeDialog}>${A.close}</button>
    </div>`;
}

/** The form of the login; `lead` says why it is asked for. */
export function LoginForm({ lead, heading = "h1" }) {
  const busy = useStore((state) => state.busy, admin);
  const [token, setToken] = useState("");
  const onSubmit = (event) => {
    event.preventDefault();
    if (token.trim()) login(token.trim());
    else admin.set({ problem: A.login.empty });
  };
  return html`<form class="login-form" onSubmit=${onSubmit}>
    <${heading} id="h-login">${A.login.title}<//><p class="sub">${lead}</p>
    <label>${A.login.token}<input class="field" type="password" name="token" autocomplete="current-password" autofocus
      value=${token} onInput=${(event) => setToken(event.target.value)} /></label>
    <${Problem} />
    <button class="btn btn--lg btn--primary" type="submit" disabled=${busy}>${A.login.button}</button>
  </form>`;
}

const KINDS = {
  end: End, trash: Trash, purge: Purge, cancelTask: CancelTask, more: More, limits: Limits, tell: Tell,
};

/** A modal dialog that is there as long as it is drawn; the focus goes back to where it was. */
function Modal({ name, labelledby, onCancel, children }) {
  const box = useRef(null);
  useEffect(() => {
    const before = document.activeElement;
    box.current.showModal();
    return () => {
      if (before?.isConnected) before.focus();
    };
  }, []);
  const cancelled = (event) => {
    event.preventDefault();
    onCancel?.();
  };
  return html`<dialog class=${`dialog dialog--${name}`} ref=${box} aria-labelledby=${labelledby}
    onCancel=${cancelled}><div class="dialog-in">${children}</div></dialog>`;
}

/** Nothing while there is nothing to ask. */
export function Dialog() {
  const shown = useStore((state) => state.dialog, admin);
  const over = useStore((state) => state.over, admin);
  const { kind, ...facts } = shown ?? {};
  return html`${shown && html`<${Modal} key=${kind} name=${kind} labelledby="h-dialog" onCancel=${closeDialog}><${
      KINDS[kind]} ...${facts} /><//>`}
    ${over && html`<${Modal} key="login" name="login" labelledby="h-login"><${LoginForm} heading="h2"
      lead=${A.login.over} /><//>`}`;
}
