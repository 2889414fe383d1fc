/** The folders of the workspace that have been opened, and what is in them. Each is asked for when it is opened. */

import { listFolder } from "./api.js";
import { recall, remember } from "./storage.js";
import { createStore, store } from "./store.js";

export const ROOTS = ["inputs", "outputs", "temp", "shared"];
export const SORTS = ["name", "size", "modified"];

const rememberedSort = recall("sort");

/**
 * `folders`: path to {state: "loading" | "ready" | "failed", entries, truncated, error}; `open`: which are unfolded;
 * `active`: the path of the row that the keyboard is at; `goTo`: the row that is to have the focus, once; `editing`:
 * {kind: "rename" | "new", path, error} while a name is typed, where `path` is what is renamed or the folder in which a
 * new one comes.
 */
export const files = createStore({
  folders: {},
  open: { inputs: true, outputs: true },
  sort: SORTS.includes(rememberedSort) ? rememberedSort : "name",
  active: "inputs",
  goTo: "",
  editing: null,
});

export const parentOf = (path) => path.slice(0, Math.max(0, path.lastIndexOf("/")));
export const nameOf = (path) => path.slice(path.lastIndexOf("/") + 1);
export const isShared = (path) => path === "shared" || path.startsWith("shared/");

const put = (path, folder) => files.set({ folders: { ...files.get().folders, [path]: folder } });

const byName = new Intl.Collator(undefined, { numeric: true }).compare;
const ORDERS = {
  name: () => 0,
  size: (a, b) => (b.size ?? 0) - (a.size ?? 0),
  modified: (a, b) => (a.modified < b.modified ? 1 : a.modified > b.modified ? -1 : 0),
};

/**
 * @param {import("./types.js").Entry[]} entries
 * @param {string} by one of SORTS
 * @returns {import("./types.js").Entry[]} folders first
 */
export function sorted(entries, by) {
  const order = ORDERS[by];
  const folder = (entry) => (entry.type === "directory" ? 0 : 1);
  return [...entries].sort((a, b) => folder(a) - folder(b) || order(a, b) || byName(a.name, b.name));
}

/** @param {string} sort one of SORTS */
export function sortBy(sort) {
  remember("sort", sort);
  const folders = Object.entries(files.get().folders).map(([path, folder]) => [
    path,
    { ...folder, entries: sorted(folder.entries, sort) },
  ]);
  files.set({ sort, folders: Object.fromEntries(folders) });
}

const latest = new Map(); // path -> number of the last request for it: answers may overtake each other

/** @param {string} path @returns {Promise<void>} */
export async function load(path) {
  const known = files.get().folders[path];
  const number = (latest.get(path) ?? 0) + 1;
  latest.set(path, number);
  // What is shown stays until the new list is there, so that nothing jumps.
  if (!known || known.state === "failed") put(path, { state: "loading", entries: [], truncated: false, error: "" });
  try {
    const answer = await listFolder(store.get().ip, path);
    if (latest.get(path) !== number) return;
    const entries = sorted(answer.entries, files.get().sort);
    const before = files.get().folders[path];
    const same = before?.state === "ready" && JSON.stringify(before.entries) === JSON.stringify(entries);
    if (!same || before.truncated !== Boolean(answer.truncated)) {
      put(path, { state: "ready", entries, truncated: Boolean(answer.truncated), error: "" });
    }
  } catch (error) {
    if (latest.get(path) !== number || error.status === undefined) return;
    if (error.status === 404 && !ROOTS.includes(path)) forget(path);
    // Without a connection what is there stays: it is marked as old.
    else if (!known || known.state !== "ready" || error.status)
      put(path, { state: "failed", entries: [], truncated: false, error: error.message });
  }
}

function forget(path) {
  // Gone since its parent was listed.
  const { [path]: _gone, ...folders } = files.get().folders;
  files.set({ folders });
}

/** It has gone: its row goes before the folder is listed again. @param {string} path */
export function removeEntry(path) {
  const folder = files.get().folders[parentOf(path)];
  if (!folder) return;
  put(parentOf(path), { ...folder, entries: folder.entries.filter((entry) => entry.name !== nameOf(path)) });
  if (path in files.get().folders) forget(path);
}

/** Has the focus go to the tree, where the keyboard was. @param {string} [path] or to that row */
export const focusTree = (path = files.get().active) => files.set({ active: path, goTo: path });

/** @param {string} path @param {boolean} open */
export function setOpen(path, open) {
  const { open: before, folders } = files.get();
  if (Boolean(before[path]) === open) return;
  files.set({ open: { ...before, [path]: open } });
  if (open && folders[path]?.state !== "ready") load(path);
}

/** @param {string} path */
export const toggle = (path) => setOpen(path, !files.get().open[path]);

const waiting = new Set(); // paths of folders, or "" for all that are unfolded
let timer = 0;

function flush() {
  timer = 0;
  const { open, folders } = files.get();
  const all = waiting.has("");
  const asked = [...waiting];
  waiting.clear();
  if (all) {
    // Folded ones are forgotten: they are asked for when they are opened again.
    files.set({ folders: Object.fromEntries(Object.entries(folders).filter(([path]) => open[path])) });
  }
  const paths = all ? Object.keys(open) : asked;
  for (const path of paths) {
    if (open[path]) load(path);
    else if (folders[path]) forget(path);
  }
}

/**
 * Asks again for one folder, or for all that are unfolded; several calls in a row cost one round.
 * @param {string} [path]
 */
export function refresh(path = "") {
  waiting.add(path);
  timer ||= setTimeout(flush, 250);
}

/** Something at that path has come, changed or gone. @param {string} path */
export function changed(path) {
  const parent = parentOf(path);
  if (path in files.get().folders) refresh(path);
  // Folders on the way may be new: the deepest one that was listed tells.
  let shown = parent;
  while (shown.includes("/") && !(shown in files.get().folders)) shown = parentOf(shown);
  if (shown) refresh(shown);
}

/**
 * @param {string} path of a file
 * @returns {Promise<Set<string>>} the names in its folder; none if it cannot be listed
 */
export async function namesBeside(path) {
  try {
    const { entries } = await listFolder(store.get().ip, parentOf(path));
    return new Set(entries.map((entry) => entry.name));
  } catch {
    // Then the request itself finds out.
    return new Set();
  }
}

/** @param {string} path @param {Set<string>} taken names @returns {string} "data.csv" becomes "data-2.csv", or more */
export function freePath(path, taken) {
  const name = nameOf(path);
  const [, stem, ending] = /^(.+?)((?:\.tar)?\.[^.]+)?$/s.exec(name) ?? [null, name, ""];
  const base = path.slice(0, path.length - name.length);
  for (let n = 2; ; n += 1) {
    const other = `${stem}-${n}${ending ?? ""}`;
    if (!taken.has(other)) return base + other;
  }
}
