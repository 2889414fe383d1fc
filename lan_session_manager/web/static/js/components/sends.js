/** The uploads on their way: how all of them stand in one line, and those that need a look each in its own. */

import { percent, size, visible } from "../format.js";
import { html, useRef } from "../html.js";
import { LARGE } from "../sending.js";
import { T } from "../text.js";
import {
  canRetry,
  dismiss,
  dismissAll,
  pause,
  pauseAll,
  resolve,
  retry,
  retryAll,
  totalOf,
  upload,
  uploads,
} from "../uploads.js";
import { useStore } from "../use-store.js";
import { useServerNow } from "./elapsed.js";
import { Icon } from "./icons.js";

const ESTIMATE_AFTER_S = 2;
const LINES = 6;
const TROUBLED = ["failed", "exists", "interrupted"];

const partOf = (one) => (one.size ? Math.min(100, Math.floor((one.loaded / one.size) * 100)) : 0);

/** @returns {string} how long the rest takes at the pace so far; "" while that is a guess */
function leftOf({ loaded, size: whole, startedAt, startedWith }) {
  const seconds = (Date.now() - startedAt) / 1000;
  if (!startedAt || seconds < ESTIMATE_AFTER_S || loaded <= startedWith) return "";
  return T.upload.left(Math.ceil((seconds * (whole - loaded)) / (loaded - startedWith)));
}

function Sending({ one }) {
  useServerNow(); // redraws the time left every second
  return one.loaded >= one.size ? T.upload.saving : T.upload.sending(partOf(one), leftOf(one));
}

function Words({ one, lost }) {
  switch (one.state) {
    case "waiting":
      return one.loaded ? T.upload.goesOn(partOf(one)) : T.upload.waiting;
    case "lost":
      return lost ? T.upload.paused(partOf(one)) : T.upload.goesOn(partOf(one));
    case "sending":
      return lost ? T.upload.paused(partOf(one)) : html`<${Sending} one=${one} />`;
    case "paused":
      return T.upload.paused(partOf(one));
    case "interrupted":
      return T.upload.stopped(partOf(one));
    case "done":
      return size(one.size);
    default:
      return "";
  }
}

function Bar({ part, name }) {
  return html`<div class="prog" role="progressbar" aria-valuenow=${part} aria-valuemin="0" aria-valuemax="100"
    aria-valuetext=${percent(part)} aria-label=${name}><i style=${{ width: `${part}%` }}></i></div>`;
}

const link = (words, label, lost, onClick) => html`<button class="linkbtn" type="button" disabled=${lost}
  aria-label=${label} onClick=${onClick}>${words}</button>`;

/** A file of that name is there. */
function Conflict({ one, lost }) {
  const name = visible(one.name);
  const choice = (how, words, label) => link(words, label, lost, () => resolve([one.id], how));
  return html`<div class="upload-why"><p role="alert">${T.upload.exists}</p>
    <p class="upload-acts">
      ${choice("replace", T.upload.replace, T.upload.replaceName(name))}
      ${choice("both", T.upload.both, T.upload.bothName(name))}
      ${choice("skip", T.upload.skip, T.upload.skipName(name))}
    </p>
  </div>`;
}

/** Several names are taken: one answer for all of them. */
function Conflicts({ ids, lost }) {
  const choice = (how, words, label) => link(words, label, lost, () => resolve(ids, how));
  return html`<div class="upload-why upload--total"><p>${T.upload.manyExist(ids.length)}</p>
    <p class="upload-acts">
      ${choice("replace", T.upload.replaceAll, T.upload.replaceAllName(ids.length))}
      ${choice("both", T.upload.bothAll, T.upload.bothAllName(ids.length))}
      ${choice("skip", T.upload.skipAll, T.upload.skipAllName(ids.length))}
    </p>
  </div>`;
}

function Again({ one, lost }) {
  const picker = useRef(null);
  const name = visible(one.name);
  const choose = () => picker.current.click();
  return html`<div class="upload-why"><p>${T.upload.again}</p>
    <p class="upload-acts">${link(T.upload.chooseAgain, T.upload.chooseAgainName(name), lost, choose)}</p>
    ${one.error && html`<p role="alert">${one.error}</p>`}
    <input type="file" hidden ref=${picker} data-again=${one.id} onChange=${(event) => {
      upload([...event.target.files], { goesOn: one.id });
      event.target.value = "";
    }} /></div>`;
}

function Upload({ one, lost }) {
  const name = visible(one.name);
  const goesOn = ["sending", "waiting", "lost"].includes(one.state);
  const isHeld = ["paused", "interrupted"].includes(one.state);
  const removal = goesOn || isHeld ? T.upload.cancel(name) : T.upload.dismiss(name);
  const bar = isHeld || (goesOn && (one.state === "sending" || one.loaded > 0));
  return html`<li class="upload" data-state=${one.state}>
    <div class="drop-row">
      ${one.state === "done" && html`<${Icon} name="completed" />`}
      ${TROUBLED.includes(one.state) && html`<${Icon} name="warn" />`}
      <span class="trunc grow mono" title=${visible(one.path)}><bdi>${name}</bdi></span>
      <span class="num dim"><${Words} one=${one} lost=${lost} /></span>
      ${one.state === "paused" && link(T.upload.resume, T.upload.resumeName(name), lost, () => retry(one.id))}
      ${one.state === "sending" && one.size > LARGE && html`<button class="ib" type="button"
        aria-label=${T.upload.pause(name)} title=${T.upload.pause(name)} onClick=${() => pause(one.id)}>
        <${Icon} name="pause" /></button>`}
      ${one.state === "failed" && canRetry(one.id) && link(T.retry, T.upload.retry(name), lost, () => retry(one.id))}
      <button class="ib" type="button" aria-label=${removal} title=${removal} onClick=${() => dismiss(one.id)}>
        <${Icon} name="x" /></button>
    </div>
    ${one.state === "failed" && html`<p class="upload-why" role="alert">${one.error}</p>`}
    ${one.state === "exists" && html`<${Conflict} one=${one} lost=${lost} />`}
    ${one.state === "interrupted" && html`<${Again} one=${one} lost=${lost} />`}
    ${bar && html`<${Bar} part=${partOf(one)} name=${T.upload.progress(name)} />`}
  </li>`;
}

function Total({ total, lost }) {
  useServerNow();
  const held = total.open > 0 && total.paused === total.open;
  const part = total.size ? Math.min(100, Math.floor((total.loaded / total.size) * 100)) : 0;
  const words = total.open
    ? T.upload.total(total.done, total.count, percent(part), held || lost ? "" : leftOf(total))
    : T.upload.totalDone(total.done, size(total.size));
  return html`<div class="upload upload--total">
    <div class="drop-row"><span class="grow num">${words}</span>
      ${total.open > 0 && (held
        ? link(T.upload.resume, T.upload.resumeAll, lost, retryAll)
        : link(T.upload.pauseWord, T.upload.pauseAll, lost, pauseAll))}
      ${total.open
        ? link(T.upload.cancelWord, T.upload.cancelAll, false, dismissAll)
        : link(T.dismiss, T.upload.dismissAll, false, dismissAll)}
    </div>
    ${total.open > 0 && html`<${Bar} part=${part} name=${T.upload.progressAll} />`}
  </div>`;
}

const RANK = { exists: 0, failed: 0, interrupted: 0, sending: 1, lost: 1, paused: 2, waiting: 3, done: 4 };

/** @param {{lost: boolean}} props */
export function Sends({ lost }) {
  const list = useStore((state) => state.list, uploads).filter((one) => !one.attached);
  if (!list.length) return null;
  const many = list.length > LINES;
  const conflicts = list.filter((one) => one.state === "exists").map((one) => one.id);
  const shown = many
    ? [...list].sort((a, b) => RANK[a.state] - RANK[b.state]).slice(0, LINES).sort((a, b) => a.id - b.id)
    : list;
  const total = totalOf(list);
  return html`${total.count > 1 && html`<${Total} total=${total} lost=${lost} />`}
    ${conflicts.length > 1 && html`<${Conflicts} ids=${conflicts} lost=${lost} />`}
    <ul class="uploads" aria-label=${T.upload.list}>
      ${shown.map((one) => html`<${Upload} key=${one.id} one=${one} lost=${lost} />`)}
    </ul>
    ${many && html`<p class="fine">${T.upload.more(list.length - shown.length)}</p>`}`;
}
