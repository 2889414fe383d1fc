/** What the address bar says: "#task_007/outputs", "#files", "#swarm", "#tasks". */

const TABS = ["log", "outputs", "details"];

/**
 * @param {string} hash
 * @returns {{view: "tasks" | "task" | "files" | "swarm", number: number | null,
 *   tab: "log" | "outputs" | "details" | null}}
 */
export function parseRoute(hash) {
  const task = /^#task_(\d{1,9})(?:\/(\w+))?$/.exec(hash);
  if (task) return { view: "task", number: Number(task[1]), tab: TABS.includes(task[2]) ? task[2] : null };
  const view = hash === "#files" || hash === "#swarm" ? hash.slice(1) : "tasks";
  return { view, number: null, tab: null };
}

/** @param {number} number @param {string} [tab] @returns {string} a hash */
export function taskHash(number, tab) {
  return `#task_${String(number).padStart(3, "0")}${tab ? `/${tab}` : ""}`;
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
