/** What stands above everything: the connection is lost, or the session ends, and that nothing is lost by it. */

import { live } from "../actions.js";
import { clock, duration, stopwatch } from "../format.js";
import { html, useEffect, useState } from "../html.js";
import { keep } from "../sight.js";
import { T } from "../text.js";
import { useStore } from "../use-store.js";
import { useServerNow } from "./elapsed.js";
import { Icon } from "./icons.js";

const AROUND = 2 * Math.PI * 12;
const REDRAW_MS = 200;

function useNow() {
  const [now, setNow] = useState(Date.now());
  useEffect(() => {
    const timer = setInterval(() => setNow(Date.now()), REDRAW_MS);
    return () => clearInterval(timer);
  }, []);
  return now;
}

function Countdown({ seconds, part }) {
  return html`<span class="countdown" aria-hidden="true">
    <svg viewBox="0 0 28 28" fill="none" stroke="currentColor" stroke-width="2">
      <circle cx="14" cy="14" r="12" stroke-opacity=".25" />
      <circle cx="14" cy="14" r="12" stroke-dasharray=${AROUND} stroke-dashoffset=${AROUND * (1 - part)}
        stroke-linecap="round" />
    </svg><span>${seconds}</span></span>`;
}

/** Shown only while the server cannot be reached. */
export function Banner() {
  const { attempt, retryAt, waitMs } = useStore((state) => state.connection);
  const from = useStore((state) => state.lastData);
  const now = useNow();
  const left = Math.max(0, retryAt - now);
  const seconds = Math.ceil(left / 1000);
  const t = T.connection;
  // What changes every second is for the eye only: an alert is read aloud again whenever the rest of it changes.
  return html`<div class="banner" role="alert">
    <${Countdown} seconds=${seconds} part=${waitMs ? left / waitMs : 0} />
    <p class="grow">
      <b>${t.lost}</b><span aria-hidden="true">${retryAt ? t.in(seconds) : t.now}
        <span class="phone-hide">${t.attempt(attempt)}</span></span
      >${t.tasks}<span class="phone-hide">${t.tasksLong}<span class="sub"
        aria-hidden="true">${t.from(clock(from), duration((now - from) / 1000))}</span></span
      ><span class="phone-only">.</span>
    </p>
    <button class="btn" type="button" onClick=${live.retryNow}><${Icon} name="retry" /><span>${t.retry}
      <span class="phone-hide">${t.retryNow}</span></span></button>
  </div>`;
}

/** @returns {string} how long the session goes on that nobody uses: "4:32"; empty while nothing was said of it */
export function useLeft() {
  const at = useStore((state) => state.expiresAt);
  const now = useServerNow();
  return at ? stopwatch(Math.max(0, at - now) / 1000) : "";
}

/** Shown while the session is about to end because nobody uses it. */
export function EndingBanner() {
  const left = useLeft();
  const t = T.ending;
  return html`<div class="banner" role="alert" data-ending><${Icon} name="warn" />
    <p class="grow"><b>${t.idle}</b><span aria-hidden="true">${t.in}<span class="num">${left}</span>${t.files}</span></p>
    <button class="btn" type="button" onClick=${keep}><span>${t.keep}</span></button>
  </div>`;
}

/** Shown once the session is over. */
export function EndedBanner() {
  const why = useStore((state) => state.expired);
  const t = T.ending;
  return html`<div class="banner" role="alert" data-ended><${Icon} name="warn" />
    <p class="grow"><b>${t.over[why]}</b>${t.kept}</p>
    <button class="btn" type="button" onClick=${() => location.reload()}><${Icon} name="retry" /><span>${t.again}</span></button>
  </div>`;
}

/** Shown while the server waits for its tasks to end, to stop then. */
export function DrainingBanner() {
  const t = T.draining;
  return html`<div class="banner banner--calm" role="status" data-draining><${Icon} name="queued" />
    <p class="grow"><b>${t.title}</b>${t.body}</p></div>`;
}
