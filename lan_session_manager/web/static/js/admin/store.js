/** What the admin page knows. */

import { createStore } from "../store.js";

export const admin = createStore({
  view: "opening", // "opening" | "login" | "open"
  problem: "", // a sentence: why the last thing did not succeed
  busy: false,
  health: null,
  known: null, // the answer of /sessions
  seenAt: 0, // ms, of this device's clock: when `known` came
  lost: false, // the server does not answer
  find: "",
  verdict: "", // of the audit log
  session: "", // of the audit log: an address or a workspace's name
  audit: null, // {entries, next}
  connections: null, // {connections, next}
  dialog: null, // {kind: "end" | "limits", session}
});
