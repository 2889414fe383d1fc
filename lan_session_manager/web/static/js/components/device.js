/** This device: its name, the other devices of its session, and the ways of a session from one device to another. */

import { attempt, onMessage } from "../actions.js";
import { devices, forget, isStillSame, leave, rename, startFresh, warnings } from "../device.js";
import { confirm, show } from "../dialogs.js";
import { clock, ms, shortSession, visible } from "../format.js";
import { html, useEffect, useRef, useState } from "../html.js";
import { store } from "../store.js";
import { T } from "../text.js";
import { useStore } from "../use-store.js";
import { Icon } from "./icons.js";
import { Language } from "./language.js";
import { Popover } from "./popover.js";

const LONGEST_NAME = 40;
const JUST_NOW_MS = 60000;

function NameForm({ name, onDone }) {
  const [error, setError] = useState("");
  const [sending, setSending] = useState(false);
  const field = useRef(null);
  useEffect(() => field.current.select(), []);

  const save = async (event) => {
    event.preventDefault();
    const given = field.current.value.trim();
    if (!given || [...given].length > LONGEST_NAME) return setError(T.device.nameRule);
    setSending(true);
    try {
      await rename(given);
      return onDone();
    } catch (failure) {
      setSending(false);
      return setError(failure.message);
    }
  };
  const onKeyDown = (event) => {
    if (event.key !== "Escape") return;
    event.stopPropagation(); // the card stays
    onDone();
  };

  return html`<form class="rename" onSubmit=${save} onKeyDown=${onKeyDown}>
    <label class="sr" for="device-name">${T.device.nameField}</label>
    <input class="field grow" id="device-name" ref=${field} defaultValue=${name} maxlength=${2 * LONGEST_NAME}
      autocomplete="off" spellcheck=${false} aria-invalid=${Boolean(error)} aria-describedby="device-name-error" />
    <button class="btn" type="submit" disabled=${sending}>${T.device.save}</button>
    <button class="btn btn--quiet" type="button" onClick=${onDone}>${T.device.cancel}</button>
    <p class="problem" id="device-name-error" role="alert">${error}</p>
  </form>`;
}

function Name({ device }) {
  const [editing, setEditing] = useState(false);
  const pen = useRef(null);
  const back = useRef(false);
  useEffect(() => {
    if (editing) back.current = true;
    else if (back.current) pen.current.focus();
  }, [editing]);
  if (!device) return html`<h2 class="device-name">${T.device.nameless}</h2>`;
  if (editing) return html`<${NameForm} name=${device.name} onDone=${() => setEditing(false)} />`;
  const name = visible(device.name);
  return html`<div class="device-head"><h2 class="device-name trunc" title=${name}><bdi>${name}</bdi></h2>
    <button class="ib ib--lg" type="button" ref=${pen} aria-label=${T.device.rename(name)}
      title=${T.device.rename(name)} onClick=${() => setEditing(true)}><${Icon} name="pen" /></button></div>`;
}

function seen(device) {
  const at = ms(device.last_seen);
  const { skew } = store.get();
  return Date.now() + skew - at < JUST_NOW_MS ? T.device.seenNow : T.device.seenAt(clock(at));
}

function Other({ device, act }) {
  const name = visible(device.name);
  const isProgram = device.kind === "program";
  const question = T.device.confirmForgetOther(name, isProgram, device.is_guest);
  const onForget = () =>
    act(async () => {
      if (!(await confirm(question))) return;
      await attempt(() => forget(device.id));
      document.getElementById("h-others")?.focus(); // where its row was, if the list still is there
    });
  return html`<li><${Icon} name=${isProgram ? "shell" : "laptop"} />
    <span class="grow who-is"><bdi class="trunc" title=${name}>${name}</bdi>
      <span class="fine trunc">${isProgram ? `${T.device.program}${T.dot}` : ""}<span
        class="mono">${device.address}</span>${T.dot}${seen(device)}</span></span>
    <button class="ib" type="button" aria-label=${T.device.forgetOther(name)} title=${T.device.forgetOther(name)}
      onClick=${onForget}><${Icon} name="trash" /></button></li>`;
}

function Facts() {
  const ip = useStore((state) => state.ip);
  const { session_id: id, workspace } = useStore((state) => state.dash.session);
  return html`<dl class="grid-facts">
    <dt>${T.who.youLabel}</dt><dd class="mono">${ip}</dd>
    <dt>${T.who.sessionLabel}</dt><dd class="mono">${shortSession(id)}</dd>
    <dt>${T.who.workspaceLabel}</dt><dd class="mono">${workspace}</dd>
  </dl>`;
}

function Aside({ icon, words }) {
  return html`<p class="aside"><${Icon} name=${icon} /><span>${words}</span></p>`;
}

function Action({ icon, name, onClick }) {
  return html`<li>
    <button class="rowbtn" type="button" onClick=${onClick}><${Icon} name=${icon} />${name}</button></li>`;
}

/** @param {{close?: (() => void) | null}} props what closes the card around it, if there is one */
export function DevicePanel({ close = null }) {
  const known = useStore((state) => state, devices);
  const [error, setError] = useState("");
  useEffect(() => {
    const read = () => isStillSame().then(() => setError(""), (failure) => setError(failure.message));
    read();
    return onMessage((message) => message.event.startsWith("device_") && read());
  }, []);
  const { facts } = known;
  const { device } = facts;
  const others = facts.devices.filter((one) => !one.is_this);
  // The card closes first: what stands in front of the page then gives the focus back to its button.
  const act = (work) => {
    close?.();
    return work();
  };
  const onFresh = () =>
    act(async () => {
      const sharing = !facts.can_tell && !facts.is_shared;
      if (await confirm(T.device.confirmFresh(others.length, sharing))) await attempt(startFresh);
    });
  const onForget = () =>
    act(async () => {
      if (await confirm(T.device.confirmForget(others.length))) await attempt(() => forget(null));
    });

  return html`<p class="fine">${T.device.thisOne}</p><${Name} device=${device} />
    <${Facts} />
    ${error && html`<p class="problem" role="alert">${error}</p>`}
    ${warnings(known).map((words) => html`<${Aside} key=${words} icon="warn" words=${words} />`)}
    ${device?.is_guest && html`<${Aside} icon="laptop" words=${T.device.carried} />
      <button class="btn" type="button" onClick=${() => act(() => attempt(leave))}><${Icon} name="left" />
        ${T.device.leave}</button>`}
    <hr class="rule" />
    <h3 class="fine" id="h-others" tabindex="-1">${T.device.others}</h3>
    ${others.length
      ? html`<ul class="devices" aria-labelledby="h-others">
          ${others.map((one) => html`<${Other} key=${one.id} device=${one} act=${act} />`)}</ul>`
      : html`<p class="devices-none">${T.device.none}</p>`}
    ${device && html`<hr class="rule" />
      <ul class="device-acts">
        <${Action} icon="qr" name=${T.device.carry} onClick=${() => act(() => show({ kind: "carry" }))} />
        <${Action} icon="key" name=${T.device.claim} onClick=${() => act(() => show({ kind: "claim" }))} />
        <${Action} icon="shell" name=${T.device.token} onClick=${() => act(() => show({ kind: "token" }))} />
      </ul>
      <hr class="rule" />
      <ul class="device-acts">
        <${Action} icon="swap" name=${T.device.fresh} onClick=${onFresh} />
        ${!device.is_guest && html`<${Action} icon="trash" name=${T.device.forget} onClick=${onForget} />`}
      </ul>`}
    <hr class="rule" /><${Language} id="language" />`;
}

/** Who this device is, in the bar, with the card behind it. */
export function DeviceMenu() {
  const ip = useStore((state) => state.ip);
  const { session_id: id, workspace } = useStore((state) => state.dash.session);
  const shared = useStore((state) => Boolean(state.facts?.is_shared), devices);
  const face = html`<span class="sr">${T.device.thisOne}: </span><span class="who">
      <span><span class="w">${T.who.you}</span><b class="mono">${ip}</b></span><span aria-hidden="true">·</span>
      <span><span class="w">${T.who.session}</span><b class="mono">${shortSession(id)}</b></span>
        <span class="ws" aria-hidden="true">·</span>
      <span class="ws"><span class="w">${T.who.workspace}</span><b class="mono">${workspace}</b></span>
      ${shared && html`<span class="tag" title=${T.device.sharedTitle}>${T.device.sharedTag}</span>`}
    </span><${Icon} name="down" />`;
  return html`<${Popover} className="device" buttonClass="btn btn--quiet" cardClass="device-card"
    title=${T.device.title} face=${face}>
    ${(close) => html`<${DevicePanel} close=${close} />`}<//>`;
}
