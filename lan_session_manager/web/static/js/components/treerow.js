/** The rows of the tree of files. */

import { archiveUrl, fileUrl } from "../api.js";
import { isShared, parentOf } from "../files.js";
import { nameTyped, startRename, stopTyping } from "../fileactions.js";
import { clock, ms, size, sizeMb, visible } from "../format.js";
import { html, memo, useLayoutEffect, useRef } from "../html.js";
import { T } from "../text.js";
import { useStore } from "../use-store.js";
import { Icon, iconFor } from "./icons.js";

/** An action of a row for a pointer; the keyboard has the menu and keys of its own. */
function Action({ icon, name, lost, href, onClick, ...rest }) {
  if (href && !lost) return html`<a class="ib" href=${href} download tabindex="-1" aria-label=${name} title=${name}>
    <${Icon} name=${icon} /></a>`;
  return html`<button class="ib" type="button" tabindex="-1" disabled=${lost} aria-label=${name} title=${name}
    onClick=${onClick} ...${rest}><${Icon} name=${icon} /></button>`;
}

const slot = html`<span class="slot wide"></span>`;

function NameField({ label, value, error, onDone, onEnd }) {
  const field = useRef(null);
  const over = useRef(false);
  useLayoutEffect(() => {
    field.current.value = value; // once: what is typed then is the person's
    field.current.focus();
    // The ending mostly stays as it is.
    const dot = value.lastIndexOf(".");
    field.current.setSelectionRange(0, dot > 0 ? dot : value.length);
  }, []);
  const end = async (name) => {
    if (over.current) return;
    over.current = true;
    over.current = await onDone(name);
    if (over.current) onEnd();
    else field.current?.focus();
  };
  const onKeyDown = (event) => {
    event.stopPropagation();
    if (event.key === "Enter") end(event.target.value);
    else if (event.key === "Escape") {
      over.current = true;
      stopTyping();
      onEnd();
    }
  };
  const onBlur = (event) => {
    if (over.current || !document.hasFocus()) return;
    // Left without a change or with a name that cannot be: as it was. Else it is as if Enter had been pressed.
    if (error || event.target.value === value || !event.target.value.trim()) {
      over.current = true;
      stopTyping();
    } else end(event.target.value);
  };
  return html`<input class="name-field" type="text" ref=${field} aria-label=${label} maxlength="255"
      spellcheck=${false} autocomplete="off" autocapitalize="off" aria-invalid=${Boolean(error)}
      aria-describedby=${error ? "name-why" : undefined} onKeyDown=${onKeyDown} onBlur=${onBlur} />
    ${error && html`<span class="name-why" id="name-why" role="alert">${error}</span>`}`;
}

const indent = (level) => ({ "--level": level });

/** The field for the name of a new folder. */
export function NewFolder({ row, error, onDone, onEnd }) {
  const folder = `${visible(row.path)}/`;
  return html`<div class="row row--edit" role="treeitem" aria-level=${row.level + 1} aria-selected="false"
    style=${indent(row.level)}>
    <span class="twist"></span><${Icon} name="newdir" />
    <${NameField} label=${T.workspace.newName(folder)} value="" error=${error} onDone=${onDone} onEnd=${onEnd} />
  </div>`;
}

/** A line about a folder. */
export function Says({ row, lost, onRetry }) {
  const failed = row.says === "failed";
  const words = { loading: T.reading, empty: T.workspace.empty, truncated: T.workspace.truncated };
  return html`<div class=${`row says${failed ? " says--failed" : ""}`} role=${failed ? "treeitem" : "none"}
      aria-level=${failed ? row.level + 1 : undefined} aria-selected=${failed ? "false" : undefined}
      style=${indent(row.level)}>
    ${failed
      ? html`<${Icon} name="warn" /><span>${T.workspace.failed} ${row.error}</span><button class="linkbtn" type="button"
        disabled=${lost} aria-label=${T.workspace.retryName(visible(row.path))} onClick=${onRetry}>${T.retry}</button>`
      : html`<span class="trunc">${words[row.says]}</span>`}
  </div>`;
}

/** One file or folder. */
export const Item = memo(function Item({
  row, open, isActive, isOver, lost, editing, hasMenu, acts,
}) {
  const { path, entry, level } = row;
  const ip = useStore((state) => state.ip);
  const isFolder = entry.type === "directory";
  const isRoot = level === 0;
  const readOnly = isShared(path);
  const name = visible(entry.name) + (isFolder ? "/" : "");
  const when = entry.modified ? clock(ms(entry.modified)) : "";
  const mb = useStore((state) => (isRoot && !readOnly ? state.dash.workspace_usage[`${path}_mb`] : 0));
  const bytes = entry.type === "file" ? size(entry.size) : mb > 0 ? sizeMb(mb) : "";
  const facts = [bytes, when].filter(Boolean).join(T.dot);
  const face = html`<span class="twist">${isFolder && html`<${Icon} name=${open ? "down" : "right"} />`}</span>
    <${Icon} name=${isFolder ? "dir" : iconFor(entry.name)} />`;
  return html`<div class=${`row${isFolder ? " row--dir" : ""}${isOver ? " row--drop" : ""}`} style=${indent(level)}
      role="treeitem" data-path=${path}
      aria-level=${level + 1} aria-posinset=${row.at} aria-setsize=${row.of} aria-selected=${isActive}
      aria-expanded=${isFolder ? open : undefined} tabindex=${isActive ? 0 : -1}
      aria-label=${T.workspace.item(name, facts, readOnly && isRoot)}
      aria-keyshortcuts=${readOnly || isRoot ? "Shift+F10" : "F2 Delete Shift+F10"}
      data-upload-to=${isFolder && !readOnly ? path : parentOf(path) && !readOnly ? parentOf(path) : undefined}
      onClick=${(event) => !event.target.closest("button, a, input") && acts.open(row)}>
    ${face}
    ${editing
      ? html`<${NameField} label=${T.workspace.renameName(name)} value=${entry.name} error=${editing.error}
        onDone=${nameTyped} onEnd=${acts.renamed} />`
      : html`<span class="name" title=${facts ? `${name}\n${facts}` : name}
        onDblClick=${() => !isRoot && !readOnly && !lost && !isFolder && startRename(path)}><bdi>${name}</bdi></span>
        ${" "}<span class="size num">${bytes}</span>${" "}<span class="when num">${when}</span>${" "}
        ${isRoot && readOnly && html`<span class="tag"><${Icon} name="lock" />${T.workspace.readOnly}</span>`}
        ${isFolder && !(isRoot && readOnly) && html`<${Action} icon="zip" lost=${lost} name=${T.workspace.zip(name)}
          href=${archiveUrl(ip, path)} />`}
        ${!isFolder && (entry.type === "file"
          ? html`<${Action} icon="dl" lost=${lost} name=${T.workspace.download(name)} href=${fileUrl(ip, path)} />`
          : html`<span class="slot"></span>`)}
        ${isRoot && readOnly
          ? ""
          : readOnly || (isRoot && path !== "temp")
            ? slot
            : html`<span class="wide"><${Action} icon="trash" lost=${lost} onClick=${() => acts.remove(row)}
              name=${isRoot ? T.workspace.emptyDir(name) : T.workspace.remove(name)} /></span>`}
        ${!(isRoot && readOnly) && html`<${Action} icon="more" name=${T.workspace.actions(name)}
          aria-haspopup="menu" aria-expanded=${hasMenu} data-menu onClick=${() => acts.menu(row)} />`}`}
  </div>`;
});
