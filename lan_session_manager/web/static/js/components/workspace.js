/** The workspace: how full it is, its files, and the way in for more. */

import { onMessage } from "../actions.js";
import { show } from "../dialogs.js";
import { startFolder } from "../fileactions.js";
import { SORTS, changed, files, isShared, parentOf, refresh, sortBy } from "../files.js";
import { sizeMb } from "../format.js";
import { html, useEffect, useRef } from "../html.js";
import { T } from "../text.js";
import { findCut, upload } from "../uploads.js";
import { useStore } from "../use-store.js";
import { DropZone } from "./dropzone.js";
import { Icon } from "./icons.js";
import { Popover } from "./popover.js";
import { StaleTag } from "./state.js";
import { Undo } from "./trash.js";
import { Tree } from "./tree.js";

const NEARLY_FULL = 0.9;
const MB = 1024 * 1024;

const share = (mb, quota) => `${Math.min(100, (mb / quota) * 100)}%`;

function Usage({ lost }) {
  const usage = useStore((state) => state.dash.workspace_usage);
  const quota = useStore((state) => state.dash.permissions.workspace_quota_mb);
  const trash = usage.trash_mb ?? 0;
  const parts = [
    ["k1", T.workspace.inputs, usage.inputs_mb],
    ["k2", T.workspace.outputs, usage.outputs_mb],
    ["k3", T.workspace.temp, usage.temp_mb],
  ];
  const over = usage.size_mb - trash > quota;
  // What is in the trash makes room by itself.
  const full = usage.size_mb - trash >= quota * NEARLY_FULL;
  const sum = Math.max(quota, usage.size_mb);
  return html`<div class="use">
    <div class="fine use-sum"><b class="strong">${sizeMb(usage.size_mb)}</b>${T.workspace.used(sizeMb(quota))}</div>
    <div class=${`use-bar${full ? " use-bar--full" : ""}`} role="img"
      aria-label=${T.workspace.usedName(sizeMb(usage.size_mb), sizeMb(quota))}>
      ${[...parts, ["k4", "", trash]].map(
        ([cls, , mb]) => mb > 0 && html`<i class=${cls} style=${{ width: share(mb, sum) }}></i>`,
      )}
    </div>
    ${full && html`<p class="use-full" role="status"><${Icon} name="warn" />
      <span>${over ? T.workspace.over : T.workspace.full}</span></p>`}
    <div class="use-key">
      ${usage.size_mb > 0
        ? parts.map(([cls, word, mb]) => html`<span key=${cls}><i class=${cls}></i>${word} ${sizeMb(mb)}</span>`)
        : html`<span>${T.workspace.all}</span>`}
    </div>
    ${(usage.trash_files ?? 0) > 0 && html`<p class="fine use-trash"><${Icon} name="trash" />
      <span class="grow">${T.trash.held(trash * MB)}</span>
      <button class="linkbtn" type="button" disabled=${lost} aria-label=${T.trash.showName}
        onClick=${() => show({ kind: "trash" })}>${T.trash.show}</button></p>`}
  </div>`;
}

function Tools({ lost }) {
  const sort = useStore((state) => state.sort, files);
  const folder = useStore(({ active, folders, open }) => {
    const at = active in folders && open[active] ? active : parentOf(active) || active;
    return isShared(at) || !at ? "inputs" : at;
  }, files);
  const choose = (close) => html`<div class="sorts" role="radiogroup" aria-label=${T.workspace.sort}>
    ${SORTS.map((each) => html`<label key=${each} class="sort"><input type="radio" name="sort" checked=${each === sort}
      onChange=${() => sortBy(each)} onClick=${(event) => event.detail > 0 && close()} />
      ${T.workspace.sorts[each]}</label>`)}
  </div>`;
  return html`<div class="tree-tools">
    <${Popover} title=${T.workspace.sort} name=${T.workspace.sortName(T.workspace.sorts[sort])} buttonClass="quiet"
      cardClass="pop-card--start" face=${html`<${Icon} name="sort" />${T.workspace.sorts[sort]}`}>${choose}<//>
    <span class="grow"></span>
    <button class="quiet" type="button" disabled=${lost} title=${T.workspace.newIn(`${folder}/`)}
      onClick=${() => startFolder(folder)}><${Icon} name="newdir" />${T.workspace.newFolder}</button>
  </div>`;
}

/** The first section of the rail. */
export function Workspace() {
  const name = useStore((state) => state.dash.session.workspace);
  const lost = useStore((state) => state.connection.lost);
  const version = useStore((state) => state.filesVersion);
  // Without a live connection nobody says what has changed: it is looked for as often as the dashboard is.
  const polled = useStore((state) => (state.connection.state === "polling" ? state.lastData : 0));
  const picker = useRef(null);
  const into = useRef("");
  useEffect(() => refresh(), [version, polled]);
  useEffect(() => onMessage((message) => message.event === "workspace_changed" && changed(message.path)), []);
  useEffect(() => {
    if (!lost) findCut();
  }, [lost]);
  const choose = (event) => {
    upload([...event.target.files], { into: into.current });
    event.target.value = "";
  };
  return html`<section id="pane-files" class=${lost ? "is-stale" : ""} aria-labelledby="h-files">
    <div class="sec-head">
      <h2 id="h-files">${T.workspace.title}</h2><span class="grow"></span>
      ${lost ? html`<${StaleTag} />` : html`<span class="fine mono trunc">${name}</span>`}
    </div>
    <${Usage} lost=${lost} />
    <${Undo} lost=${lost} />
    <${Tools} lost=${lost} />
    <div class="tree-box"><${Tree} lost=${lost} onUpload=${(path) => {
      into.current = path;
      picker.current.click();
    }} /></div>
    <input type="file" multiple hidden ref=${picker} data-upload-here onChange=${choose} />
    <${DropZone} lost=${lost} />
  </section>`;
}
