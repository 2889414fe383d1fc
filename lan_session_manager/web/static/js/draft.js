/** The task that is being written: kept over a reload, sent as one task however often it has to be tried. */

import { submit } from "./actions.js";
import { ApiError } from "./api.js";
import { recall, remember } from "./storage.js";
import { createStore, isLost, store } from "./store.js";
import { T } from "./text.js";
import { clearAttached, uploads } from "./uploads.js";

function recalled() {
  const blank = { command: "", runner: "", limits: {}, network: "", priority: 0, startAfter: "", key: "" };
  try {
    const { command, runner, limits, network, priority, startAfter, key } = JSON.parse(recall("draft") ?? "{}");
    if (typeof command !== "string" || typeof runner !== "string") return blank;
    return {
      command,
      runner,
      limits: limits && typeof limits === "object" ? limits : {},
      network,
      priority: typeof priority === "number" ? priority : 0,
      startAfter: typeof startAfter === "string" ? startAfter : "",
      key: typeof key === "string" ? key : "",
    };
  } catch {
    return blank;
  }
}

export const draft = createStore({ ...recalled(), sending: false, error: "" });

function keep() {
  const { command, runner, limits, network, priority, startAfter, key } = draft.get();
  remember("draft", JSON.stringify({ command, runner, limits, network, priority, startAfter, key }));
}

/**
 * @param {{command?: string, runner?: string, limits?: object, network?: string, priority?: number,
 *   startAfter?: string}} changes
 */
export function edit(changes) {
  draft.set({ ...changes, error: "", key: "" });
  keep();
}

/** @param {any} dash @param {any} written the draft @returns {string} its runner, or the first one there is */
export function runnerOf(dash, written) {
  const names = dash.runners.map((runner) => runner.name);
  return names.includes(written.runner) ? written.runner : (names[0] ?? "");
}

/** @param {string[]} networks that may be chosen @param {any} written the draft @returns {string} its network profile */
export const networkOf = (networks, written) => (networks.includes(written.network) ? written.network : "none");

/**
 * @param {any} dash
 * @param {any} written the draft
 * @returns {{memory_mb: number, time_s: number}} within what may be asked for
 */
export function limitsOf(dash, written) {
  const within = (limit, value) =>
    typeof value === "number" && value > 0 && value <= limit.max ? value : limit.default;
  return {
    memory_mb: within(dash.limits.memory_mb, written.limits.memory_mb),
    time_s: within(dash.limits.time_s, written.limits.time_s),
  };
}

/** @param {any} written the draft @returns {string | null} when it starts at the earliest, ISO 8601; null: now */
function startOf(written) {
  const at = Date.parse(written.startAfter);
  return Number.isNaN(at) ? null : new Date(at).toISOString();
}

/** @param {any} list of uploads @returns {boolean} whether a file of this draft is still on its way */
export const isUploading = (list) =>
  list.some((one) => one.attached && ["sending", "waiting", "lost"].includes(one.state));

/** @param {any} dash @returns {boolean} whether the server can run tasks at all */
export const canRun = (dash) => dash.runners.length > 0 && Boolean(dash.swarm_health.isolation);

/**
 * Whether "Run" can be pressed. An empty draft is no reason against it: pressing then says what is missing.
 * @param {boolean} runs `canRun` @param {any} written @param {any[]} list of uploads @param {boolean} lost
 */
export function canSend(runs, written, list, lost) {
  return runs && !written.sending && !lost && !isUploading(list);
}

function newKey() {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

/** Sends the draft; when that fails, it stays with the reason. */
export async function sendDraft() {
  const written = draft.get();
  const { dash } = store.get();
  if (!canSend(canRun(dash), written, uploads.get().list, isLost(store.get()))) return;
  if (!written.command.trim()) {
    draft.set({ error: T.composer.nothing });
    return;
  }
  if (written.startAfter && !startOf(written)) {
    draft.set({ error: T.composer.noTime });
    return;
  }
  const key = written.key || newKey();
  draft.set({ sending: true, error: "", key });
  keep(); // whoever reloads now and presses again has one task all the same
  try {
    await submit(
      {
        command: written.command.trim(),
        runner: runnerOf(dash, written),
        limits: limitsOf(dash, written),
        network: networkOf(dash.permissions.networks, written),
        priority: written.priority,
        startAfter: startOf(written),
      },
      key,
    );
    // The other options are a habit, these are not. What was typed since is the next task.
    const { command } = draft.get();
    edit({ command: command === written.command ? "" : command, priority: 0, startAfter: "" });
    clearAttached();
  } catch (error) {
    if (!(error instanceof ApiError)) throw error;
    draft.set({ error: error.message });
  } finally {
    draft.set({ sending: false });
  }
}
