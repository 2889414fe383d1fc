/** Why a queued task has not started, and how long that may take, in one line. Pure. */

import { clock, ms, sizeMb, visible } from "./format.js";
import { T } from "./text.js";

const W = T.waits;

function estimate(wait) {
  const seconds = wait?.estimate_s;
  return typeof seconds === "number" ? W.about(seconds) : "";
}

// Ids of tasks of the same session differ only in what they end with.
const short = (id) => /_(task_\d+)$/.exec(id)?.[1] ?? visible(id);

function place(task) {
  const known = estimate(task.wait) || W.unknown;
  if (task.queue_position === 1) return W.next + known;
  return task.queue_position ? W.position(task.queue_position) + known : W.waiting;
}

/**
 * @param {import("./types.js").Task} task a queued one
 * @param {number} max how many tasks of the session may run at once
 * @returns {string}
 */
export function waitLine(task, max) {
  const wait = task.wait ?? {};
  const about = estimate(wait);
  if (task.detail) return visible(task.detail); // it was tried already
  switch (task.waits_for) {
    case "own_limit":
      return W.ownLimit(wait.running ?? max, wait.may_run ?? max) + about;
    case "memory":
      return W.memory(sizeMb(wait.memory_mb ?? task.limits.memory_mb)) + about;
    case "dependency": {
      const [first, ...rest] = wait.tasks ?? [];
      return first ? W.dependency(short(first), rest.length) : W.dependencies;
    }
    case "start_after":
      return W.startAfter(clock(ms(wait.until ?? task.start_after)));
    case "worker":
      return W.worker;
    case "paused":
      return W.paused;
    case "alone":
      return W.alone + about;
    default:
      return place(task);
  }
}
