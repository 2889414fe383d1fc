/**
 * The files of the workspace as a tree: one stop of the Tab key, arrows within. Of many rows only those in sight are
 * made; the others are room of the same height.
 */

import { unpack } from "../actions.js";
import { preview } from "../dialogs.js";
import { hasFiles } from "../drag.js";
import { nameTyped, startFolder, startRename, throwAway } from "../fileactions.js";
import { ROOTS, files, isShared, load, parentOf, setOpen, toggle } from "../files.js";
import { html, useEffect, useLayoutEffect, useMemo, useRef, useState } from "../html.js";
import { kindOf } from "../previews.js";
import { T } from "../text.js";
import { findTyped, rowsOf, stepFrom } from "../treerows.js";
import { useStore } from "../use-store.js";
import { FileMenu } from "./filemenu.js";
import { Item, NewFolder, Says } from "./treerow.js";

const CHUNK = 40; // rows
const ALL = 160; // so many are made without a look at what is in sight
const NEAR_PX = 1200;
const TYPED_MS = 700;

/** @param {import("../treerows.js").Row} row @returns {boolean} whether it may be renamed or deleted */
export const isFree = (row) => row.level > 0 && !isShared(row.path);

function scrollerOf(element) {
  for (let at = element; at && at !== document.body; at = at.parentElement) {
    if (/auto|scroll/.test(getComputedStyle(at).overflowY)) return at;
  }
  return null;
}

/** Which chunks are near what is in sight, as a set of their numbers. */
function useNear(root, count) {
  const [near, setNear] = useState(() => new Set([0, 1]));
  useEffect(() => {
    if (count < 2) return undefined;
    let watch = null;
    let scroller;
    const seen = new Set();
    const look = () => {
      const now = scrollerOf(root.current);
      if (watch && now === scroller) return;
      watch?.disconnect();
      scroller = now;
      watch = new IntersectionObserver(
        (changes) => {
          for (const change of changes) {
            const number = Number(change.target.dataset.chunk);
            if (change.isIntersecting) seen.add(number);
            else seen.delete(number);
          }
          setNear(new Set(seen));
        },
        { root: scroller, rootMargin: `${NEAR_PX}px 0px` },
      );
      for (const chunk of root.current.children) if (chunk.dataset.chunk) watch.observe(chunk);
    };
    look();
    addEventListener("resize", look);
    return () => {
      removeEventListener("resize", look);
      watch.disconnect();
    };
  }, [count]);
  return near;
}

const rowElement = (root, path) => root.querySelector(`[data-path="${CSS.escape(path)}"]`);

/** @param {{lost: boolean, onUpload: (path: string) => void}} props `onUpload`: choose files for that folder */
export function Tree({ lost, onUpload }) {
  const state = useStore((all) => all, files);
  const rows = useMemo(() => rowsOf(state), [state.folders, state.open, state.editing]);
  const root = useRef(null);
  const held = useRef({ had: false, wants: false, typed: "", typedAt: 0 });
  const [menu, setMenu] = useState(null); // {path, box}
  const [over, setOver] = useState(""); // the folder that files are dragged over
  const isThere = rows.some((row) => row.kind === "item" && row.path === state.active);
  const active = isThere ? state.active : fallback(rows, state.active);

  const go = (path) => {
    held.current.wants = true;
    if (path === files.get().active) files.set({ active: "" });
    files.set({ active: path });
  };

  // After each change the focus is where it was, also if its row was made anew or has gone.
  useLayoutEffect(() => {
    const { had } = held.current;
    const wants = held.current.wants || Boolean(state.goTo);
    const lostFocus = had && (document.activeElement === document.body || document.activeElement === null);
    if (!(wants || lostFocus) || state.editing) return;
    const element = rowElement(root.current, active);
    if (!element) return;
    held.current.wants = false;
    if (state.goTo) files.set({ goTo: "" });
    element.focus({ preventScroll: true });
    if (wants) element.scrollIntoView({ block: "nearest" });
  });

  const openRow = (row) => {
    if (row.entry.type === "directory") toggle(row.path);
    else if (!lost && row.entry.type === "file" && kindOf(row.entry.name, row.entry.size))
      preview({ path: row.path, name: row.entry.name, size: row.entry.size });
    else if (!lost && row.entry.type === "file")
      rowElement(root.current, row.path)?.querySelector("a[download]")?.click();
  };

  const openMenu = (row) => {
    const element = rowElement(root.current, row.path);
    files.set({ active: row.path });
    setMenu({ path: row.path, box: (element.querySelector("[data-menu]") ?? element).getBoundingClientRect() });
  };
  const closeMenu = (refocus = true) => {
    setMenu(null);
    if (refocus && menu) go(menu.path);
  };

  /** The neighbour that the keyboard is at once a row has gone. */
  const remove = (row) => {
    const items = rows.filter((each) => each.kind === "item");
    const at = items.findIndex((each) => each.path === row.path);
    const after = items.slice(at + 1).find((each) => !each.path.startsWith(`${row.path}/`));
    const next = after && parentOf(after.path) === parentOf(row.path) ? after : items[at - 1];
    throwAway(row.path, row.entry.type === "directory");
    if (row.level) go(next?.path ?? ROOTS[0]);
  };

  const onKeyDown = (event) => {
    if (event.target.closest("input") || !event.target.closest("[role=treeitem]")) return;
    const row = rows.find((each) => each.kind === "item" && each.path === active);
    if (!row || event.ctrlKey || event.metaKey || event.altKey) return;
    const step = stepFrom(rows, active, event.key, state.open);
    if (step) {
      if (step.to !== undefined) go(step.to);
      if (step.fold !== undefined) setOpen(step.fold, false);
      if (step.unfold !== undefined) setOpen(step.unfold, true);
    } else if (event.key === "Enter" && event.target.closest("button, a")) return;
    else if (event.key === "Enter") openRow(row);
    else if (event.key === "F2" && isFree(row) && !lost) startRename(row.path);
    else if (event.key === "Delete" && isFree(row) && !lost) remove(row);
    else if (event.key === "ContextMenu" || (event.key === "F10" && event.shiftKey)) openMenu(row);
    else if (event.key.length === 1 && event.key !== " ") typeAhead(event.key);
    else return;
    event.preventDefault();
  };

  const typeAhead = (letter) => {
    const now = Date.now();
    held.current.typed = now - held.current.typedAt < TYPED_MS ? held.current.typed + letter : letter;
    held.current.typedAt = now;
    const found = findTyped(rows, active, held.current.typed);
    if (found) go(found);
  };

  const onFocusIn = (event) => {
    held.current.had = true;
    const path = event.target.closest("[role=treeitem]")?.dataset.path;
    if (path && path !== files.get().active) files.set({ active: path });
  };
  const onFocusOut = (event) => {
    // What is taken away with the focus in it tells of no place that the focus has gone to.
    if (event.relatedTarget && !root.current.contains(event.relatedTarget)) held.current.had = false;
  };

  const chunks = [];
  for (let from = 0; from < rows.length; from += CHUNK) chunks.push(rows.slice(from, from + CHUNK));
  const few = rows.length <= ALL;
  const near = useNear(root, few ? 0 : chunks.length);

  // The same functions for as long as the tree is there, so that only rows that have changed are drawn again.
  const latest = useRef({});
  latest.current = { openRow, openMenu, remove };
  const acts = useMemo(
    () => ({
      open: (row) => latest.current.openRow(row),
      menu: (row) => latest.current.openMenu(row),
      remove: (row) => latest.current.remove(row),
      renamed: () => go(files.get().active),
    }),
    [],
  );

  const shown = (row) => {
    if (row.kind === "says")
      return html`<${Says} key=${row.key} row=${row} lost=${lost} onRetry=${() => load(row.path)} />`;
    if (row.kind === "new") return html`<${NewFolder} key=${row.key} row=${row} error=${state.editing.error}
      onDone=${(name) => nameTyped(name)} onEnd=${() => go(files.get().active)} />`;
    const editing = state.editing?.kind === "rename" && state.editing.path === row.path ? state.editing : null;
    return html`<${Item} key=${row.key} row=${row} open=${Boolean(state.open[row.path])} isActive=${row.path === active}
      lost=${lost} editing=${editing} hasMenu=${menu?.path === row.path} isOver=${over === row.path} acts=${acts} />`;
  };

  return html`<div class="tree" role="tree" aria-label=${T.workspace.tree} ref=${root} onKeyDown=${onKeyDown}
      onFocusIn=${onFocusIn} onFocusOut=${onFocusOut} onDragOver=${(event) => setOver(folderUnder(event))}
      onDragLeave=${(event) => !root.current.contains(event.relatedTarget) && setOver("")} onDrop=${() => setOver("")}
      onContextMenu=${(event) => {
        const path = event.target.closest("[role=treeitem]")?.dataset.path;
        const row = path !== undefined && rows.find((each) => each.kind === "item" && each.path === path);
        if (!row || event.target.closest("input")) return;
        event.preventDefault();
        openMenu(row);
      }}>
      ${chunks.map((chunk, number) => {
        const made = few || near.has(number) || chunk.some((row) => row.path === active || row.kind === "new");
        return html`<div role="none" key=${number} data-chunk=${few ? undefined : number}
          class=${made ? "" : "tree-room"} style=${made ? undefined : { "--rows": chunk.length }}>
            ${made && chunk.map(shown)}
          </div>`;
      })}
    </div>
    ${menu && html`<${FileMenu} row=${rows.find((row) => row.kind === "item" && row.path === menu.path)} box=${menu.box}
      lost=${lost} isFree=${isFree} onClose=${closeMenu} onOpen=${openRow} onDelete=${remove} onUpload=${onUpload}
      onFolder=${(path) => startFolder(path)} onUnpack=${unpack} />`}`;
}

const folderUnder = (event) =>
  (hasFiles(event) && event.target.closest?.("[data-upload-to]")?.dataset.uploadTo) || "";

/** The nearest folder of a path that is not there any more. */
function fallback(rows, path) {
  const there = new Set(rows.filter((row) => row.kind === "item").map((row) => row.path));
  let at = path;
  while (at && !there.has(at)) at = parentOf(at);
  return at || ROOTS[0];
}
