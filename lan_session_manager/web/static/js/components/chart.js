/** How many tasks ran over the last half hour, drawn at the width it has. */

import { html, useLayoutEffect, useRef, useState } from "../html.js";
import { T } from "../text.js";

const WINDOW_MS = 30 * 60 * 1000;
const HEIGHT = 76;
const TOP = 8;
const BOTTOM = 56;
const RIGHT = 6;

function useWidth() {
  const box = useRef(null);
  const [width, setWidth] = useState(0);
  useLayoutEffect(() => {
    const measure = () => setWidth(Math.floor(box.current.clientWidth));
    const observer = new ResizeObserver(measure);
    observer.observe(box.current);
    measure();
    return () => observer.disconnect();
  }, []);
  return [box, width];
}

const path = (points) => points.map(([x, y], i) => `${i ? "L" : "M"}${x.toFixed(1)} ${y.toFixed(1)}`).join("");

/**
 * @param {{points: [number, number][], now: number, capacity: number}} props `points`: time in ms and count, oldest
 *   first; `now`: the right edge in ms; `capacity`: the top of the scale, whatever the counts are
 */
export function Chart({ points, now, capacity }) {
  const [box, width] = useWidth();
  const shown = points.filter(([at]) => at >= now - WINDOW_MS);
  const counts = shown.map(([, n]) => n);
  const top = Math.max(1, capacity, ...counts);
  const left = 12 + 7 * String(top).length;
  const x = (at) => left + ((at - now + WINDOW_MS) / WINDOW_MS) * (width - left - RIGHT);
  const y = (n) => BOTTOM - (n / top) * (BOTTOM - TOP);
  const ticks = [...new Set([0, Math.round(top / 2), top])];
  const line = shown.map(([at, n]) => [x(at), y(n)]);
  const last = line[line.length - 1];
  const latest = counts[counts.length - 1] ?? 0;
  const words = shown.length > 1 ? T.network.chart(counts[0], latest, top) : T.network.chartShort(latest, top);
  return html`<div class="chart" ref=${box}>${width > 60 && html`<svg class="plot" width=${width} height=${HEIGHT}
    viewBox=${`0 0 ${width} ${HEIGHT}`} role="img" aria-label=${words}>
    ${ticks.map((n) => html`<line class="grid" key=${`g${n}`} x1=${left} x2=${width - RIGHT} y1=${y(n)} y2=${y(n)} />
      <text key=${`t${n}`} x=${left - 8} y=${y(n) + 4} text-anchor="end">${n}</text>`)}
    <text x=${left} y="72">${T.network.ago}</text>
    <text x=${width - RIGHT} y="72" text-anchor="end">${T.network.now}</text>
    ${line.length > 1 && html`<path class="area area--run"
      d=${`${path(line)}L${last[0].toFixed(1)} ${BOTTOM}L${line[0][0].toFixed(1)} ${BOTTOM}Z`} />
      <path class="line line--run" d=${path(line)} />`}
    ${last && html`<circle class="dot dot--run" cx=${last[0]} cy=${last[1]} r="2.75" />`}
  </svg>`}</div>`;
}
