/** The files that a task made, with a look into those that can be shown safely. */

import { fileUrl } from "../api.js";
import { size, visible } from "../format.js";
import { html, useState } from "../html.js";
import { hasEnded } from "../outcomes.js";
import { kindOf } from "../previews.js";
import { T } from "../text.js";
import { useStore } from "../use-store.js";
import { Icon, iconFor } from "./icons.js";
import { Preview } from "./preview.js";

const OPEN_AT_FIRST = 3;

function Output({ output, ip, lost, openAtFirst }) {
  const kind = kindOf(output.path, output.size);
  const [open, setOpen] = useState(openAtFirst && Boolean(kind));
  const [about, setAbout] = useState("");
  const name = visible(output.path.replace(/^outputs\//, ""));
  const face = html`<${Icon} name=${iconFor(output.path)} /><span class="mono strong trunc"><bdi>${name}</bdi></span>`;
  return html`<div class="out">
    <div class="out-head">
      ${kind
        ? html`<button class="out-name" type="button" aria-expanded=${open}
          title=${open ? T.outputs.hide(name) : T.outputs.show(name)} onClick=${() => setOpen(!open)}>${face}</button>`
        : html`<span class="out-name">${face}</span>`}
      <span class="fine num">${open ? about : ""}${size(output.size)}</span><span class="grow"></span>
      ${lost
        ? html`<button class="ib" type="button" disabled aria-label=${T.workspace.download(name)}>
          <${Icon} name="dl" /></button>`
        : html`<a class="ib" href=${fileUrl(ip, output.path)} download aria-label=${T.workspace.download(name)}
          title=${T.workspace.download(name)}><${Icon} name="dl" /></a>`}
    </div>
    ${open && html`<${Preview} path=${output.path} name=${name} bytes=${output.size} kind=${kind}
      onAbout=${setAbout} />`}
  </div>`;
}

/** @param {{task: import("../types.js").Task, lost: boolean}} props */
export function Outputs({ task, lost }) {
  const ip = useStore((state) => state.ip);
  if (!task.outputs.length) {
    const words = hasEnded(task) ? T.outputs.noneEnded : T.outputs.none;
    return html`<div class="scroll" tabindex="0"><p class="nothing">${words}</p></div>`;
  }
  const shown = task.outputs.length;
  const hidden = task.outputs_total - shown;
  return html`<div class="scroll" tabindex="0">
    ${task.outputs.map((output, i) => html`<${Output} key=${output.path} output=${output} ip=${ip} lost=${lost}
      openAtFirst=${i < OPEN_AT_FIRST && !lost} />`)}
    <p class="fine out-foot">
      ${hidden > 0 && `${T.outputs.firstOf(shown, task.outputs_total)} `}<a href="#files">${T.outputs.open}</a>
    </p>
  </div>`;
}
