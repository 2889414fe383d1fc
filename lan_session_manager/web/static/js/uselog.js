/** What the log's pane is made of: the feed into the document, and what is in sight of it. */

import { useEffect, useRef, useState } from "./html.js";
import { followLog } from "./logfeed.js";
import { LogSearch } from "./logsearch.js";
import { LogView } from "./logview.js";
import { T } from "./text.js";

const DRAW_EVERY_MS = 60;
const DRAWING_SHARE = 4; // a slow device spends no more than about a quarter of its time on it
const LONGEST_WAIT_MS = 600;
const SAY_EVERY_MS = 6000;
const AT_END_PX = 24;
const NEAR_PX = 400; // from where on what stands before or behind is loaded

const BEGINNING = {
  total: 0,
  bytes: 0,
  start: 0,
  firstLine: 1,
  hasErrors: false,
  atEnd: true,
  ended: false,
  error: "",
  loaded: false,
};

/** @returns what the frame shows of a feed */
function factsOf({ lines, end, ended, error }) {
  const first = lines.lines.find((line) => line.n !== null);
  // What is counted while it is printed is newer than what the server said last.
  const total = lines.atEnd && lines.line !== null ? lines.line - 1 : end.line && end.line - 1;
  return {
    total,
    bytes: Math.max(end.byte, lines.next),
    start: lines.start,
    firstLine: first?.n ?? null,
    hasErrors: lines.lines.some((line) => line.err),
    atEnd: lines.atEnd,
    ended,
    error,
    loaded: true,
  };
}

/**
 * Follows the log into the list that gets the ref `list`.
 * @returns {{list: object, held: object, facts: object}} `held`: the feed, the view and the search
 */
export function useLog(task, waits, beforeDraw, onDraw) {
  const list = useRef(null);
  const held = useRef(null);
  const [facts, setFacts] = useState(BEGINNING);

  useEffect(() => {
    if (waits) return undefined;
    const view = new LogView(list.current);
    list.current.replaceChildren();
    const changed = new Set();
    let timer = 0;
    let wait = DRAW_EVERY_MS;
    const draw = () => {
      const began = performance.now();
      timer = 0;
      beforeDraw.current();
      view.update(feed.lines, changed);
      changed.clear();
      setFacts(factsOf(feed));
      onDraw.current();
      wait = Math.min(LONGEST_WAIT_MS, Math.max(DRAW_EVERY_MS, (performance.now() - began) * DRAWING_SHARE));
    };
    // Together, at most so often: a program may print faster than a screen can show.
    const soon = () => {
      timer = timer || setTimeout(draw, wait);
    };
    const feed = followLog(task.task_id, (lines) => {
      for (const line of lines) changed.add(line);
      soon();
    });
    held.current = { feed, view, search: new LogSearch(task.task_id, soon), drawNow: draw };
    return () => {
      clearTimeout(timer);
      held.current.search.clear();
      feed.stop();
      held.current = null;
    };
  }, [task.task_id, waits]);

  return { list, held, facts };
}

/** Keeps the newest line in sight until somebody scrolls away from it, and loads what is scrolled to. */
export function useFollowing(scroller, held) {
  const [following, setFollowing] = useState(true);
  const wish = useRef(true);
  const placed = useRef(0); // where the newest line was put into sight: only who scrolls up from there ends that
  const toEnd = () => {
    const node = scroller.current;
    if (!node) return;
    node.scrollTop = node.scrollHeight;
    placed.current = node.scrollTop;
  };
  const turn = (on) => {
    wish.current = on;
    setFollowing(on);
    if (held.current) held.current.feed.lines.held = !on;
    if (on) toEnd();
  };
  // Somebody chose it, where `look` merely finds that the end is in sight.
  const follow = (on) => {
    turn(on);
    const feed = held.current?.feed;
    if (on && feed?.lines.atEnd) feed.stay();
    else if (on) feed?.showEnd();
  };
  const look = () => {
    const node = scroller.current;
    const feed = held.current?.feed;
    if (!node || !feed) return;
    const below = node.scrollHeight - node.scrollTop - node.clientHeight;
    if (wish.current && feed.lines.atEnd && (below < AT_END_PX || node.scrollTop >= placed.current)) {
      toEnd();
      return;
    }
    if (node.scrollTop < NEAR_PX) feed.earlier();
    else if (below < NEAR_PX) feed.later();
    const atEnd = below < AT_END_PX && feed.lines.atEnd;
    if (atEnd !== wish.current) turn(atEnd);
  };
  const keepUp = () => {
    if (wish.current) toEnd();
  };
  // Who scrolls while lines pour in: the event may come only after the next lines, and is not to be undone by them.
  const settle = () => {
    const node = scroller.current;
    if (node && node.scrollTop < placed.current - 1) look();
    else keepUp();
  };
  return { following, follow, look, keepUp, settle };
}

/** Tells a screen reader of new lines now and then, never of each. */
export function useSpoken(held, total) {
  const [said, setSaid] = useState("");
  const last = useRef({ at: Date.now(), total: 0 });
  useEffect(() => {
    const fresh = (total ?? 0) - last.current.total;
    if (fresh <= 0) return undefined;
    const say = () => {
      const lines = held.current?.feed.lines.lines ?? [];
      const text = lines[lines.length - 1]?.spans.map((span) => span.text).join("") ?? "";
      // What was there when the log was opened is to be read, not to be listened to.
      if (last.current.total) setSaid(T.log.announce(fresh, text.slice(0, 200)));
      last.current = { at: Date.now(), total };
    };
    const timer = setTimeout(say, Math.max(0, last.current.at + SAY_EVERY_MS - Date.now()));
    return () => clearTimeout(timer);
  }, [total]);
  return said;
}
