/** Where files are dropped or chosen, and how their uploads stand. */

import { useDragOver } from "../drag.js";
import { percent, size, visible } from "../format.js";
import { html, useRef } from "../html.js";
import { LARGE } from "../sending.js";
import { T } from "../text.js";
import { canRetry, dismiss, pause, retry, upload, uploads } from "../uploads.js";
import { useStore } from "../use-store.js";
import { useServerNow } from "./elapsed.js";
import { Icon } from "./icons.js";

const ESTIMATE_AFTER_S = 2;

const partOf = (one) => (one.size ? Math.min(100, Math.floor((one.loaded / one.size) * 100)) : 0);

function Sending({ one }) {
  useServerNow(); // redraws the time left every second
  if (one.loaded >= one.size) return T.upload.saving;
  const seconds = (Date.now() - one.startedAt) / 1000;
  if (seconds < ESTIMATE_AFTER_S || one.loaded <= one.startedWith) return T.upload.sending(partOf(one), "");
  const come = one.loaded - one.startedWith;
  return T.upload.sending(partOf(one), T.upload.left(Math.ceil((seconds * (one.size - one.loaded)) / come)));
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
    case "done":
      return size(one.size);
    default:
      return "";
  }
}

function Upload({ one, lost }) {
  const name = visible(one.name);
  const goesOn = ["sending", "waiting", "lost"].includes(one.state);
  const removal = goesOn || one.state === "paused" ? T.upload.cancel(name) : T.upload.dismiss(name);
  const bar = one.state === "paused" || (goesOn && (one.state === "sending" || one.loaded > 0));
  return html`<li class="upload" data-state=${one.state}>
    <div class="drop-row">
      ${one.state === "done" && html`<${Icon} name="completed" />`}
      ${(one.state === "failed" || one.state === "exists") && html`<${Icon} name="warn" />`}
      <span class="trunc grow mono" title=${name}>${name}</span>
      <span class="num dim"><${Words} one=${one} lost=${lost} /></span>
      ${one.state === "exists" && html`<button class="linkbtn" type="button" disabled=${lost}
        aria-label=${T.upload.replaceName(name)} onClick=${() => retry(one.id, true)}>${T.upload.replace}</button>`}
      ${one.state === "paused" && html`<button class="linkbtn" type="button" disabled=${lost}
        aria-label=${T.upload.resumeName(name)} onClick=${() => retry(one.id)}>${T.upload.resume}</button>`}
      ${one.state === "sending" && one.size > LARGE && html`<button class="ib" type="button"
        aria-label=${T.upload.pause(name)} title=${T.upload.pause(name)} onClick=${() => pause(one.id)}>
        <${Icon} name="pause" /></button>`}
      ${one.state === "failed" && canRetry(one.id) && html`<button class="linkbtn" type="button" disabled=${lost}
        aria-label=${T.upload.retry(name)} onClick=${() => retry(one.id)}>${T.retry}</button>`}
      <button class="ib" type="button" aria-label=${removal} title=${removal} onClick=${() => dismiss(one.id)}>
        <${Icon} name="x" /></button>
    </div>
    ${one.state === "failed" && html`<p class="upload-why" role="alert">${one.error}</p>`}
    ${one.state === "exists" && html`<p class="upload-why" role="alert">${T.upload.exists}</p>`}
    ${bar && html`<div class="prog" role="progressbar" aria-valuenow=${partOf(one)} aria-valuemin="0"
      aria-valuemax="100" aria-valuetext=${percent(partOf(one))} aria-label=${T.upload.progress(name)}>
        <i style=${{ width: `${partOf(one)}%` }}></i></div>`}
  </li>`;
}

/** "choose files" or "a folder", a real file field behind a link. */
export function ChooseFiles({ lost, folder = false }) {
  const picker = useRef(null);
  const choose = (event) => {
    upload([...event.target.files]);
    event.target.value = "";
  };
  return html`<button class="linkbtn" type="button" disabled=${lost}
    onClick=${() => picker.current.click()}>${folder ? T.workspace.chooseFolder : T.workspace.choose}</button>
      <input type="file" multiple hidden webkitdirectory=${folder} ref=${picker} onChange=${choose} />`;
}

/** @param {{lost: boolean}} props */
export function DropZone({ lost }) {
  const list = useStore((state) => state.list, uploads).filter((one) => !one.attached);
  const [over, handlers] = useDragOver();
  return html`<div class=${`drop${over ? " drop--over" : ""}`} data-dropzone="inputs" ...${handlers}>
    <div class="drop-row"><${Icon} name="ul" />
      <span>${over ? T.workspace.dropNow : html`${T.workspace.drop}<${ChooseFiles}
        lost=${lost} />${T.workspace.or}<${ChooseFiles} lost=${lost} folder />`}</span>
    </div>
    ${list.length > 0 && html`<ul class="uploads">
      ${list.map((one) => html`<${Upload} key=${one.id} one=${one} lost=${lost} />`)}
    </ul>`}
  </div>`;
}
