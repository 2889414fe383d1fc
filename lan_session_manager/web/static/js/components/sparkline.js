/** A line as small as a word: where a figure comes from. The figure beside it says the same in text. */

import { html, useLayoutEffect, useRef, useState } from "../html.js";

const WINDOW_S = 120;
const STEP_PX = 2; // nobody sees more points than that
const LEAST_S = 20; // so that the first moments of a task do not race over the whole width
const LINE = 1.25;

const path = (points) => points.map(([x, y], i) => `${i ? "L" : "M"}${x.toFixed(1)} ${y.toFixed(1)}`).join("");

/** The mean of what falls into one step of the picture: [x, y] of each, from left to right. */
function inSteps(points, x, y) {
  const steps = new Map();
  for (const [t, value] of points) {
    const at = Math.floor(x(t) / STEP_PX);
    const [sum, n] = steps.get(at) ?? [0, 0];
    steps.set(at, [sum + value, n + 1]);
  }
  return [...steps].map(([at, [sum, n]]) => [at * STEP_PX, y(sum / n)]);
}

/** @param {{points: [number, number][], top: number}} props `points`: seconds and value; `top`: the top of the scale */
export function Sparkline({ points, top }) {
  const box = useRef(null);
  const [{ width, height }, setSize] = useState({ width: 0, height: 0 });
  useLayoutEffect(() => {
    const measure = () => {
      const { width: w, height: h } = box.current.getBoundingClientRect();
      setSize((old) => (old.width === w && old.height === h ? old : { width: w, height: h }));
    };
    const observer = new ResizeObserver(measure);
    observer.observe(box.current);
    measure();
    return () => observer.disconnect();
  }, []);
  const last = points[points.length - 1]?.[0] ?? 0;
  const span = Math.min(WINDOW_S, Math.max(LEAST_S, last - (points[0]?.[0] ?? 0)));
  const x = (t) => width - ((last - t) / span) * width;
  const y = (value) => height - LINE - Math.min(1, value / top) * (height - 2 * LINE);
  const line = inSteps(points.filter(([t]) => t >= last - span), x, y);
  return html`<svg class="spark" ref=${box} viewBox=${`0 0 ${width || 1} ${height || 1}`} aria-hidden="true">
    ${line.length > 1 && html`<path class="f" d=${`${path(line)}L${line[line.length - 1][0].toFixed(1)} ${height}L${line[0][0].toFixed(1)} ${height}Z`} />
      <path d=${path(line)} />`}
  </svg>`;
}
