/** The log of the selected task, as it is written. */

import { logDownloadUrl } from "../api.js";
import { clock, duration, shortId, spokenId, visible } from "../format.js";
import { html, useEffect, useRef, useState } from "../html.js";
import { followLog } from "../logfeed.js";
import { LogView } from "../logview.js";
import { failureLine, hasEnded, ranFor } from "../outcomes.js";
import { store } from "../store.js";
import { T } from "../text.js";
import { useStore } from "../use-store.js";
import { Icon } from "./icons.js";
import { LogTools } from "./logtools.js";

const DRAW_EVERY_MS = 60;
const DRAWING_SHARE = 4; // a slow device spends no more than about a quarter of its time on it
const LONGEST_WAIT_MS = 600;
const SAY_EVERY_MS = 6000;
const AT_END_PX = 24;

/**
 * Follows the log into the list that gets the ref `list`.
 * @returns {{list: object, held: object, facts: object}} `held`: the feed and the view; `facts`: what the frame shows
 */
function useLog(task, waits, onDraw) {
  const list = useRef(null);
  const held = useRef(null);
  const [facts, setFacts] = useState({ total: 0, errors: 0, bytes: 0, dropped: 0, ended: false, error: "" });

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
      view.update(feed.lines, changed);
      changed.clear();
      const { total, errors, next, dropped } = feed.lines;
      setFacts({ total, errors, bytes: next, dropped, ended: feed.ended, error: feed.error });
      onDraw.current();
      wait = Math.min(LONGEST_WAIT_MS, Math.max(DRAW_EVERY_MS, (performance.now() - began) * DRAWING_SHARE));
    };
    const feed = followLog(task.task_id, (lines) => {
      for (const line of lines) changed.add(line);
      // Together, at most so often: a program may print faster than a screen can show.
      timer = timer || setTimeout(draw, wait);
    });
    held.current = { feed, view };
    return () => {
      clearTimeout(timer);
      feed.stop();
      held.current = null;
    };
  }, [task.task_id, waits]);

  return { list, held, facts };
}

/** Keeps the newest line in sight until somebody scrolls away from it. */
function useFollowing(scroller) {
  const [following, setFollowing] = useState(true);
  const wish = useRef(true);
  const follow = (on) => {
    wish.current = on;
    setFollowing(on);
    if (on) scroller.current.scrollTop = scroller.current.scrollHeight;
  };
  const onScroll = () => {
    const node = scroller.current;
    const atEnd = node.scrollHeight - node.scrollTop - node.clientHeight < AT_END_PX;
    if (atEnd !== wish.current) follow(atEnd);
  };
  const keepUp = () => {
    if (wish.current && scroller.current) scroller.current.scrollTop = scroller.current.scrollHeight;
  };
  return { following, follow, look: onScroll, keepUp };
}

/** Tells a screen reader of new lines now and then, never of each. */
function useSpoken(held, total) {
  const [said, setSaid] = useState("");
  const last = useRef({ at: Date.now(), total: 0 });
  useEffect(() => {
    const fresh = total - last.current.total;
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

function Command({ task, prompt }) {
  const lines = task.command.split(/\r?\n/);
  const rest = lines.length - 1;
  return html`<li class="cmd"><span class="ln" aria-hidden="true"></span><span class="src"></span><span class="tx">
    <span class="b">${prompt} ${visible(lines[0])}</span>
    ${rest > 0 && html` <span class="d">${T.log.more(rest)}</span>`}
  </span></li>`;
}

function Tail({ task, facts, lost, polling, waits }) {
  const note = (icon, words) => html`<li class="note"><${Icon} name=${icon} />${words}</li>`;
  if (facts.error) return note("warn", T.log.unavailable(facts.error));
  if (waits) return note("queued", T.log.queued);
  if (lost) return note("offline", T.log.lost(clock(store.get().lastData)));
  if (!facts.ended) {
    if (polling) return note("queued", T.log.polling);
    return html`<li><span class="ln" aria-hidden="true">${facts.total + 1}</span><span class="src"></span>
      <span><span class="cur"></span></span></li>`;
  }
  if (!hasEnded(task)) return null;
  const ran = ranFor(task);
  const word = task.status === "failed" ? failureLine(task) : T.states[task.status];
  return html`${!facts.total && html`<li class="note">${task.runner === "swarm" ? T.log.elsewhere : T.log.empty}</li>`}
    <li class=${`note note--end state--${task.status}`}>
      <${Icon} name=${task.status} />${T.log.endNote(word, Number.isNaN(ran) ? "" : duration(ran))}
    </li>`;
}

/** @param {{task: import("../types.js").Task, lost: boolean}} props */
export function LogPane({ task, lost }) {
  const scroller = useRef(null);
  const onDraw = useRef(() => {});
  const waits = task.status === "queued";
  const polling = useStore((state) => state.connection.state === "polling");
  const prompt = useStore((state) => state.dash.runners.find((runner) => runner.name === task.runner)?.prompt ?? "›");
  const { list, held, facts } = useLog(task, waits, onDraw);
  const { following, follow, look, keepUp } = useFollowing(scroller);
  const [wrap, setWrap] = useState(false);
  const [seen, setSeen] = useState(0);
  const said = useSpoken(held, facts.total);
  onDraw.current = keepUp;

  useEffect(keepUp);
  useEffect(() => {
    if (following) setSeen(facts.total);
  }, [following, facts.total]);

  const missed = following ? 0 : facts.total - seen;
  const live = !facts.ended && !lost && !waits;
  const footer = facts.ended ? T.log.ended : following && live ? T.log.following : T.log.paused;

  return html`
    <${LogTools} held=${held} total=${facts.total} following=${following && live} ended=${facts.ended || waits}
      lost=${lost} follow=${follow} look=${look} wrap=${wrap} setWrap=${setWrap}
      download=${waits ? null : logDownloadUrl(task.task_id)} name=${shortId(task)} />
    <div class="logwrap">
      <div class=${`log${wrap ? " log--wrap" : ""}`} tabindex="0" role="log" aria-live="off"
        aria-label=${T.log.name(spokenId(task))} ref=${scroller} onScroll=${look}>
        <div class="log-in">
          <ol>
            ${facts.dropped > 0 && html`<li class="note">${T.log.left(facts.dropped)}
              <a href=${logDownloadUrl(task.task_id)} download>${T.log.leftLink}</a></li>`}
            <${Command} task=${task} prompt=${prompt} />
          </ol>
          <ol ref=${list}></ol>
          <ol><${Tail} task=${task} facts=${facts} lost=${lost} polling=${polling} waits=${waits} /></ol>
        </div>
      </div>
      ${!following && !facts.ended && html`<button class="btn jump" type="button" onClick=${() => follow(true)}>
        <${Icon} name="follow" />${T.log.jump(missed)}</button>`}
    </div>
    <div class="logfoot">
      <span>${T.log.lines(facts.total, facts.bytes)}</span>
      ${facts.errors > 0 && html`<span><b class="mono errmark">${T.log.err}</b>${T.log.errMarks(facts.errors)}</span>`}
      <span class="grow"></span>
      ${!waits && html`<span class="phone-hide">${footer}</span>`}
      <span class="sr" role="status">${said}</span>
    </div>`;
}
