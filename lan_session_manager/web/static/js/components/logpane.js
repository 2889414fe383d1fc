/** The log of the selected task, as it is written. */

import * as api from "../api.js";
import { clock, duration, shortId, visible } from "../format.js";
import { html, useEffect, useLayoutEffect, useRef, useState } from "../html.js";
import { failureLine, hasEnded, ranFor } from "../outcomes.js";
import { replaceHash, taskHash } from "../route.js";
import { store } from "../store.js";
import { spokenId } from "../spoken.js";
import { T } from "../text.js";
import { useStore } from "../use-store.js";
import { useFollowing, useLog, useSpoken } from "../uselog.js";
import { Icon } from "./icons.js";
import { LogTools } from "./logtools.js";

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
    return html`<li><span class="ln" aria-hidden="true">${facts.total === null ? "" : facts.total + 1}</span><span class="src"></span>
      <span><span class="cur"></span></span></li>`;
  }
  if (!hasEnded(task)) return null;
  const ran = ranFor(task);
  const word = task.status === "failed" ? failureLine(task) : T.states[task.status];
  return html`${!facts.bytes && facts.loaded && html`<li class="note">${task.runner === "swarm" ? T.log.elsewhere : T.log.empty}</li>`}
    <li class=${`note note--end state--${task.status}`}>
      <${Icon} name=${task.status} />${T.log.endNote(word, Number.isNaN(ran) ? "" : duration(ran))}
    </li>`;
}

/** What says that more stands at an end of the window, for who does not scroll there. */
function More({ words, button, onClick }) {
  return html`<li class="note">${words}
    <button class="btn btn--quiet" type="button" onClick=${onClick}>${button}</button></li>`;
}

/** @param {{task: import("../types.js").Task, lost: boolean}} props */
export function LogPane({ task, lost }) {
  const scroller = useRef(null);
  const beforeDraw = useRef(() => {});
  const onDraw = useRef(() => {});
  const waits = task.status === "queued";
  const polling = useStore((state) => state.connection.state === "polling");
  const line = useStore((state) => state.route.line ?? 0);
  const prompt = useStore((state) => state.dash.runners.find((runner) => runner.name === task.runner)?.prompt ?? "›");
  const { list, held, facts } = useLog(task, waits, beforeDraw, onDraw);
  const { following, follow, look, keepUp, settle } = useFollowing(scroller, held);
  const [wrap, setWrap] = useState(false);
  const [seen, setSeen] = useState(0);
  const said = useSpoken(held, facts.total);
  beforeDraw.current = settle;
  onDraw.current = keepUp;

  useLayoutEffect(settle);
  useEffect(() => {
    if (following) setSeen(facts.total ?? 0);
  }, [following, facts.total]);

  const showHit = async () => {
    const { feed, view, search, drawNow } = held.current;
    const { query, hit } = search;
    if (hit) follow(false);
    if (view.mark(query, hit)) {
      feed.stay();
      return;
    }
    await feed.showAt(hit.after);
    if (held.current?.search.hit !== hit) return;
    follow(false); // what was on its way before may have come to the end
    drawNow();
    view.mark(query, hit);
  };
  const onSearch = async (query) => {
    const { view, search } = held.current;
    view.mark(query, null);
    await search.start(query);
    if (held.current?.search.query === query) showHit();
  };
  const onStep = (step) => {
    held.current.search.go(step);
    showHit();
  };

  const showLine = async (n) => {
    const { feed, view } = held.current;
    follow(false);
    if (view.aim(n)) {
      feed.stay();
      return;
    }
    try {
      const { lines } = await api.logLines(task.task_id, { line: n, most: 1 });
      if (!lines.length || !held.current || view.aimed !== n) return;
      await feed.showAt(lines[0].after);
    } catch (failure) {
      // The log itself says what is amiss with it.
      if (!(failure instanceof api.ApiError)) throw failure;
      return;
    }
    if (!held.current) return;
    follow(false); // what was on its way before may have come to the end
    held.current.drawNow();
    view.aim(n);
  };
  const goToLine = (n) => {
    replaceHash(`${taskHash(task, "log")}:L${n}`);
    if (n === line) showLine(n);
  };
  useEffect(() => {
    if (line && facts.loaded) showLine(line);
  }, [line, facts.loaded]);
  // A line's number is its address.
  const onClick = (event) => {
    const n = event.target.classList.contains("ln") ? Number(event.target.textContent) : 0;
    if (n) goToLine(n);
  };

  const showEarlier = () => {
    follow(false);
    held.current?.feed.earlier();
  };

  const missed = following ? 0 : Math.max(0, (facts.total ?? 0) - seen);
  const live = !facts.ended && !lost && !waits;
  const footer = facts.ended ? T.log.ended : following && live ? T.log.following : T.log.paused;
  const begins = facts.start === 0;

  return html`
    <${LogTools} search=${held.current?.search ?? null} onSearch=${onSearch} onStep=${onStep} onLine=${goToLine}
      following=${following && live} ended=${facts.ended || waits} lost=${lost} follow=${follow} wrap=${wrap}
      setWrap=${setWrap} download=${waits ? null : api.logDownloadUrl(task.task_id)} name=${shortId(task)} />
    <div class="logwrap">
      <div class=${`log${wrap ? " log--wrap" : ""}`} tabindex="0" role="log" aria-live="off"
        aria-label=${T.log.name(spokenId(task))} ref=${scroller} onScroll=${look} onClick=${onClick}>
        <div class="log-in">
          <ol>
            ${begins && html`<${Command} task=${task} prompt=${prompt} />`}
            ${!begins && html`<${More} words=${T.log.before(facts.firstLine === null ? null : facts.firstLine - 1)}
              button=${T.log.showBefore} onClick=${showEarlier} />`}
          </ol>
          <ol ref=${list}></ol>
          <ol>
            ${facts.atEnd && html`<${Tail} task=${task} facts=${facts} lost=${lost} polling=${polling} waits=${waits} />`}
            ${!facts.atEnd && html`<${More} words=${T.log.behind} button=${T.log.showBehind}
              onClick=${() => held.current?.feed.later()} />`}
          </ol>
        </div>
      </div>
      ${!following && html`<button class="btn jump" type="button"
        onClick=${() => follow(true)}><${Icon} name="follow" />${T.log.jump(missed)}</button>`}
    </div>
    <div class="logfoot">
      <span>${T.log.lines(facts.total, facts.bytes)}</span>
      ${facts.hasErrors && html`<span><b class="mono errmark">${T.log.err}</b>${T.log.errMarks}</span>`}
      <span class="grow"></span>
      ${!waits && html`<span class="phone-hide">${footer}</span>`}
      <span class="sr" role="status">${said}</span>
    </div>`;
}
