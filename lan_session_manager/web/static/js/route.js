/**
 * What the address bar says: "#task_007/outputs", "#task_007/log:L120" (a line of it), "#task/job-7" (an orchestrator's own id), "#files", "#swarm",
 * "#tasks", or "#device", which a phone shows below the swarm.
 */

const TABS = ["log", "outputs", "details"];

/**
 * @param {string} hash
 * @returns {{view: "tasks" | "task" | "files" | "swarm", key: string | null,
 *   tab: "log" | "outputs" | "details" | null, line?: number, place?: "device"}} `key` is that of `taskKey`
 */
export function parseRoute(hash) {
  const task = /^#(task_\d{1,9}|task\/[^/]+)(?:\/(\w+))?(?::L(\d{1,12}))?$/.exec(hash);
  if (task) {
    const tab = TABS.includes(task[2]) ? task[2] : null;
    return { view: "task", key: task[1], tab, ...(task[3] && tab === "log" && { line: Number(task[3]) }) };
  }
  if (hash === "#device") return { view: "swarm", key: null, tab: null, place: "device" };
  const view = hash === "#files" || hash === "#swarm" ? hash.slice(1) : "tasks";
  return { view, key: null, tab: null };
}

/** @param {import("./types.js").Task} task @returns {string} what a hash calls it */
export function taskKey(task) {
  return task.number === null ? `task/${encodeURIComponent(task.task_id)}` : `task_${String(task.number).padStart(3, "0")}`;
}

/** @param {import("./types.js").Task} task @param {string} [tab] @returns {string} a hash */
export function taskHash(task, tab) {
  return `#${taskKey(task)}${tab ? `/${tab}` : ""}`;
}

/** Another tab of the same task is no step that "back" should undo. @param {string} hash */
export function replaceHash(hash) {
  history.replaceState(null, "", hash);
  dispatchEvent(new HashChangeEvent("hashchange"));
}

/** @param {string} hash */
export function goTo(hash) {
  if (location.hash === hash) dispatchEvent(new HashChangeEvent("hashchange"));
  else location.hash = hash;
}
