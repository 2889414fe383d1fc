/** From a task's facts to the words for how it ended, and to what would mend it. Pure functions. */

import { duration, ms, visible } from "./format.js";
import { O, SIGNALS } from "./text.js";

/** @param {import("./types.js").Task} task @returns {number} seconds it ran; NaN if it did not start or still runs */
export function ranFor(task) {
  return (ms(task.ended_at) - ms(task.started_at)) / 1000;
}

/** @param {import("./types.js").Task} task @returns {boolean} */
export function hasEnded(task) {
  return task.status !== "queued" && task.status !== "running";
}

const SIGNAL_NAME = /^SIG[A-Z0-9]+$/;

/** What the server adds in words; a mere signal's name is said elsewhere. @param {import("./types.js").Task} task */
export function noteOf(task) {
  return SIGNAL_NAME.test(task.detail) ? "" : visible(task.detail);
}

function signalName(task) {
  if (SIGNAL_NAME.test(task.detail)) return task.detail;
  const code = task.exit_code ?? 0;
  const number = code > 128 ? code - 128 : -code;
  return SIGNALS[number] ?? O.signal(number);
}

function exitCause(task) {
  if (task.child_out_of_memory) return O.childMemory(task.limits.memory_mb);
  if (task.runner === "shell" && task.exit_code === 127) return O.notFound;
  if (task.runner === "shell" && task.exit_code === 126) return O.notRunnable;
  return "";
}

/** @param {import("./types.js").Task} task failed @returns {string} why, in half a line with its numbers */
export function failureLine(task) {
  const detail = noteOf(task);
  const explained = (what) => (detail ? O.because(what, detail) : what);
  switch (task.reason) {
    case "exit": {
      const why = exitCause(task) || detail;
      return why ? O.exitWith(task.exit_code, why) : O.exit(task.exit_code);
    }
    case "signal":
      return O.signal(signalName(task));
    case "out_of_memory": {
      const why = detail ? O.because(O.memoryOf, detail) : O.memory(task.limits.memory_mb);
      return task.exit_code === null ? why[0].toUpperCase() + why.slice(1) : O.exitWith(task.exit_code, why);
    }
    case "time_limit":
      return O.time(task.limits.time_s);
    case "disk_quota":
      return explained(O.quota);
    case "output_limit":
      return O.output;
    case "session_ended":
      return O.session;
    case "lost":
      return O.lost;
    case "start_failed":
      return explained(O.start);
    case "dependency_failed":
      return explained(O.dependency);
    default:
      return task.exit_code === null ? explained(O.failed) : explained(O.exit(task.exit_code));
  }
}

/** @param {import("./types.js").Task} task @returns {string} its exit code with what it means; empty without one */
export function exitLine(task) {
  if (task.exit_code === null) return "";
  if (task.reason === "out_of_memory") return O.exitCode(task.exit_code, O.stopped);
  if (task.reason === "signal") return O.exitCode(task.exit_code, signalName(task));
  return O.exitCode(task.exit_code, exitCause(task));
}

const next = (choices, now, max) => choices.find((choice) => choice > now && choice <= max) ?? null;

/**
 * What the failure callout says and offers.
 * @param {import("./types.js").Task} task failed
 * @param {any} dashboard for the limits and the quota
 * @returns {{title: string, body: string, detail: string, edit: boolean,
 *   rerun: {label: string, limits: object | null}}}
 */
export function failure(task, dashboard) {
  const { memory_mb: memory, time_s: time } = dashboard.limits;
  const ran = ranFor(task);
  const again = { label: O.rerun, limits: null };
  const result = (title, body, rerun = again, edit = true) => ({
    title,
    body,
    rerun,
    edit,
    detail: noteOf(task),
  });
  const moreMemory = () => {
    const mb = next(memory.choices, task.limits.memory_mb, memory.max);
    return mb ? { label: O.rerunMemory(mb), limits: { ...task.limits, memory_mb: mb } } : again;
  };
  switch (task.reason) {
    case "exit":
      if (task.child_out_of_memory)
        return result(O.titles.exit(task.exit_code), O.bodies.childMemory(task.limits.memory_mb), moreMemory());
      if (exitCause(task) === O.notFound) return result(O.titles.exit(127), O.bodies.notFound);
      if (exitCause(task) === O.notRunnable) return result(O.titles.exit(126), O.bodies.notRunnable);
      return result(O.titles.exit(task.exit_code), O.bodies.exit);
    case "signal":
      return result(O.titles.signal(signalName(task)), O.bodies.signal);
    case "out_of_memory":
      return result(
        noteOf(task) ? O.titles.outOfMemory : O.titles.out_of_memory(task.limits.memory_mb),
        O.bodies.out_of_memory(ran > 0 ? duration(ran) : "", task.exit_code),
        moreMemory(),
      );
    case "time_limit": {
      const s = next(time.choices, task.limits.time_s, time.max);
      const rerun = s ? { label: O.rerunTime(s), limits: { ...task.limits, time_s: s } } : again;
      return result(O.titles.time_limit(task.limits.time_s), O.bodies.time_limit(task.limits.time_s), rerun);
    }
    case "disk_quota": {
      const own = task.limits.disk_mb;
      const mb = own === null ? 0 : Math.min(2 * own, dashboard.limits.most.disk_mb ?? 2 * own);
      const rerun = mb > own ? { label: O.rerunDisk(mb), limits: { ...task.limits, disk_mb: mb } } : again;
      return result(O.titles.disk_quota, O.bodies.disk_quota, own === null ? again : rerun);
    }
    case "session_ended":
    case "lost":
    case "start_failed":
    case "dependency_failed":
      return result(O.titles[task.reason], O.bodies[task.reason], again, false);
    case "output_limit":
      return result(O.titles.output_limit, O.bodies.output_limit);
    default:
      return result(O.titles.other, O.bodies.other);
  }
}
