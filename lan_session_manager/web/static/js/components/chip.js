/** A file that belongs to the task being written: its progress, then its name, which puts its path into the command. */

import { percent, size, visible } from "../format.js";
import { html } from "../html.js";
import { T } from "../text.js";
import { canRetry, dismiss, retry } from "../uploads.js";
import { Icon, iconFor } from "./icons.js";

const part = (one) => (one.size ? Math.floor((one.loaded / one.size) * 100) : 0);

function Progress({ one, lost }) {
  if (one.state === "waiting") return one.loaded ? T.upload.goesOn(part(one)) : T.upload.waiting;
  if (one.state === "sending") return lost ? T.upload.paused(part(one)) : percent(part(one));
  if (one.state === "lost") return T.upload.goesOn(part(one));
  if (one.state === "paused") return T.upload.paused(part(one));
  if (one.state === "exists") return T.upload.exists;
  if (one.state === "failed") return one.error;
  return size(one.size);
}

/** @param {{one: import("../types.js").Upload, lost: boolean, insert: (path: string) => void}} props */
export function Chip({ one, lost, insert }) {
  const name = visible(one.name);
  const troubled = one.state === "failed" || one.state === "exists" || one.state === "paused";
  const removal = one.state === "sending" || one.state === "lost" ? T.upload.cancel(name) : T.composer.detach(name);
  return html`<span class=${`chip${troubled ? " chip--bad" : ""}`} data-state=${one.state}>
    <${Icon} name=${troubled ? "warn" : iconFor(one.name)} />
    ${one.state === "done"
      ? html`<button class="chip-name mono trunc" type="button" title=${T.composer.insert(visible(one.path))}
        aria-label=${T.composer.insert(visible(one.path))} onClick=${() => insert(one.path)}>${name}</button>`
      : html`<span class="mono trunc">${name}</span>`}
    <span class="trunc num"><${Progress} one=${one} lost=${lost} /></span>
    ${one.state === "exists" && html`<button class="linkbtn" type="button" aria-label=${T.upload.replaceName(name)}
      onClick=${() => retry(one.id, true)}>${T.upload.replace}</button>`}
    ${(one.state === "paused" || one.state === "failed") && canRetry(one.id) && html`<button class="linkbtn" type="button" disabled=${lost}
      aria-label=${T.upload.retry(name)} onClick=${() => retry(one.id)}>${T.retry}</button>`}
    <button class="ib" type="button" aria-label=${removal} title=${removal} onClick=${() => dismiss(one.id)}>
      <${Icon} name="x" /></button>
  </span>`;
}
