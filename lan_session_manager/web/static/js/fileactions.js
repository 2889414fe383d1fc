/** What a person does with files: each is one call to the server, and what it changes here. */

import * as api from "./api.js";
import { attempt } from "./actions.js";
import { confirm } from "./dialogs.js";
import {
  changed,
  files,
  focusTree,
  freePath,
  load,
  nameOf,
  namesBeside,
  parentOf,
  removeEntry,
  setOpen,
} from "./files.js";
import { visible } from "./format.js";
import { createStore, store } from "./store.js";
import { T } from "./text.js";

const NO_ROOM = ["quota", "too_many_files", "storage"];

/**
 * What was deleted on this page and can be brought back by its line, the newest first: {id, path, isFolder, isContent,
 * state: "deleted" | "restoring" | "taken" | "gone" | "failed", error}.
 */
export const deletions = createStore({ list: [] });

const update = (id, changes) =>
  deletions.set({ list: deletions.get().list.map((one) => (one.id === id ? { ...one, ...changes } : one)) });

/** @param {string} id */
export function dismissDeletion(id) {
  deletions.set({ list: deletions.get().list.filter((one) => one.id !== id) });
}

/**
 * Deletes so that it can be brought back. Where there is no room to keep it, the person is asked.
 * @param {string} path a file or a folder; of inputs/, outputs/ and temp/ only what is in them goes
 * @param {boolean} isFolder
 */
export async function throwAway(path, isFolder) {
  const { ip } = store.get();
  try {
    const kept = await api.throwAway(ip, path);
    const one = { id: kept.id, path, isFolder, isContent: kept.is_content, state: "deleted", error: "" };
    deletions.set({ list: [one, ...deletions.get().list] });
    if (!kept.is_content) removeEntry(path);
    changed(path);
  } catch (error) {
    if (!NO_ROOM.includes(error.code)) return attempt(() => Promise.reject(error));
    const name = visible(nameOf(path));
    const question = { title: T.trash.forGood(name), body: T.trash.forGoodBody, button: T.trash.forGoodButton(name) };
    if (await confirm(question)) await attempt(() => api.deleteFile(ip, path).then(() => changed(path)));
  }
  return undefined;
}

/**
 * @param {string} id
 * @param {string} path where it was
 * @param {boolean} elsewhere beside what stands there by now
 * @returns {Promise<{state: "restored" | "taken" | "gone" | "failed", error?: string, path?: string}>}
 */
export async function restore(id, path, elsewhere = false) {
  const { ip } = store.get();
  try {
    // Only a folder's whole content has a path without a parent: with another name it becomes a folder in there.
    const beside = path.includes("/") ? path : `${path}/${path}`;
    const to = elsewhere ? freePath(beside, await namesBeside(beside)) : undefined;
    const answer = await api.restoreFile(ip, id, to);
    dismissDeletion(id);
    changed(answer.path);
    return { state: "restored", path: answer.path };
  } catch (error) {
    if (error.status === undefined) throw error;
    if (error.status === 404) return { state: "gone" };
    if (error.code === "conflict") return { state: "taken" };
    return { state: "failed", error: error.message };
  }
}

/** @param {string} id of a deletion that has a line @param {boolean} [elsewhere] */
export async function undo(id, elsewhere = false) {
  const one = deletions.get().list.find((each) => each.id === id);
  if (!one || one.state === "restoring") return;
  update(id, { state: "restoring" });
  const outcome = await restore(id, one.path, elsewhere);
  if (outcome.state === "restored") focusOn(outcome.path);
  else update(id, { state: outcome.state, error: outcome.error ?? "" });
}

/** Has the focus go to a path once it is there. @param {string} path */
async function focusOn(path) {
  const parent = parentOf(path);
  if (parent) {
    setOpen(parent, true);
    await load(parent);
  }
  focusTree(path);
}

/** @param {string} name @returns {string} why it cannot be one; "" if it can */
function whyNoName(name) {
  if (!name.trim()) return T.workspace.noName;
  if (name.includes("/")) return T.workspace.noSlash;
  return name === "." || name === ".." ? T.workspace.noDots : "";
}

/** Ends the typing of a name. @param {string} name @returns {Promise<boolean>} whether that is done */
export async function nameTyped(name) {
  const { editing } = files.get();
  if (!editing) return true;
  const isNew = editing.kind === "new";
  const target = isNew ? `${editing.path}/${name}` : `${parentOf(editing.path)}/${name}`;
  if (!isNew && target === editing.path) return stopTyping();
  const error = whyNoName(name);
  if (error) return say(error, editing);
  try {
    const { ip } = store.get();
    if (isNew) {
      if ((await namesBeside(target)).has(name)) return say(T.workspace.taken(visible(name)), editing);
      await api.makeFolder(ip, target);
    } else {
      await api.moveFile(ip, editing.path, target);
      moveOpen(editing.path, target);
    }
  } catch (failure) {
    if (failure.status === undefined) throw failure;
    return say(failure.code === "conflict" ? T.workspace.taken(visible(name)) : failure.message, editing);
  }
  const isTyping = files.get().editing === editing;
  // The row may be gone already, and with it the field; whoever went elsewhere stays there.
  if (isTyping || document.activeElement === document.body) await focusOn(target);
  return files.get().editing === editing ? stopTyping() : true;
}

// Whoever has left the name meanwhile is told above the tasks.
const say = (error, of) => {
  if (files.get().editing === of) files.set({ editing: { ...of, error } });
  else store.set({ notice: error });
  return false;
};

/** Gives a typed name up. */
export function stopTyping() {
  files.set({ editing: null });
  return true;
}

function moveOpen(from, to) {
  const moved = Object.entries(files.get().open).map(([path, open]) => [
    path === from || path.startsWith(`${from}/`) ? to + path.slice(from.length) : path,
    open,
  ]);
  files.set({ open: Object.fromEntries(moved) });
  for (const [path, open] of moved) if (open && path.startsWith(to)) load(path);
}

/** @param {string} path */
export const startRename = (path) => files.set({ active: path, editing: { kind: "rename", path, error: "" } });

/** @param {string} path of the folder in which the new one comes */
export function startFolder(path) {
  setOpen(path, true);
  files.set({ editing: { kind: "new", path, error: "" } });
}
