/** Brings one task's log to the page: over the live connection, and by asking for the rest while there is none. */

import { live, onMessage, onOpen } from "./actions.js";
import * as api from "./api.js";
import { LogLines } from "./loglines.js";
import { store } from "./store.js";

const POLL_MS = 5000;

/**
 * @param {string} id of the task
 * @param {(changed: Set<import("./loglines.js").Line>) => void} onChange there is news: these lines, or only the state
 */
export function followLog(id, onChange) {
  const lines = new LogLines();
  const feed = { lines, ended: false, error: "", stop };
  const decoder = new TextDecoder();
  const nothing = new Set();
  let asking = false;

  function ask() {
    if (!feed.ended) live.send({ type: "follow_log", task_id: id, after: lines.next });
  }

  const endMessages = onMessage((message) => {
    if (message.event === "error" && message.type === "follow_log") {
      feed.error = message.error;
      onChange(nothing);
    }
    if (message.task_id !== id) return;
    if (message.event === "log") onChange(lines.add(message));
    else if (message.event === "log_end") {
      feed.ended = true;
      onChange(nothing);
    }
  });
  const endOpen = onOpen(ask);
  if (live.isOpen()) ask();

  async function poll() {
    if (asking || feed.ended || store.get().connection.state !== "polling") return;
    asking = true;
    // Read before the answer: what it prints between the two comes with the next round.
    const status = store.get().tasks.get(id)?.status;
    try {
      const response = await api.logFrom(id, lines.next);
      const bytes = new Uint8Array(await response.arrayBuffer());
      const after = lines.next;
      const next = Number(response.headers.get("X-Log-Next")) || after + bytes.length;
      const changed = lines.add({ after, next, stream: "stdout", text: decoder.decode(bytes, { stream: true }) });
      feed.error = "";
      if (status !== "running" && status !== "queued") feed.ended = true;
      onChange(changed);
    } catch (error) {
      if (error.status) {
        feed.error = error.message;
        onChange(nothing);
      }
    } finally {
      asking = false;
    }
  }
  const timer = setInterval(poll, POLL_MS);
  poll();

  function stop() {
    clearInterval(timer);
    endMessages();
    endOpen();
    live.send({ type: "unfollow_log", task_id: id });
  }
  return feed;
}
