/** The tree of files as a flat list of rows, of those that are unfolded. Pure. */

import { ROOTS, isShared } from "./files.js";

/**
 * @typedef {object} Row
 * @property {"item" | "says" | "new"} kind an entry; a line about a folder ("empty", "could not be read"); the field
 *   for the name of a new folder
 * @property {string} key
 * @property {string} path of the entry, or of the folder that a line is about
 * @property {number} level from 0
 * @property {import("./types.js").Entry} [entry]
 * @property {number} [at] its place among its siblings, from 1
 * @property {number} [of] how many siblings there are
 * @property {"loading" | "failed" | "empty" | "truncated"} [says]
 * @property {string} [error]
 */

/**
 * @param {{folders: object, open: object, editing: object | null}} state
 * @returns {Row[]}
 */
export function rowsOf({ folders, open, editing }) {
  const rows = [];
  const add = (path, entry, level, at, of) => {
    rows.push({ kind: "item", key: path, path, entry, level, at, of });
    if (entry.type === "directory" && open[path]) below(path, level + 1);
  };
  const say = (path, level, says, error = "") => rows.push({ kind: "says", key: `${path}/`, path, level, says, error });
  const below = (path, level) => {
    const folder = folders[path];
    if (editing?.kind === "new" && editing.path === path) rows.push({ kind: "new", key: `${path}/+`, path, level });
    if (!folder || folder.state === "loading") say(path, level, "loading");
    else if (folder.state === "failed") say(path, level, "failed", folder.error);
    else if (!folder.entries.length) {
      if (level > 1 || isShared(path)) say(path, level, "empty");
    } else {
      const of = folder.entries.length;
      folder.entries.forEach((entry, i) => add(`${path}/${entry.name}`, entry, level, i + 1, of));
      if (folder.truncated) say(path, level, "truncated");
    }
  };
  const asEntry = (name) => ({ name, type: "directory", size: null, modified: "" });
  ROOTS.forEach((path, i) => add(path, asEntry(path), 0, i + 1, ROOTS.length));
  return rows;
}

/**
 * Where a key of the keyboard leads.
 * @param {Row[]} rows
 * @param {string} active the path of the row where it is now
 * @param {string} key
 * @param {object} open which folders are unfolded
 * @returns {{to?: string, fold?: string, unfold?: string} | null} a path to go to, or a folder to fold or unfold
 */
export function stepFrom(rows, active, key, open) {
  const items = rows.filter((row) => row.kind === "item");
  const at = items.findIndex((row) => row.path === active);
  const here = items[at];
  const to = (row) => (row && row.path !== active ? { to: row.path } : {});
  if (key === "Home") return to(items[0]);
  if (key === "End") return to(items[items.length - 1]);
  if (!here) return null;
  const isFolder = here.entry.type === "directory";
  if (key === "ArrowDown") return to(items[at + 1]);
  if (key === "ArrowUp") return to(items[at - 1]);
  if (key === "PageDown") return to(items[Math.min(items.length - 1, at + 12)]);
  if (key === "PageUp") return to(items[Math.max(0, at - 12)]);
  if (key === "ArrowRight") {
    if (!isFolder) return {};
    if (!open[active]) return { unfold: active };
    return items[at + 1]?.level > here.level ? to(items[at + 1]) : {};
  }
  if (key === "ArrowLeft") {
    if (isFolder && open[active]) return { fold: active };
    return here.level ? { to: active.slice(0, active.lastIndexOf("/")) } : {};
  }
  return null;
}

/**
 * @param {Row[]} rows
 * @param {string} active
 * @param {string} typed the letters typed so far
 * @returns {string | null} the next row whose name begins so; several times the same letter goes on to the next one
 */
export function findTyped(rows, active, typed) {
  const items = rows.filter((row) => row.kind === "item");
  const at = Math.max(0, items.findIndex((row) => row.path === active));
  const repeated = [...typed].every((letter) => letter === typed[0]);
  const wanted = (repeated ? typed[0] : typed).toLowerCase();
  const from = repeated ? at + 1 : at;
  const turned = [...items.slice(from), ...items.slice(0, from)];
  return turned.find((row) => row.entry.name.toLowerCase().startsWith(wanted))?.path ?? null;
}
