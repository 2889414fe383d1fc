/** The owner's message to all: the line that says what is shown now, and the dialog in which it is written. */

import { Icon } from "../components/icons.js";
import { clock, ms, visible } from "../format.js";
import { html, useState } from "../html.js";
import { useStore } from "../use-store.js";
import { ask, closeDialog, takeBack, tell } from "./actions.js";
import { Problem } from "./parts.js";
import { admin, serverNow } from "./store.js";
import { A } from "./text.js";

const LONGEST = 500;
const SAME = "same"; // until when it was shown anyway

const oneLine = (text) => text.replace(/\s*[\r\n]+\s*/g, " ");

/** What all pages show now; nothing where that is nothing. */
export function Told() {
  const message = useStore((state) => state.seen?.message, admin);
  const busy = useStore((state) => state.busy, admin);
  if (!message) return null;
  const t = A.tell;
  return html`<div class="told" data-told><${Icon} name="pen" /><p class="grow any"><b>${t.shown}</b> <bdi>${
      visible(message.text)}</bdi> <span class="fine">${
      message.until ? t.until(clock(ms(message.until))) : t.forEver}</span></p>
    <button class="btn" type="button" onClick=${() => ask("tell", { message })}>${t.change}</button>
    <button class="btn" type="button" disabled=${busy} onClick=${takeBack}>${t.back}</button></div>`;
}

/** @param {{message?: {text: string, until: string | null}}} props what is shown now */
export function Tell({ message }) {
  const busy = useStore((state) => state.busy, admin);
  const [text, setText] = useState(message?.text ?? "");
  const [time, setTime] = useState(message?.until ? SAME : "");
  const now = useStore(serverNow, admin);
  const t = A.tell;
  const left = LONGEST - [...text.trim()].length;
  const onSubmit = (event) => {
    event.preventDefault();
    const left = message ? Math.max(1, (ms(message.until) - now) / 1000) : 0;
    tell(text.trim(), time === SAME ? left : time === "" ? null : Number(time));
  };
  return html`<form class="dialog-in" onSubmit=${onSubmit}>
    <div class="dialog-body form"><h2 id="h-dialog">${t.title}</h2><p>${t.lead}</p>
      <label>${t.text}<textarea class="field" name="message" rows="3" required aria-describedby="tell-left"
        value=${text} onInput=${(event) => setText(oneLine(event.target.value))}></textarea></label>
      <p class=${left < 0 ? "fine hot" : "fine"} id="tell-left">${left < 0 ? t.over(-left) : t.left(left)}</p>
      <label>${t.how}<select class="field" value=${time} onChange=${(event) => setTime(event.target.value)}>
        ${message?.until && html`<option value=${SAME}>${t.until(clock(ms(message.until)))}</option>`}${
        Object.entries(t.times).map(([seconds, word]) => html`<option key=${seconds} value=${seconds}>${word}</option>`)
      }</select></label>
      <${Problem} /></div>
    <div class="dialog-acts">
      <button class="btn btn--lg" type="button" onClick=${closeDialog}>${A.cancel}</button>
      <button class="btn btn--lg btn--primary" type="submit" disabled=${busy || left < 0}>${t.save}</button>
    </div>
  </form>`;
}
