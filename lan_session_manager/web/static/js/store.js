/** The state of the page, and what news of the server change in it. The `apply…` functions are pure. */

import { ms, shortId } from "./format.js";
import { listed, withDashboard } from "./listing.js";
import { T } from "./text.js";

const TOLD = 200;
const RANK = { queued: 0, running: 1, completed: 2, failed: 2, cancelled: 2 };

/** @returns {object} the state before anything is known */
function initialState() {
  return {
    phase: "loading", // loading | ready | error | gone
    gone: "", // why there is nothing more to show: forgotten | left | cookies
    error: null,
    retries: false, // whether the page tries by itself
    ip: "",
    connection: { state: "connecting", lost: false, attempt: 0, retryAt: 0, waitMs: 0 },
    expiresAt: 0, // ms of the server's clock: when the session ends that nobody uses; 0: nothing was said of it
    expired: "", // why the session is over: idle | ended; nothing is asked of the server any more
    lastData: 0, // ms of this device's clock: when the server last said anything
    skew: 0, // ms: the server's clock minus this device's
    eventId: 0,
    startedAt: "", // of the server: another value means that event ids begin anew
    dash: null,
    tasks: new Map(),
    order: [], // task ids, newest first, without a gap
    horizon: null, // the oldest of them, if there are older ones
    more: false,
    find: "", // what is searched for in the list, in lower case
    finding: false,
    picked: null, // ids that are chosen for one action, or null
    selectedId: null,
    route: { view: "tasks", key: null, tab: null },
    filter: "all",
    notice: null, // a sentence about an action that did not succeed
    said: "", // the line that screen readers hear
    told: [], // ids of the last events that were told there
    filesVersion: 0, // grows whenever anything in the workspace may have changed
  };
}

/** @param {object} initial @returns a holder of state that tells its listeners of every change */
export function createStore(initial) {
  let state = initial;
  const listeners = new Set();
  return {
    get: () => state,
    /** @param {object | null} changes nothing happens for null */
    set(changes) {
      if (!changes) return;
      state = { ...state, ...changes };
      for (const listener of [...listeners]) listener(state);
    },
    subscribe(listener) {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
  };
}

export const store = createStore(initialState());

function skewFrom(state, timestamp, now) {
  const skew = ms(timestamp) - now;
  // Small differences are the network's: following them would make every stopwatch stutter.
  return Number.isNaN(skew) || Math.abs(skew - state.skew) < 700 ? state.skew : skew;
}

/**
 * A whole dashboard: taken over unless events have told newer things already.
 * @param {any} state
 * @param {any} data the dashboard object
 * @param {number} now ms of this device's clock
 */
export function applyDashboard(state, data, now) {
  const { my_tasks: list, ...dash } = data;
  const sameServer =
    state.startedAt === dash.server.started_at && state.dash?.session.session_id === dash.session.session_id;
  const common = { lastData: now, skew: skewFrom(state, dash.server.timestamp, now) };
  if (sameServer && dash.event_id < state.eventId) return common;
  const { tasks, horizon, more } = withDashboard(sameServer ? state : initialState(), list);
  const selectedId = tasks.has(state.selectedId) ? state.selectedId : null;
  return {
    ...common,
    dash,
    tasks,
    horizon,
    more,
    order: listed(tasks, horizon),
    eventId: dash.event_id,
    startedAt: dash.server.started_at,
    selectedId,
  };
}

/**
 * One task as an answer of the server gave it. Answers may be overtaken by events: a task never goes back here.
 * @param {any} state
 * @param {import("./types.js").Task} task
 */
export function applyTask(state, task) {
  const known = state.tasks.get(task.task_id);
  if (known && RANK[known.status] > RANK[task.status]) return null;
  return withTask(state, task);
}

function withTask(state, task) {
  const isNew = !state.tasks.has(task.task_id);
  const tasks = new Map(state.tasks).set(task.task_id, task);
  return isNew ? { tasks, order: listed(tasks, state.horizon) } : { tasks };
}

/** @param {any} state @param {string} id @returns {object | null} the neighbour is selected in its place */
export function applyDeleted(state, id) {
  if (!state.tasks.has(id)) return null;
  const tasks = new Map(state.tasks);
  tasks.delete(id);
  const picked = state.picked && new Set([...state.picked].filter((other) => other !== id));
  const order = state.order.filter((other) => other !== id);
  const at = state.order.indexOf(id);
  const selectedId = state.selectedId === id ? (order[Math.min(at, order.length - 1)] ?? null) : state.selectedId;
  return { tasks, order, selectedId, picked };
}

function applyActivity(state, message) {
  let tasks = state.tasks;
  for (const [id, position] of Object.entries(message.queue ?? {})) {
    const task = state.tasks.get(id);
    if (!task || task.status !== "queued" || task.queue_position === position) continue;
    if (tasks === state.tasks) tasks = new Map(tasks);
    tasks.set(id, { ...task, queue_position: position });
  }
  const { network_activity: network, swarm_health: swarm, workspace_usage: usage } = message;
  const dash = {
    ...state.dash,
    network_activity: { ...state.dash.network_activity, ...network },
    swarm_health: { ...state.dash.swarm_health, ...swarm },
    workspace_usage: { ...state.dash.workspace_usage, ...usage },
  };
  return { dash, tasks };
}

function applyExpired(state) {
  const connection = { ...state.connection, state: "ended", lost: true };
  return { expired: state.expiresAt ? "idle" : "ended", expiresAt: 0, connection };
}

/**
 * One message of the live connection.
 * @param {any} state
 * @param {any} message
 * @param {number} now ms of this device's clock
 * @returns {object} the changes
 */
export function applyMessage(state, message, now) {
  const base = { lastData: now, skew: skewFrom(state, message.timestamp, now) };
  if (message.event === "dashboard_update" || message.event === "periodic_update")
    return applyDashboard(state, message.data, now);
  if (message.event === "activity") return { ...base, ...applyActivity(state, message) };
  if (message.event === "session_expiring") return { ...base, expiresAt: ms(message.expires_at) };
  if (message.event === "message") return { ...base, dash: { ...state.dash, message: message.message } };
  if (message.event === "session_kept") return { ...base, expiresAt: 0 };
  if (message.event === "session_expired") return { ...base, ...applyExpired(state) };
  if (!message.id) return base;
  // What happens while a new connection asks for what it missed comes twice.
  if (message.event === "task_completed" && message.task && !state.told.includes(message.id)) {
    base.told = [...state.told.slice(-TOLD), message.id];
    base.said = T.page.said(shortId(message.task), T.states[message.task.status].toLowerCase());
  }
  // A dashboard does not say which of the older tasks are gone. What was reported again since has a later beginning.
  if (message.event === "task_deleted") {
    const eventId = Math.max(state.eventId, message.id);
    const isNewer = ms(state.tasks.get(message.task_id)?.created_at) > ms(message.timestamp);
    return { ...base, eventId, ...(isNewer ? null : applyDeleted(state, message.task_id)) };
  }
  // Replayed after a reconnect, and already part of the dashboard that came first: only to be told.
  if (message.id <= state.eventId) return base;
  base.eventId = message.id;
  if (message.event === "session_paused" || message.event === "session_unpaused")
    base.dash = { ...state.dash, paused: message.event === "session_paused" };
  // What else changes in the workspace says where: see `Workspace`.
  if (message.event === "task_completed") base.filesVersion = state.filesVersion + 1;
  return message.task ? { ...base, ...withTask(state, message.task) } : base;
}

/** @param {any} state @returns {boolean} whether what is shown is old and nothing can be changed */
export const isLost = (state) => state.connection.lost;

/** @param {any} state @returns {number} how many of this session's tasks run */
export function runningCount(state) {
  let n = 0;
  for (const task of state.tasks.values()) if (task.status === "running") n += 1;
  return n;
}
