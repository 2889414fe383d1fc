/** A look into one file, and into those beside it. */

import { fileUrl } from "../api.js";
import { closeDialog } from "../dialogs.js";
import { files, parentOf } from "../files.js";
import { size, visible } from "../format.js";
import { html, useEffect, useState } from "../html.js";
import { kindOf } from "../previews.js";
import { T } from "../text.js";
import { useStore } from "../use-store.js";
import { Icon } from "./icons.js";
import { Preview } from "./preview.js";

/** @param {{file: {path: string, name: string, size: number}}} props */
export function Look({ file: first }) {
  const [file, setFile] = useState(first);
  const ip = useStore((state) => state.ip);
  const folder = useStore((state) => state.folders[parentOf(file.path)], files);
  const [about, setAbout] = useState("");
  useEffect(() => setAbout(""), [file.path]);
  const beside = (folder?.entries ?? []).filter((entry) => entry.type === "file" && kindOf(entry.name, entry.size));
  const at = beside.findIndex((entry) => entry.name === file.name);
  const show = ({ name, size: bytes }) => setFile({ path: `${parentOf(file.path)}/${name}`, name, size: bytes });
  const step = (by) => at >= 0 && beside[at + by] && show(beside[at + by]);
  useEffect(() => {
    const onKeyDown = (event) => {
      // Where something is scrolled sideways or typed, the arrows are its own.
      if (event.target.closest("input, textarea, select, .xscroll, pre")) return;
      if (event.altKey || event.ctrlKey || event.metaKey) return;
      if (event.key === "ArrowLeft") step(-1);
      else if (event.key === "ArrowRight") step(1);
    };
    document.addEventListener("keydown", onKeyDown);
    return () => document.removeEventListener("keydown", onKeyDown);
  });
  const name = visible(file.name);
  const arrow = (icon, by, words) => html`<button class="ib ib--lg" type="button" aria-label=${words} title=${words}
    disabled=${!beside[at + by]} onClick=${() => step(by)}><${Icon} name=${icon} /></button>`;
  return html`<div class="dialog-head">
      <h2 id="h-dialog" class="mono trunc"><bdi>${name}</bdi></h2>
      <span class="fine num">${about}${size(file.size)}</span><span class="grow"></span>
      ${at >= 0 && beside.length > 1 && html`${arrow("left", -1, T.workspace.previous)}
        <span class="fine num" aria-live="polite">${T.workspace.nth(at + 1, beside.length)}</span>
        ${arrow("right", 1, T.workspace.next)}`}
      <a class="btn" href=${fileUrl(ip, file.path)} download><${Icon} name="dl" />${T.log.download}</a>
      <button class="ib ib--lg" type="button" autofocus aria-label=${T.close} title=${T.close}
        onClick=${() => closeDialog()}><${Icon} name="x" /></button>
    </div>
    <div class="dialog-look"><${Preview} key=${file.path} path=${file.path} name=${name} bytes=${file.size}
      kind=${kindOf(file.name, file.size)} onAbout=${setAbout} /></div>`;
}
