/** The files of the workspace as a tree. A folder is asked for when it is opened. */

import { removeFile, unpack } from "../actions.js";
import { archiveUrl, fileUrl } from "../api.js";
import { confirm, preview } from "../dialogs.js";
import { canRun } from "../draft.js";
import { ROOTS, files, load, toggle } from "../files.js";
import { size, sizeMb, visible } from "../format.js";
import { html, useState } from "../html.js";
import { kindOf } from "../previews.js";
import { T } from "../text.js";
import { isArchive } from "../unpack.js";
import { useStore } from "../use-store.js";
import { Icon, iconFor } from "./icons.js";

const AT_FIRST = 100;

function Action({ icon, name, lost, href, onClick }) {
  if (lost) return html`<button class="ib" type="button" disabled aria-label=${name}><${Icon} name=${icon} /></button>`;
  if (href) return html`<a class="ib" href=${href} download aria-label=${name} title=${name}>
    <${Icon} name=${icon} /></a>`;
  return html`<button class="ib" type="button" aria-label=${name} title=${name} onClick=${onClick}>
    <${Icon} name=${icon} /></button>`;
}

const slot = html`<span class="slot"></span>`;

async function askRemove(path, name, entry) {
  const body = entry.type === "directory" ? T.dialog.deleteDirBody : T.dialog.deleteFileBody(size(entry.size));
  const question = { title: T.dialog.deleteFile(name), body, button: T.dialog.deleteFileButton(name) };
  if (await confirm(question)) await removeFile(path);
}

async function askEmpty(path, mb) {
  const name = `${path}/`;
  const body = T.dialog.emptyDirBody(sizeMb(mb));
  const question = { title: T.dialog.emptyDir(name), body, button: T.dialog.emptyDirButton(name) };
  if (await confirm(question)) await removeFile(path);
}

function File({ path, entry, level, ip, lost, readOnly }) {
  const name = visible(entry.name);
  const runs = useStore((state) => canRun(state.dash));
  const shows = !lost && entry.type === "file" && kindOf(entry.name, entry.size);
  return html`<li class="f" style=${{ "--level": level }}>
    <${Icon} name=${iconFor(entry.name)} />
    ${shows
      ? html`<button class="name" type="button" title=${T.workspace.preview(name)}
        onClick=${() => preview({ path, name: entry.name, size: entry.size })}><bdi>${name}</bdi></button>`
      : html`<span class="name" title=${name}><bdi>${name}</bdi></span>`}
    <span class="size num">${entry.size === null || entry.type === "other" ? "" : size(entry.size)}</span>
    ${entry.type === "file" && !readOnly && runs && isArchive(entry.name) && html`<${Action} icon="unpack"
      name=${T.workspace.unpack(name)} lost=${lost} onClick=${() => unpack(path)} />`}
    ${entry.type === "file" ? html`<${Action} icon="dl" name=${T.workspace.download(name)} lost=${lost}
      href=${fileUrl(ip, path)} />` : slot}
    ${readOnly ? slot : html`<${Action} icon="trash" name=${T.workspace.remove(name)} lost=${lost}
      onClick=${() => askRemove(path, name, entry)} />`}
  </li>`;
}

function FolderActions({ path, entry, root, ip, lost, readOnly, mb, isEmpty }) {
  const name = `${visible(entry.name)}/`;
  if (root && readOnly) return html`<span class="tag"><${Icon} name="lock" />${T.workspace.readOnly}</span>`;
  if (root && isEmpty) return html`<span class="size flush">${T.workspace.empty}</span>`;
  const zip = html`<${Action} icon="zip" name=${T.workspace.zip(name)} lost=${lost} href=${archiveUrl(ip, path)} />`;
  if (readOnly) return html`${zip}${slot}`;
  if (!root) return html`${zip}<${Action} icon="trash" name=${T.workspace.remove(name)} lost=${lost}
    onClick=${() => askRemove(path, name, entry)} />`;
  if (path === "temp") return html`${zip}<${Action} icon="trash" name=${T.workspace.emptyDir(name)} lost=${lost}
    onClick=${() => askEmpty(path, mb)} />`;
  return html`${zip}${slot}`;
}

function Folder({ path, entry, level, mb, ...shared }) {
  const folder = useStore((state) => state.folders[path], files);
  const open = useStore((state) => Boolean(state.open[path]), files);
  const root = level === 0;
  const readOnly = path === "shared" || path.startsWith("shared/");
  const name = `${visible(entry.name)}/`;
  const isEmpty = folder?.state === "ready" ? !folder.entries.length : root && !readOnly && mb === 0;
  return html`<li class="dir" style=${{ "--level": level }}>
      <button class="name" type="button" aria-expanded=${open} title=${name} onClick=${() => toggle(path)}>
        <${Icon} name=${open ? "down" : "right"} /><${Icon} name="dir" /><bdi>${name}</bdi>
      </button>
      ${!isEmpty && mb !== undefined && html`<span class="size num">${sizeMb(mb)}</span>`}
      <${FolderActions} ...${shared} path=${path} entry=${entry} root=${root} readOnly=${readOnly} mb=${mb}
        isEmpty=${isEmpty} />
    </li>
    ${open && html`<${Entries} ...${shared} path=${path} folder=${folder} level=${level + 1} readOnly=${readOnly}
      root=${root} />`}`;
}

function Entries({ path, folder, level, readOnly, root, ...shared }) {
  const [shown, setShown] = useState(AT_FIRST);
  const say = (words) => html`<li class="f says" style=${{ "--level": level }}>${words}</li>`;
  if (!folder) return null;
  if (folder.state === "loading") return say(T.reading);
  if (folder.state === "failed") {
    return say(html`${T.workspace.failed} <button class="linkbtn" type="button" disabled=${shared.lost}
      onClick=${() => load(path)}>${T.retry}</button>`);
  }
  if (!folder.entries.length) return root && !readOnly ? null : say(T.workspace.empty);
  const rest = folder.entries.length - shown;
  return html`${folder.entries.slice(0, shown).map((entry) => {
      const below = `${path}/${entry.name}`;
      return entry.type === "directory"
        ? html`<${Folder} ...${shared} key=${below} path=${below} entry=${entry} level=${level} />`
        : html`<${File} ...${shared} key=${below} path=${below} entry=${entry} level=${level} readOnly=${readOnly} />`;
    })}
    ${rest > 0 && say(html`<button class="linkbtn" type="button"
      onClick=${() => setShown(shown + AT_FIRST * 5)}>${T.workspace.more(rest)}</button>`)}
    ${folder.truncated && rest <= 0 && say(T.workspace.truncated)}`;
}

/** @param {{lost: boolean}} props */
export function Tree({ lost }) {
  const ip = useStore((state) => state.ip);
  const usage = useStore((state) => state.dash.workspace_usage);
  const mb = { inputs: usage.inputs_mb, outputs: usage.outputs_mb, temp: usage.temp_mb };
  return html`<ul class="tree" aria-label=${T.workspace.tree}>
    ${ROOTS.map((path) => html`<${Folder} key=${path} path=${path}
      entry=${{ name: path, type: "directory", size: null }} level=${0} mb=${mb[path]} ip=${ip} lost=${lost} />`)}
  </ul>`;
}
