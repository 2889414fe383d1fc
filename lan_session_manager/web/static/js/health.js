/** The swarm's state in words. Pure functions. */

import { clock, visible } from "./format.js";
import { T } from "./text.js";

const LITTLE_DISK_MB = 2048;

/** @param {any} swarm `swarm_health` @returns {boolean} whether the machine is about to run out of disk */
export const isDiskLow = (swarm) => swarm.disk_free_mb < LITTLE_DISK_MB;

/**
 * @param {any} swarm `swarm_health`
 * @param {number} lostSince ms, 0 while connected
 * @returns {{icon: string, cls: string, short: string, rest: string}} `short` and `rest` together are the sentence
 */
export function healthOf(swarm, lostSince) {
  if (lostSince)
    return { icon: "warn", cls: "state--queued", short: T.health.unknown, rest: T.health.since(clock(lostSince)) };
  const busy = swarm.slots_busy >= swarm.slots;
  const room = busy ? T.health.busy(swarm.queue_length) : T.health.free(swarm.slots - swarm.slots_busy, swarm.slots);
  if (swarm.status === "healthy")
    return { icon: "completed", cls: "state--completed", short: T.health.healthy, rest: room };
  let why = room;
  if (!swarm.isolation) why = T.health.noSandbox;
  else if (swarm.isolation.grade !== "full") why = T.health.isolation(visible(swarm.isolation.grade));
  else if (isDiskLow(swarm)) why = T.health.disk(swarm.disk_free_mb);
  return { icon: "warn", cls: "state--queued", short: T.health.warning, rest: why };
}
