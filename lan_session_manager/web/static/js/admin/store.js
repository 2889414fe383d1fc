/** What the admin page knows, and which of its sections is shown. */

import { createStore } from "../store.js";

export const SECTIONS = ["sessions", "queue", "health", "settings", "audit", "connections"];

/** @returns {string} the section that the address names */
export function sectionNow() {
  const name = location.hash.slice(1);
  return SECTIONS.includes(name) ? name : SECTIONS[0];
}

const nothing = {
  seen: null, // the answer of /overview
  sessions: null, // the answers of the sections, null until they have come
  leaving: null,
  queue: null,
  health: null,
  settings: null,
  audit: null, // {entries, next, pages}
  connections: null, // {connections, next, pages}
};

export const admin = createStore({
  ...nothing,
  view: "opening", // "opening" | "login" | "open"
  over: false, // the login has ended while the page was open: what is typed stays
  section: sectionNow(),
  problem: "", // a sentence: why the last thing did not succeed
  busy: false,
  seenAt: 0, // ms, of this device's clock: when the server last answered
  skew: 0, // ms: the server's clock minus this device's
  lost: false, // the server does not answer
  find: "", // in the sessions
  kind: "all", // of the sessions that are shown
  verdict: "", // of the audit log
  session: "", // of the audit log: an address or a workspace's name
  said: "", // the line that screen readers hear
  dialog: null, // {kind, …}
});

/** Forgets everything that the server has told, and shows the login. */
export const forget = () => admin.set({ ...nothing, view: "login", dialog: null, over: false, problem: "" });

/** @param {any} state @returns {number} when the server last answered, by its own clock, in ms */
export const serverNow = (state) => state.seenAt + state.skew;
