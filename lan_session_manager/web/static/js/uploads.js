/** Uploads to inputs/, one after the other, with the progress that the browser really measured. */

import { errorFrom, fileUrl } from "./api.js";
import { exists } from "./files.js";
import { sizeMb, visible } from "./format.js";
import { createStore, isLost, store } from "./store.js";
import { T } from "./text.js";

const DONE_STAYS_MS = 4000;

/** `list`: the uploads in the order they were asked for. */
export const uploads = createStore({ list: [] });

const parts = new Map(); // id -> {file, replace}
let nextId = 1;
let active = null; // {id, xhr}

const update = (id, changes) =>
  uploads.set({ list: uploads.get().list.map((one) => (one.id === id ? { ...one, ...changes } : one)) });
const find = (id) => uploads.get().list.find((one) => one.id === id);

/**
 * @param {Iterable<File>} files
 * @param {{attached?: boolean, folders?: string[]}} [options] attached: shown as chips of the task being written;
 *   folders: names of folders that came along and cannot be sent
 */
export function upload(files, { attached = false, folders = [] } = {}) {
  const max = store.get().dash.limits.upload_mb;
  const fresh = [];
  const add = (given, size, changes) => {
    // Half of a pair is no text, and no URL can hold it.
    const name = given.replace(/\p{Surrogate}/gu, "_");
    const one = {
      id: nextId,
      name,
      path: `inputs/${name}`,
      size,
      loaded: 0,
      state: "waiting",
      error: "",
      startedAt: 0,
      attached,
      ...changes,
    };
    nextId += 1;
    fresh.push(one);
    return one.id;
  };
  for (const file of files) {
    if (max && file.size > max * 1024 * 1024) {
      add(file.name, file.size, { state: "failed", error: T.upload.tooLarge(sizeMb(max)), attached: false });
    } else parts.set(add(file.name, file.size, {}), { file, replace: false });
  }
  for (const name of folders)
    add(name, 0, { state: "failed", error: T.workspace.folder(visible(name)), attached: false });
  uploads.set({ list: [...uploads.get().list, ...fresh] });
  next();
}

function next() {
  if (active || isLost(store.get())) return;
  const waiting = uploads.get().list.find((one) => one.state === "waiting");
  if (waiting) send(waiting.id);
}

async function send(id) {
  const { file, replace } = parts.get(id);
  active = { id, xhr: null };
  const taken = !replace && (await exists(find(id).path));
  if (taken || !find(id)) settle(id, { state: "exists" });
  else transmit(id, file, replace);
}

function transmit(id, file, replace) {
  const xhr = new XMLHttpRequest();
  active.xhr = xhr;
  update(id, { state: "sending", loaded: 0, startedAt: Date.now(), error: "" });
  xhr.upload.onprogress = (event) => update(id, { loaded: event.loaded });
  xhr.onload = () => {
    const error = errorFrom(xhr.status, xhr.responseText, xhr.getResponseHeader("Retry-After"));
    if (xhr.status >= 200 && xhr.status < 300) settle(id, { state: "done", loaded: file.size });
    // A file of that name has come since the list was read.
    else if (xhr.status === 409 && !replace) settle(id, { state: "exists" });
    else settle(id, { state: "failed", error: error.message });
  };
  xhr.onerror = () => settle(id, { state: "paused", error: T.upload.lost });
  xhr.open("PUT", `${fileUrl(store.get().ip, find(id).path)}?overwrite=${replace ? 1 : 0}`);
  xhr.setRequestHeader("Content-Type", "application/octet-stream");
  xhr.send(file);
}

function settle(id, changes) {
  active = null;
  update(id, changes);
  if (changes.state === "done") {
    parts.delete(id);
    store.set({ filesVersion: store.get().filesVersion + 1 });
    // An attached file stays as a chip until its task is sent.
    if (!find(id)?.attached) setTimeout(() => dismiss(id), DONE_STAYS_MS);
  }
  next();
}

/** Takes an upload off the list; one under way is stopped. What has arrived whole stays. @param {number} id */
export function dismiss(id) {
  const stopping = active?.id === id ? active : null;
  uploads.set({ list: uploads.get().list.filter((one) => one.id !== id) });
  parts.delete(id);
  if (stopping?.xhr) {
    stopping.xhr.onload = stopping.xhr.onerror = stopping.xhr.upload.onprogress = null;
    stopping.xhr.abort();
    active = null;
    next();
  }
}

/**
 * Sends a failed or stopped one again, from the start.
 * @param {number} id
 * @param {boolean} [replace] a file of the same name
 */
export function retry(id, replace = false) {
  const part = parts.get(id);
  if (!part) return;
  parts.set(id, { ...part, replace: replace || part.replace });
  update(id, { state: "waiting", loaded: 0, error: "" });
  next();
}

/** The chips of a task that was sent go; their files stay. */
export function clearAttached() {
  uploads.set({ list: uploads.get().list.filter((one) => !(one.attached && one.state === "done")) });
}

/** @param {number} id @returns {boolean} whether there is something to send again */
export function canRetry(id) {
  return parts.has(id);
}

// What waited for the connection goes on when it is back.
store.subscribe((state) => {
  if (!isLost(state)) next();
});

/**
 * What somebody dropped: files, and the names of folders, which a page cannot send as they are.
 * @param {DataTransfer} data
 * @returns {{files: File[], folders: string[]}}
 */
export function dropped(data) {
  const result = { files: [], folders: [] };
  for (const item of data.items) {
    if (item.kind !== "file") continue;
    const entry = item.webkitGetAsEntry?.();
    if (entry?.isDirectory) result.folders.push(entry.name);
    else {
      const file = item.getAsFile();
      if (file) result.files.push(file);
    }
  }
  return result;
}
