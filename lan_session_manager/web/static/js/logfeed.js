/**
 * Brings a part of one task's log to the page: first its end, then what is printed, and whatever somebody scrolls to.
 * What is printed comes over the live connection, or by asking while there is none.
 */

import { live, onMessage, onOpen } from "./actions.js";
import * as api from "./api.js";
import { LogLines } from "./loglines.js";
import { store } from "./store.js";

const POLL_MS = 5000;
const PAGE = 500; // lines asked for at once

const NOTHING = new Set();

/**
 * @param {string} id of the task
 * @param {(changed: Set<import("./loglines.js").Line>) => void} onChange there is news: these lines, or only the state
 */
export function followLog(id, onChange) {
  const lines = new LogLines();
  const feed = { lines, end: { byte: 0, line: 0 }, ended: false, error: "", stop, earlier, later, showEnd, showAt, stay };
  const decoder = new TextDecoder();
  let opened = false;
  let asking = null; // what is on its way
  let awaited = null; // where the answer to the last follow_log begins: until then pieces of an older one may come
  let uncounted = false; // whether the numbers of the lines are not known because some were passed over
  let stopped = false;
  let wishes = 0; // what somebody wants to see now: an answer to an earlier wish changes nothing

  function follow() {
    if (!stopped && opened && lines.atEnd && !feed.ended) {
      awaited = lines.next;
      live.send({ type: "follow_log", task_id: id, after: lines.next, skip: true });
    }
  }

  /** One request at a time: what is asked for depends on what is there. @param {() => Promise<void>} work */
  async function alone(work) {
    if (asking || stopped) return false;
    asking = answered(work);
    return asking;
  }

  /** As `alone`, after what is on its way now: somebody waits for it. @param {() => Promise<void>} work */
  async function inTurn(work) {
    while (asking) await asking;
    return alone(work);
  }

  async function answered(work) {
    try {
      await work();
      feed.error = "";
      return true;
    } catch (error) {
      if (!(error instanceof api.ApiError)) throw error;
      if (error.status) feed.error = error.message;
      return false;
    } finally {
      asking = null;
      if (!stopped) onChange(NOTHING);
    }
  }

  async function page(query) {
    const found = await api.logLines(id, { most: PAGE, ...query });
    feed.end = found.end;
    return found;
  }

  function away() {
    if (!lines.atEnd) live.send({ type: "unfollow_log", task_id: id });
  }

  /** Shows the newest lines, and from there on what is printed. */
  function showEnd() {
    wishes += 1;
    const wish = wishes;
    return inTurn(async () => {
      const found = await page({ tail: 1 });
      if (wish !== wishes) return;
      const first = found.lines[0];
      lines.reset(first?.after ?? found.end.byte, first ? first.number : 1);
      lines.append(found.lines, true);
      opened = true;
      uncounted = false;
      follow();
    });
  }

  /** Shows what stands around that byte, the first one of a line. @param {number} byte */
  function showAt(byte) {
    wishes += 1;
    const wish = wishes;
    return inTurn(async () => {
      const before = await page({ before: byte, most: PAGE / 2 });
      const after = await page({ after: byte });
      if (wish !== wishes) return;
      const first = before.lines[0] ?? after.lines[0];
      lines.reset(first?.after ?? byte, first?.number ?? null);
      lines.append([...before.lines, ...after.lines], false);
      opened = true;
      away();
    });
  }

  /** What is wanted is here already: what was asked for elsewhere comes too late. */
  function stay() {
    if (opened) wishes += 1;
  }

  /** Loads what stands before the window. */
  function earlier() {
    if (lines.start <= 0) return Promise.resolve(false);
    return alone(async () => {
      lines.prepend((await page({ before: lines.start })).lines);
      away();
    });
  }

  /** Loads what stands behind it; at the end it follows on. */
  function later() {
    if (lines.atEnd) return Promise.resolve(false);
    return alone(async () => {
      const found = await page({ after: lines.next });
      const last = found.lines[found.lines.length - 1];
      lines.append(found.lines, !last || last.next >= found.end.byte);
      follow();
    });
  }

  const endMessages = onMessage((message) => {
    if (message.event === "error" && message.type === "follow_log") {
      feed.error = message.error;
      onChange(NOTHING);
    }
    if (message.task_id !== id) return;
    if (message.event === "log" || message.event === "log_skipped") {
      feed.end = { byte: Math.max(feed.end.byte, message.next), line: null };
      if (awaited !== null && message.after > awaited) return;
      if (awaited !== null && message.next > awaited) awaited = null;
      onChange(lines.atEnd ? take(message) : NOTHING);
    } else if (message.event === "log_end") {
      feed.ended = true;
      onChange(NOTHING);
      if (uncounted) recount();
    }
  });

  function take(message) {
    let changed = NOTHING;
    if (message.event === "log") changed = lines.add(message);
    else {
      lines.skip(message.next);
      uncounted = true;
    }
    away();
    return changed;
  }

  /** Shows the end as the server counts it. */
  function recount() {
    if (asking || !lines.atEnd || lines.held) return Promise.resolve(false);
    return showEnd();
  }

  const endOpen = onOpen(() => (opened ? follow() : showEnd()));

  async function poll() {
    if (!opened) return asking ? false : showEnd();
    if (uncounted) return recount();
    if (feed.ended || !lines.atEnd || store.get().connection.state !== "polling") return false;
    return alone(async () => {
      // Read before the answer: what it prints between the two comes with the next round.
      const status = store.get().tasks.get(id)?.status;
      const response = await api.logFrom(id, lines.next);
      const bytes = new Uint8Array(await response.arrayBuffer());
      const after = lines.next;
      const next = Number(response.headers.get("X-Log-Next")) || after + bytes.length;
      const text = decoder.decode(bytes, { stream: true });
      const changed = lines.add({ after, next, stream: "stdout", text });
      feed.end = { byte: next, line: null };
      if (status !== "running" && status !== "queued") feed.ended = true;
      onChange(changed);
    });
  }
  const timer = setInterval(poll, POLL_MS);
  showEnd();

  function stop() {
    stopped = true;
    clearInterval(timer);
    endMessages();
    endOpen();
    live.send({ type: "unfollow_log", task_id: id });
  }
  return feed;
}
