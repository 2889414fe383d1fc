/** The folders of the workspace that have been opened, and what is in them. Each is asked for when it is opened. */

import { listFolder } from "./api.js";
import { createStore, store } from "./store.js";

export const ROOTS = ["inputs", "outputs", "temp", "shared"];

/** `folders`: path to {state: "loading" | "ready" | "failed", entries, truncated}; `open`: which are unfolded. */
export const files = createStore({ folders: {}, open: { inputs: true, outputs: true } });

const put = (path, folder) => files.set({ folders: { ...files.get().folders, [path]: folder } });

const byKindAndName = (a, b) => {
  if ((a.type === "directory") !== (b.type === "directory")) return a.type === "directory" ? -1 : 1;
  return a.name.localeCompare(b.name, undefined, { numeric: true });
};

/** @param {string} path @returns {Promise<void>} */
export async function load(path) {
  const known = files.get().folders[path];
  // What is shown stays until the new list is there, so that nothing jumps.
  if (!known) put(path, { state: "loading", entries: [], truncated: false });
  try {
    const answer = await listFolder(store.get().ip, path);
    put(path, {
      state: "ready",
      entries: [...answer.entries].sort(byKindAndName),
      truncated: Boolean(answer.truncated),
    });
  } catch (error) {
    if (error.status === 404 && !ROOTS.includes(path)) {
      // Gone since its parent was listed.
      const { [path]: _gone, ...folders } = files.get().folders;
      files.set({ folders });
    } else if (!known || error.status) put(path, { state: "failed", entries: [], truncated: false });
  }
}

/** @param {string} path */
export function toggle(path) {
  const { open, folders } = files.get();
  const now = !open[path];
  files.set({ open: { ...open, [path]: now } });
  if (now && folders[path]?.state !== "ready") load(path);
}

let timer = 0;

/** Asks again for every folder that is unfolded; several calls in a row cost one round. */
export function refresh() {
  clearTimeout(timer);
  timer = setTimeout(() => {
    const { open, folders } = files.get();
    const shown = Object.keys(open).filter((path) => open[path]);
    const rest = Object.entries(folders).filter(([path]) => open[path]);
    // Folded ones are forgotten: they are asked for when they are opened again.
    files.set({ folders: Object.fromEntries(rest) });
    for (const path of shown) load(path);
  }, 250);
}

/** @param {string} path of a file @returns {Promise<boolean>} whether something of that name is there already */
export async function exists(path) {
  const at = path.lastIndexOf("/");
  try {
    const { entries } = await listFolder(store.get().ip, path.slice(0, at));
    return entries.some((entry) => entry.name === path.slice(at + 1));
  } catch {
    // Then the upload itself finds out.
    return false;
  }
}
