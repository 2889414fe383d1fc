/** Times that run. Each redraws only itself, once a second, and stands still while nothing is heard of the server. */

import { ms, stopwatch } from "../format.js";
import { html, useEffect, useState } from "../html.js";
import { T } from "../text.js";
import { everySecond } from "../tick.js";
import { useStore } from "../use-store.js";

/** @returns {number} now by the server's clock, or when it was last heard, in ms */
export function useServerNow() {
  const [, redraw] = useState(0);
  const lastData = useStore((state) => (state.connection.lost ? state.lastData : 0));
  const skew = useStore((state) => state.skew);
  useEffect(() => (lastData ? undefined : everySecond(() => redraw((n) => n + 1))), [lastData]);
  return (lastData || Date.now()) + skew;
}

/** @param {{since: string}} props ISO 8601, by the server's clock */
export function Elapsed({ since }) {
  return stopwatch((useServerNow() - ms(since)) / 1000);
}

/** @param {{since: string, limit: number}} props `limit` in seconds; 0: there is none here */
export function RunMeter({ since, limit }) {
  const seconds = (useServerNow() - ms(since)) / 1000;
  if (!limit) return html`<span class="num strong">${stopwatch(seconds)}</span>`;
  const part = Math.min(100, Math.max(0, (seconds / limit) * 100));
  return html`<span><span class="meter" aria-hidden="true"><i style=${{ width: `${part}%` }}></i></span>
    <span class="num"><span class="strong">${stopwatch(seconds)}</span>${T.detail.of(stopwatch(limit))}</span></span>`;
}
