/** The files that a task made, also while it runs, with a look into those that can be shown safely. */

import * as api from "../api.js";
import { size, visible } from "../format.js";
import { html, useEffect, useState } from "../html.js";
import { hasEnded } from "../outcomes.js";
import { kindOf } from "../previews.js";
import { T } from "../text.js";
import { useStore } from "../use-store.js";
import { Icon, iconFor } from "./icons.js";
import { Preview } from "./preview.js";

const OPEN_AT_FIRST = 3;
const OPENS_BY_ITSELF = new Set(["image", "table", "text", "json", "markdown", "drawing", "pdf", "audio", "video"]);
const ASK_MS = 4000;

/** The outputs of an ended task are part of it; of a running one they are asked for as long as they are looked at. */
function useOutputs(task, lost) {
  const [found, setFound] = useState(null);
  const filesVersion = useStore((state) => state.filesVersion);
  const running = task.status === "running" && task.runner !== "swarm";
  useEffect(() => {
    if (!running || lost) return undefined;
    let wanted = true;
    const ask = () =>
      api.taskOutputs(task.task_id).then(
        (answer) => wanted && setFound(answer),
        () => {},
      );
    ask();
    const timer = setInterval(ask, ASK_MS);
    return () => {
      wanted = false;
      clearInterval(timer);
    };
  }, [task.task_id, running, lost, filesVersion]);
  return running && found ? found : task;
}

function Download({ name, href, lost }) {
  const words = T.workspace.download(name);
  if (lost) return html`<button class="ib" type="button" disabled aria-label=${words}><${Icon} name="dl" /></button>`;
  return html`<a class="ib" href=${href} download aria-label=${words} title=${words}><${Icon} name="dl" /></a>`;
}

function Output({ output, ip, lost, isNew, openAtFirst }) {
  const kind = kindOf(output.path, output.size);
  const [open, setOpen] = useState(openAtFirst && OPENS_BY_ITSELF.has(kind));
  const [about, setAbout] = useState("");
  const name = visible(output.path.replace(/^outputs\//, ""));
  const face = html`<${Icon} name=${iconFor(output.path)} /><span class="mono strong trunc"><bdi>${name}</bdi></span>`;
  return html`<li class="out">
    <div class="out-head">
      ${kind
        ? html`<button class="out-name" type="button" aria-expanded=${open}
          title=${open ? T.outputs.hide(name) : T.outputs.show(name)} onClick=${() => setOpen(!open)}>
          <${Icon} name=${open ? "down" : "right"} />${face}</button>`
        : html`<span class="out-name out-name--plain">${face}</span>`}
      <span class="fine num">${open && html`<span class="phone-hide">${about}</span>`}${size(output.size)}</span>
      ${isNew && html`<span class="tag">${T.outputs.isNew}</span>`}<span class="grow"></span>
      <${Download} name=${name} href=${api.fileUrl(ip, output.path)} lost=${lost} />
    </div>
    ${open && html`<${Preview} key=${output.size} path=${output.path} name=${name} bytes=${output.size} kind=${kind}
      onAbout=${setAbout} />`}
  </li>`;
}

/** @param {string[]} paths @returns {string} the deepest folder that all of them are in */
function folderOf(paths) {
  const [first = "", ...rest] = paths.map((path) => path.split("/").slice(0, -1));
  if (!first) return "outputs";
  const same = (n) => rest.every((parts) => parts[n] === first[n]);
  let depth = 0;
  while (depth < first.length && same(depth)) depth += 1;
  return first.slice(0, depth).join("/") || "outputs";
}

// What came since the tab was opened.
function useNews(outputs, running) {
  const [known, setKnown] = useState(null);
  useEffect(() => {
    if (known === null && outputs.length) setKnown(new Set(outputs.map(({ path }) => path)));
  }, [outputs]);
  return (path) => running && known !== null && !known.has(path);
}

/** @param {{task: import("../types.js").Task, lost: boolean}} props */
export function Outputs({ task, lost }) {
  const ip = useStore((state) => state.ip);
  const { outputs, outputs_total: total } = useOutputs(task, lost);
  const ended = hasEnded(task);
  const isNew = useNews(outputs, !ended);
  if (!outputs.length) {
    const words = ended ? T.outputs.noneEnded : task.status === "queued" ? T.outputs.noneQueued : T.outputs.none;
    return html`<div class="scroll" tabindex="0"><p class="nothing">${words}</p></div>`;
  }
  const hidden = total - outputs.length;
  const folder = folderOf(outputs.map(({ path }) => path));
  return html`<div class="scroll" tabindex="0">
    ${!ended && html`<p class="fine out-live">${T.outputs.soFar}</p>`}
    <ul>${outputs.map((output, i) => html`<${Output} key=${output.path} output=${output} ip=${ip} lost=${lost}
      isNew=${isNew(output.path)} openAtFirst=${ended && i < OPEN_AT_FIRST && !lost} />`)}</ul>
    <p class="fine out-foot">
      ${hidden > 0 && html`<span>${T.outputs.firstOf(outputs.length, total)}</span>`}
      ${total > 1 && !lost && html`<a href=${api.archiveUrl(ip, folder)} download>${T.outputs.zip(visible(folder))}</a>`}
      <a href="#files">${T.outputs.open}</a>
    </p>
  </div>`;
}
