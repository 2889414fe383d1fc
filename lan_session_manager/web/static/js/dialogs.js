/** What stands in front of the page: a question before something is lost, a look into a file, or a code. */

import { createStore } from "./store.js";

/** `shown`: {kind: "confirm" | "preview" | "trash" | "carry" | "claim" | "token" | "keys", …} or null. */
export const dialogs = createStore({ shown: null });

/**
 * @param {{title: string, body: string, button: string, keep?: string}} question
 * @returns {Promise<boolean>} whether the answer was yes
 */
export function confirm(question) {
  return new Promise((answer) => dialogs.set({ shown: { kind: "confirm", ...question, answer } }));
}

/** @param {{path: string, name: string, size: number}} file */
export function preview(file) {
  dialogs.set({ shown: { kind: "preview", file } });
}

/** @param {{kind: "trash" | "carry" | "claim" | "token" | "keys", secret?: string}} shown `secret`: of a link, to claim a session with */
export function show(shown) {
  dialogs.set({ shown });
}

/** @param {boolean} yes */
export function closeDialog(yes = false) {
  const { shown } = dialogs.get();
  dialogs.set({ shown: null });
  shown?.answer?.(yes);
}
