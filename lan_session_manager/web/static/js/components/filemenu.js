/** All that can be done with one file or folder: a menu beside its row, on a phone at the bottom. */

import { archiveUrl, fileUrl } from "../api.js";
import { copyText } from "../clipboard.js";
import { canRun } from "../draft.js";
import { startRename } from "../fileactions.js";
import { isShared } from "../files.js";
import { visible } from "../format.js";
import { html, useEffect, useLayoutEffect, useRef, useState } from "../html.js";
import { kindOf } from "../previews.js";
import { store } from "../store.js";
import { T } from "../text.js";
import { isArchive } from "../unpack.js";
import { useStore } from "../use-store.js";
import { Icon } from "./icons.js";

const EDGE_PX = 8;

const words = T.workspace.menu;

function itemsFor(row, { lost, runs, isFree, onOpen, onDelete, onUpload, onFolder, onUnpack }) {
  const { path, entry, level } = row;
  const { ip } = store.get();
  const isFile = entry.type === "file";
  const isFolder = entry.type === "directory";
  const writable = !isShared(path);
  const items = [
    isFile && kindOf(entry.name, entry.size) && { icon: "search", words: words.preview, run: () => onOpen(row) },
    isFile && { icon: "dl", words: words.download, href: fileUrl(ip, path) },
    isFolder && { icon: "zip", words: words.zip, href: archiveUrl(ip, path) },
    isFolder && writable && { icon: "ul", words: words.upload, run: () => onUpload(path), stays: true },
    isFolder && writable && { icon: "newdir", words: words.folder, run: () => onFolder(path), stays: true },
    isFile && writable && runs && isArchive(entry.name) && {
      icon: "unpack", words: words.unpack, run: () => onUnpack(path),
    },
    isFree(row) && { icon: "pen", words: words.rename, key: "F2", run: () => startRename(path), stays: true },
    { icon: "copy", words: words.copy, copies: true, always: true },
    isFree(row) && {
      icon: "trash", words: words.remove, key: words.removeKey, run: () => onDelete(row), stays: true,
    },
    level === 0 && writable && { icon: "trash", words: words.empty, run: () => onDelete(row) },
  ];
  return items.filter(Boolean).map((item) => ({ ...item, off: lost && !item.always }));
}

/** @param {{row?: import("../treerows.js").Row, box: DOMRect, onClose: (refocus?: boolean) => void}} props */
export function FileMenu(props) {
  const { row, box, onClose } = props;
  const runs = useStore((state) => canRun(state.dash));
  const card = useRef(null);
  const shownPath = useRef(null);
  const [place, setPlace] = useState({ left: 0, top: 0, opacity: "0" });
  const [said, setSaid] = useState("");
  useLayoutEffect(() => {
    if (!row) return;
    const { width, height } = card.current.getBoundingClientRect();
    const below = box.bottom + height + EDGE_PX <= innerHeight;
    setPlace({
      left: `${Math.max(EDGE_PX, Math.min(box.right - width, innerWidth - width - EDGE_PX))}px`,
      top: `${below ? box.bottom : Math.max(EDGE_PX, box.top - height)}px`,
    });
    card.current.querySelector("[role=menuitem]:not([aria-disabled=true])")?.focus({ preventScroll: true });
  }, [row?.path]);
  useEffect(() => {
    if (!row) return onClose();
    const away = (event) => !card.current?.contains(event.target) && onClose(false);
    const moved = (event) => !card.current?.contains(event.target) && onClose();
    document.addEventListener("pointerdown", away);
    document.addEventListener("scroll", moved, true);
    addEventListener("resize", moved);
    return () => {
      document.removeEventListener("pointerdown", away);
      document.removeEventListener("scroll", moved, true);
      removeEventListener("resize", moved);
    };
  }, [row?.path]);
  if (!row) return null;
  const items = itemsFor(row, { ...props, runs });
  const name = visible(row.entry.name) + (row.entry.type === "directory" ? "/" : "");

  const choose = async (item) => {
    if (item.off) return;
    if (item.copies) {
      if (await copyText(row.path, shownPath.current)) onClose();
      else setSaid(T.workspace.menu.byHand);
      return;
    }
    onClose(!item.stays);
    item.run?.();
  };
  const onKeyDown = (event) => {
    event.stopPropagation();
    const all = [...card.current.querySelectorAll("[role=menuitem]")];
    const at = all.indexOf(document.activeElement);
    const to = { ArrowDown: at + 1, ArrowUp: at - 1 + all.length, Home: 0, End: all.length - 1 }[event.key];
    if (to !== undefined) all[to % all.length].focus();
    else if (event.key === "Escape" || event.key === "Tab") onClose();
    else if (event.key === " ") event.target.click();
    else return;
    event.preventDefault();
  };
  return html`<div class="menu" role="menu" aria-label=${T.workspace.actions(name)} ref=${card} style=${place}
    onKeyDown=${onKeyDown}>
    <p class="menu-path mono" role="none"><bdi ref=${shownPath}>${visible(row.path)}</bdi></p>
    ${items.map((item) => {
      const face = html`<${Icon} name=${item.icon} /><span class="grow">${item.words}</span>
        ${item.key && html`<kbd>${item.key}</kbd>`}`;
      return item.href && !item.off
        ? html`<a role="menuitem" tabindex="-1" href=${item.href} download onClick=${() => onClose()}>${face}</a>`
        : html`<button role="menuitem" type="button" tabindex="-1" aria-disabled=${item.off}
          onClick=${() => choose(item)}>${face}</button>`;
    })}
    <p class="menu-said" role="status">${said}</p>
  </div>`;
}
