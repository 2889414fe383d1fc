/** A session on its way to another device: the code that is shown, the code that is typed, the token of a program. */

import { onMessage } from "../actions.js";
import { carry, programToken } from "../api.js";
import { copyText } from "../clipboard.js";
import { claim, devices, isStillSame } from "../device.js";
import { closeDialog } from "../dialogs.js";
import { ms, visible } from "../format.js";
import { html, useEffect, useRef, useState } from "../html.js";
import { store } from "../store.js";
import { T } from "../text.js";
import { everySecond } from "../tick.js";
import { Icon } from "./icons.js";

/**
 * @param {number} until ms of this device's clock, 0 for never
 * @returns {number} the seconds that are left, drawn anew each second
 */
function useSecondsTo(until) {
  const left = () => Math.max(0, Math.ceil((until - Date.now()) / 1000));
  const [seconds, setSeconds] = useState(left);
  useEffect(() => {
    setSeconds(left());
    return until ? everySecond(() => setSeconds(left())) : undefined;
  }, [until]);
  return seconds;
}

const ids = () => new Set(devices.get().facts.devices.map((device) => device.id));

/** Who has come since the code was made. */
function useComer(code) {
  const [comer, setComer] = useState("");
  useEffect(() => {
    if (!code) return undefined;
    setComer("");
    const before = ids();
    return onMessage(async (message) => {
      if (message.event !== "device_added") return;
      await isStillSame().catch(() => {}); // without an answer the list is the one from before
      const come = devices.get().facts.devices.find((device) => !before.has(device.id));
      if (come) setComer(visible(come.name));
    });
  }, [code]);
  return comer;
}

function CodeBox({ made, left }) {
  const { code, qr } = made;
  return html`<div class="carry">
    <img class="qr" src=${`data:image/svg+xml,${encodeURIComponent(qr)}`} alt=${T.device.carryQr}
      width="136" height="136" />
    <div>
      <p class="code mono"><span class="sr">${T.device.carryCode(code)}</span>
        <span aria-hidden="true">${code.slice(0, 3)} ${code.slice(3)}</span></p>
      <p class="fine num">${T.device.carryLeft(left)}</p>
    </div>
  </div>`;
}

/** The code and its QR code, for two minutes. */
export function Carry() {
  const [made, setMade] = useState(null);
  const [until, setUntil] = useState(0);
  const [error, setError] = useState("");
  const left = useSecondsTo(until);
  const comer = useComer(made?.code ?? "");

  const make = async () => {
    setError("");
    try {
      const answer = await carry();
      setMade(answer);
      setUntil(ms(answer.expires_at) - store.get().skew);
    } catch (failure) {
      setMade(null);
      setError(failure.message);
    }
  };
  useEffect(() => {
    make();
  }, []);

  const isOver = Boolean(made) && until - Date.now() <= 0;
  const shows = made && !comer && !isOver;
  let said = "";
  if (comer) said = T.device.carryUsed(comer);
  else if (isOver) said = T.device.carryOver;
  else if (!made && !error) said = T.device.carryMaking;
  return html`<div class="dialog-body">
      <h2 id="h-dialog">${T.device.carryTitle}</h2>
      ${shows && html`<p>${T.device.carryHow}<span
          class="mono strong">${new URL(made.url).host}</span>${T.device.carryHowEnd}</p>
        <${CodeBox} made=${made} left=${left} />
        <p class="fine">${T.device.carryWhat}</p>`}
      ${error && html`<p class="problem" role="alert">${error}</p>`}
      <p role="status" class=${comer ? "came" : ""}>${comer && html`<${Icon} name="completed" />`}${said}</p>
    </div>
    <div class="dialog-acts">
      <button class="btn btn--lg" type="button" onClick=${make}><${Icon} name="retry" />${T.device.carryNew}</button>
      <button class="btn btn--lg btn--primary" type="button" autofocus onClick=${() => closeDialog()}>
        ${T.device.done}</button>
    </div>`;
}

/** @param {{secret?: string}} props the secret of a link, which one click then claims with */
export function Claim({ secret = "" }) {
  const [error, setError] = useState("");
  const [until, setUntil] = useState(0);
  const [sending, setSending] = useState(false);
  const field = useRef(null);
  const wait = useSecondsTo(until);

  const onSubmit = async (event) => {
    event.preventDefault();
    const code = field.current?.value.replace(/[\s-]/g, "") ?? "";
    if (!secret && !/^\d{6}$/.test(code)) {
      setError(T.device.claimRule);
      field.current.select();
      return;
    }
    setSending(true);
    setError("");
    try {
      await claim(secret ? { secret } : { code });
    } catch (failure) {
      setSending(false);
      setError(failure.message);
      if (failure.waitS) setUntil(Date.now() + failure.waitS * 1000);
      else field.current?.select();
    }
  };

  return html`<form onSubmit=${onSubmit} novalidate>
    <div class="dialog-body">
      <h2 id="h-dialog">${secret ? T.device.claimLinkTitle : T.device.claimTitle}</h2>
      ${secret
        ? html`<p>${T.device.claimLink}</p>`
        : html`<label class="label" for="claim-code">${T.device.claimField}</label>
          <input class="field code mono" id="claim-code" ref=${field} autofocus inputmode="numeric"
            autocomplete="one-time-code" maxlength="9"
            aria-invalid=${Boolean(error)} aria-describedby="claim-hint claim-error" />
          <p class="fine" id="claim-hint">${T.device.claimHint}</p>`}
      <p class="problem" id="claim-error" role="alert">${wait ? "" : error}</p>
      ${wait > 0 && html`<p class="problem">${T.device.claimWait(wait)}</p>`}
      <p class="fine">${T.device.claimWhat}</p>
    </div>
    <div class="dialog-acts">
      <button class="btn btn--lg" type="button" onClick=${() => closeDialog()}>
        ${secret ? T.device.claimNot : T.device.cancel}</button>
      <button class="btn btn--lg btn--primary" type="submit" autofocus=${Boolean(secret)}
        disabled=${sending || wait > 0}>
        ${T.device.claimButton}</button>
    </div>
  </form>`;
}

function Made({ token }) {
  const [said, setSaid] = useState("");
  const shown = useRef(null);
  const copy = async () => {
    const copied = await copyText(token, shown.current);
    setSaid(copied ? T.device.tokenCopied : T.device.tokenByHand);
  };
  const done = useRef(null);
  useEffect(() => done.current.focus(), []);
  return html`<div class="dialog-body">
      <h2 id="h-dialog">${T.device.tokenTitle}</h2>
      <p>${T.device.tokenOnce}</p>
      <p class="secret mono" ref=${shown}>${token}</p>
      <p class="fine">${T.device.tokenUse}</p>
      <p class="secret mono">curl -H "LSM-Device: ${"…"}" ${location.origin}/api/device</p>
      <p class="fine" role="status">${said}</p>
    </div>
    <div class="dialog-acts">
      <button class="btn btn--lg" type="button" ref=${done} onClick=${copy}>
        <${Icon} name="copy" />${T.device.tokenCopy}</button>
      <button class="btn btn--lg btn--primary" type="button" onClick=${() => closeDialog()}>${T.device.done}</button>
    </div>`;
}

/** A program's own way into this session. */
export function Token() {
  const [token, setToken] = useState("");
  const [error, setError] = useState("");
  const [sending, setSending] = useState(false);
  const field = useRef(null);
  if (token) return html`<${Made} token=${token} />`;

  const onSubmit = async (event) => {
    event.preventDefault();
    setSending(true);
    setError("");
    try {
      const answer = await programToken(field.current.value.trim());
      setToken(answer.token);
      isStillSame().catch(() => {}); // the list of devices has one more; it is read again when it is next opened
    } catch (failure) {
      setSending(false);
      setError(failure.message);
    }
  };
  return html`<form onSubmit=${onSubmit} novalidate>
    <div class="dialog-body">
      <h2 id="h-dialog">${T.device.tokenTitle}</h2>
      <p>${T.device.tokenWhat}</p>
      <label class="label" for="token-name">${T.device.tokenField}</label>
      <input class="field" id="token-name" ref=${field} autofocus defaultValue=${T.device.tokenDefault} maxlength="40"
        autocomplete="off" aria-invalid=${Boolean(error)} aria-describedby="token-error" />
      <p class="problem" id="token-error" role="alert">${error}</p>
    </div>
    <div class="dialog-acts">
      <button class="btn btn--lg" type="button" onClick=${() => closeDialog()}>${T.device.cancel}</button>
      <button class="btn btn--lg btn--primary" type="submit" disabled=${sending}>${T.device.tokenMake}</button>
    </div>
  </form>`;
}
