/** Which sessions are shown, and in which order. Pure functions. */

import { ms } from "../format.js";

const ACTIVE_MS = 5 * 60 * 1000;
const STATES = ["active", "idle", "paused", "expired", "trashed"];

/** @param {any} session @param {number} now ms of the server's clock @returns {string} */
export function stateOf(session, now) {
  if (session.trashed_at) return "trashed";
  if (session.state !== "live") return "expired";
  if (session.paused_at) return "paused";
  return now - ms(session.last_activity) < ACTIVE_MS ? "active" : "idle";
}

/** @param {any} session @param {string} kind */
export function isKind(session, kind) {
  if (kind === "all") return true;
  return kind === "paused" ? !!session.paused_at : session.state === kind;
}

/** @param {any} session @param {string} text */
export function fits(session, text) {
  const where = [session.ip, session.workspace, ...session.devices.map((device) => device.name)];
  return where.some((part) => part.toLowerCase().includes(text.toLowerCase()));
}

// "10.0.0.9" comes before "10.0.0.10".
const natural = new Intl.Collator("en", { numeric: true });
const part = (value, most) => (most ? (value ?? -1) / most : -1);

/** What can be sorted by: of two sessions which is the lower one, and whether the highest comes first at once. */
export const COLUMNS = {
  state: { of: (one, now) => STATES.indexOf(stateOf(one, now)), down: false },
  address: { of: () => 0, down: false },
  running: { of: (one) => one.running + one.queued / 1e6, down: true },
  cpu: { of: (one) => part(one.used?.cores ?? 0, one.limits.cores), down: true },
  memory: { of: (one) => part(one.used?.memory_mb ?? 0, one.limits.memory_mb), down: true },
  disk: { of: (one) => part(one.usage?.size_mb, one.limits.quota_mb), down: true },
  last: { of: (one) => ms(one.last_activity), down: true },
};

/** @param {any[]} sessions @param {{by: string, down: boolean}} sort @param {number} now @returns {any[]} */
export function sortedBy(sessions, { by, down }, now) {
  const { of } = COLUMNS[by];
  const sign = down ? -1 : 1;
  const order = (a, b) =>
    sign * (of(a, now) - of(b, now) || (by === "address" ? natural.compare(a.workspace, b.workspace) : 0)) ||
    natural.compare(a.workspace, b.workspace);
  return [...sessions].sort(order);
}
