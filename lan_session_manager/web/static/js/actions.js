/** What a person can set going: each is one call to the server and what its answer changes. */

import * as api from "./api.js";
import { enrol, isStillSame } from "./device.js";
import { titleOf, visible } from "./format.js";
import { loadOlder, search, withFound } from "./listing.js";
import { createLive } from "./live.js";
import { PHONE } from "./phone.js";
import { goTo, parseRoute, taskHash, taskKey } from "./route.js";
import { applyDashboard, applyDeleted, applyMessage, applyTask, store } from "./store.js";
import { T } from "./text.js";
import { unpackCommand } from "./unpack.js";

const RELOAD_AFTER_MS = 8000;

// The last event before the connection was lost. The dashboard that a new connection begins with is newer: what is
// replayed up to it is only told.
let lastSeen = null;

const messageListeners = new Set();
const openListeners = new Set();

/** @param {(message: any) => void} listener hears every message of the live connection @returns {() => void} ends it */
export function onMessage(listener) {
  messageListeners.add(listener);
  return () => messageListeners.delete(listener);
}

/** @param {() => void} listener called whenever a new live connection is there @returns {() => void} ends it */
export function onOpen(listener) {
  openListeners.add(listener);
  return () => openListeners.delete(listener);
}

function socketUrl() {
  const scheme = location.protocol === "https:" ? "wss:" : "ws:";
  return `${scheme}//${location.host}/ws/dashboard/${encodeURIComponent(store.get().ip)}`;
}

export const live = createLive({
  url: socketUrl,
  onMessage: (message) => {
    if (store.get().phase !== "ready") return;
    store.set(applyMessage(store.get(), message, Date.now()));
    for (const listener of messageListeners) listener(message);
  },
  onChange: (connection) => {
    const { connection: before, eventId } = store.get();
    if (before.state === "live" && connection.state !== "live") lastSeen = eventId;
    store.set({ connection });
  },
  onOpen: () => {
    if (lastSeen !== null) live.send({ type: "resume", after: lastSeen });
    lastSeen = null;
    // Files are not part of the dashboard: a change during the gap would go unseen.
    store.set({ filesVersion: store.get().filesVersion + 1 });
    for (const listener of openListeners) listener();
  },
  poll: async () => {
    try {
      store.set(applyDashboard(store.get(), await api.dashboard(store.get().ip), Date.now()));
      return true;
    } catch {
      return false;
    }
  },
  // The network may have given this device another address, or somebody has forgotten it.
  check: isStillSame,
});

store.subscribe(({ phase }) => phase === "gone" && live.stop());

/**
 * Loads the dashboard for the first time, and keeps trying while the server cannot be reached.
 * @param {boolean} [again] by itself: what is shown stays, with the focus in it
 */
export async function start(again = false) {
  if (!again) store.set({ phase: "loading", error: null });
  try {
    if (!(await enrol())) return;
    const data = await api.dashboard(store.get().ip);
    const loaded = { ...store.get(), ...applyDashboard(store.get(), data, Date.now()) };
    store.set({ ...loaded, phase: "ready", selectedId: firstChoice(loaded) });
    live.start();
    fetchAsked();
  } catch (error) {
    if (!(error instanceof api.ApiError)) throw error;
    if (store.get().phase === "gone") return;
    const retries = !error.status || error.status >= 500 || error.waitS > 0;
    store.set({ phase: "error", error: error.status ? error.message : T.page.unreachable, retries });
    if (!retries) return;
    setTimeout(() => store.get().phase === "error" && start(true), error.waitS * 1000 || RELOAD_AFTER_MS);
  }
}

// Also one that only a search has found.
const askedFor = (state) => [...state.tasks.values()].find((task) => taskKey(task) === state.route.key);

function firstChoice(state) {
  const tasks = state.order.map((id) => state.tasks.get(id));
  return (askedFor(state) ?? tasks.find((task) => task.status === "running") ?? tasks[0])?.task_id ?? null;
}

/** Asks for the task of the address bar, if it is older than those that are loaded. */
async function fetchAsked() {
  const { route, tasks, dash } = store.get();
  const { key } = route;
  if (!key || !dash || [...tasks.values()].some((task) => taskKey(task) === key)) return;
  try {
    const id = key.startsWith("task/") ? decodeURIComponent(key.slice(5)) : `user_${dash.session.workspace}_${key}`;
    const task = await api.task(id);
    store.set(withFound(store.get(), { tasks: [task] }));
    if (store.get().route.key === key) store.set({ selectedId: task.task_id });
  } catch (error) {
    // There is none, or that is no name: what is selected stays.
    if (!(error instanceof api.ApiError || error instanceof URIError)) throw error;
    if (store.get().route.key === key) store.set({ notice: T.tasks.gone });
  }
}

/** Takes over what the address bar says now. */
export function followRoute() {
  const route = parseRoute(location.hash);
  const state = store.get();
  store.set({ route, selectedId: askedFor({ ...state, route })?.task_id ?? state.selectedId });
  fetchAsked();
}

/**
 * What does not succeed is told above the tasks.
 * @param {() => Promise<any>} work
 * @param {boolean} [anew] whether what was told before has been read by now
 */
export async function attempt(work, anew = true) {
  if (anew) store.set({ notice: null });
  try {
    return await work();
  } catch (error) {
    if (!(error instanceof api.ApiError)) throw error;
    store.set({ notice: error.message });
    return null;
  }
}

function showTask(task) {
  store.set(applyTask(store.get(), task));
  store.set({ filter: "all" });
  // On a phone the list stays: a task that opens by itself would cover what the person is doing.
  if (PHONE.matches) store.set({ selectedId: task.task_id });
  else goTo(taskHash(task));
}

/**
 * @param {{command: string, runner: string, limits: object, network: string, priority: number,
 *   startAfter: string | null}} draft
 * @param {string} key the same for every attempt to send this draft, so that it becomes one task
 * @throws {import("./api.js").ApiError}
 */
export async function submit({ command, runner, limits, network, priority, startAfter }, key) {
  const order = { priority, ...(startAfter && { start_after: startAfter }) };
  const task = { description: titleOf(command), command, runner, limits, network, ...order };
  const answer = await api.submitTask({ ...task, idempotency_key: key });
  if (answer.task) showTask(answer.task);
}

/** @param {string} id */
export const cancel = (id) =>
  attempt(async () => {
    const task = await api.cancelTask(id);
    if (task?.task_id) store.set(applyTask(store.get(), task));
  });

/** @param {string} id @param {object | null} [limits] other limits than it had */
export const rerun = (id, limits = null) =>
  attempt(async () => {
    const task = await api.rerunTask(id, limits ? { limits } : {});
    if (task?.task_id) showTask(task);
  });

/** @param {string} path of an archive: a task unpacks it beside itself */
export const unpack = (path) =>
  attempt(async () => {
    const description = T.workspace.unpack(visible(path.slice(path.lastIndexOf("/") + 1)));
    const answer = await api.submitTask({ description, command: unpackCommand(path), runner: "shell" });
    if (answer.task) showTask(answer.task);
  });

/** One that waits is cancelled first: the server deletes only what has ended. @param {string} id */
export const remove = (id) =>
  attempt(async () => {
    if (store.get().tasks.get(id)?.status === "queued") await api.cancelTask(id);
    await api.deleteTask(id).catch((error) => {
      if (error.status !== 404) throw error; // somebody else was faster
    });
    store.set(applyDeleted(store.get(), id));
    if (PHONE.matches) goTo("#tasks");
  });

const BULK = 500; // tasks of one request

/** The next older tasks of the list. */
export const older = () => attempt(() => loadOlder(store), false);

/** Looks for tasks, also among those that are not loaded. @param {string} words */
export const find = (words) => attempt(() => search(store, words.trim().toLowerCase()));

/**
 * One for which it cannot be done stops no other.
 * @param {"cancel" | "rerun" | "delete"} action @param {string[]} ids @returns {Promise<boolean | null>} whether all were asked for
 */
export const bulk = (action, ids) =>
  attempt(async () => {
    const refused = [];
    let done = 0;
    try {
      for (let at = 0; at < ids.length; at += BULK) {
        const answer = await api.bulk(action, ids.slice(at, at + BULK));
        refused.push(...answer.refused);
        done += answer.done.length;
        if (action === "delete") for (const { task_id: id } of answer.done) store.set(applyDeleted(store.get(), id));
      }
      if (refused.length) store.set({ notice: T.tasks.refused(refused.length, refused[0].error) });
      return true;
    } catch (error) {
      if (!done || !(error instanceof api.ApiError)) throw error;
      store.set({ notice: T.tasks.partly(done, ids.length, error.message) });
      return false;
    }
  });

const HIGHEST = 100; // priority

/** Before all others of this session that wait. @param {string} id */
export const runNext = (id) =>
  attempt(async () => {
    const waiting = [...store.get().tasks.values()].filter((task) => task.status === "queued" && task.task_id !== id);
    const priority = Math.min(HIGHEST, Math.max(0, ...waiting.map((task) => task.priority)) + 1);
    store.set(applyTask(store.get(), await api.changeTask(id, { priority })));
  });
