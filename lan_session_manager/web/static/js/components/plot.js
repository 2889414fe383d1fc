/** One quantity over a task's time, in the page's own colours; read by mouse, by keyboard, and in words. */

import { stopwatch } from "../format.js";
import { html, useEffect, useLayoutEffect, useRef, useState } from "../html.js";
import { T } from "../text.js";

const HEIGHT = 148;
const BIG_STEP = 10; // points that Page Up and Page Down pass over

const token = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
const font = () => `${parseFloat(token("--text-xs")) * 16}px ${token("--font-ui")}`;
// Whole steps that people count in.
const SECONDS = [1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400, 28800, 86400];

function limitLine(limit, words) {
  return (plot) => {
    const { ctx, bbox } = plot;
    const y = Math.round(plot.valToPos(limit, "y", true)) + 0.5;
    const ratio = devicePixelRatio || 1;
    ctx.save();
    ctx.strokeStyle = token("--failed-fill");
    ctx.lineWidth = 1.25 * ratio;
    ctx.setLineDash([4 * ratio, 3 * ratio]);
    ctx.beginPath();
    ctx.moveTo(bbox.left, y);
    ctx.lineTo(bbox.left + bbox.width, y);
    ctx.stroke();
    ctx.fillStyle = token("--failed");
    ctx.font = `${parseFloat(token("--text-xs")) * 16 * ratio}px ${token("--font-ui")}`;
    ctx.textAlign = "right";
    ctx.textBaseline = "bottom";
    ctx.fillText(words, bbox.left + bbox.width, y - 4 * ratio);
    ctx.restore();
  };
}

/** A ring at the newest point: here it goes on. */
function lastDot(plot) {
  const [xs, ys] = plot.data;
  const at = ys.findLastIndex((n) => n !== null && n !== undefined);
  if (at < 0) return;
  const { ctx } = plot;
  const ratio = devicePixelRatio || 1;
  ctx.save();
  ctx.beginPath();
  ctx.arc(plot.valToPos(xs[at], "x", true), plot.valToPos(ys[at], "y", true), 2.75 * ratio, 0, 2 * Math.PI);
  ctx.fillStyle = token("--surface");
  ctx.strokeStyle = token("--chart-line");
  ctx.lineWidth = 1.5 * ratio;
  ctx.fill();
  ctx.stroke();
  ctx.restore();
}

function options(width, { top, ticks, limit, limitWords, value, live, stale, until, onCursor }) {
  const axis = {
    font: font(),
    stroke: () => token("--ink-3"),
    grid: { stroke: () => token("--chart-grid"), width: 1 },
    ticks: { show: false },
  };
  return {
    width,
    height: HEIGHT,
    padding: [20, 8, 0, 0],
    legend: { show: false },
    cursor: { y: false, drag: { x: false, y: false }, points: { size: 7, width: 1.5 } },
    scales: { x: { time: false, range: ({ data: [xs] }) => [0, Math.max(until, xs[xs.length - 1])] }, y: { range: [0, top] } },
    series: [
      {},
      {
        stroke: () => token(stale ? "--line-strong" : "--chart-line"),
        fill: () => token(stale ? "--sunken" : "--chart-fill"),
        ...(stale && { dash: [3, 2] }),
        width: 1.5,
        points: { show: (_, __, from, to) => from === to },
        spanGaps: false,
      },
    ],
    axes: [
      { ...axis, grid: { show: false }, size: 24, gap: 4, space: 64, incrs: SECONDS, values: (_, all) => all.map((s) => stopwatch(s)) },
      { ...axis, size: 58, gap: 6, splits: () => ticks, values: (_, all) => all.map((n) => (n === null ? "" : value(n))) },
    ],
    hooks: {
      draw: [limit !== null && limitLine(limit, limitWords), live && lastDot].filter(Boolean),
      setCursor: [(plot) => onCursor(plot.cursor.idx ?? null)],
    },
  };
}

/** Draws again when the theme is another one. */
function onTheme(redraw) {
  const observer = new MutationObserver(redraw);
  observer.observe(document.documentElement, { attributes: true, attributeFilter: ["data-theme"] });
  const dark = matchMedia("(prefers-color-scheme: dark)");
  dark.addEventListener("change", redraw);
  return () => {
    observer.disconnect();
    dark.removeEventListener("change", redraw);
  };
}

const KEYS = { ArrowLeft: -1, ArrowDown: -1, ArrowRight: 1, ArrowUp: 1, PageDown: -BIG_STEP, PageUp: BIG_STEP };

/**
 * @param {{name: string, points: [number, number | null][], top: number, ticks: number[], limit: number | null,
 *   limitWords: string, value: (n: number) => string, summary: string, live: boolean,
 *   stale: boolean, until: number}} props `points`: seconds and value, not empty; `until`: to where at least;
 *   `value`: the words for one
 */
export function Plot({ name, points, top, ticks, limit, limitWords, value, summary, live, stale, until }) {
  const box = useRef(null);
  const plot = useRef(null);
  const [at, setAt] = useState(null);
  const [failed, setFailed] = useState(false);
  const data = [points.map(([t]) => t), points.map(([, n]) => n)];
  const chosen = useRef(null); // the moment that the keyboard points at, in seconds
  const pointing = useRef(false);
  const held = useRef(null);
  held.current = data;

  // Two points may share a pixel: what the keyboard has chosen is not chosen anew by where the line stands.
  const point = (index) => {
    if (index < 0 || !plot.current) return;
    pointing.current = true;
    plot.current.setCursor({ left: plot.current.valToPos(held.current[0][index], "x"), top: 0 });
    pointing.current = false;
  };

  useEffect(() => {
    let gone = false;
    const node = box.current;
    const ends = [];
    import("../../vendor/uplot.js").then(
      ({ default: UPlot }) => {
        if (gone) return;
        const width = () => Math.max(120, Math.floor(node.clientWidth));
        const onCursor = (index) => pointing.current || setAt(index);
        const settings = { top, ticks, limit, limitWords, value, live, stale, until, onCursor };
        const made = new UPlot(options(width(), settings), held.current, node);
        plot.current = made;
        const observer = new ResizeObserver(() => made.setSize({ width: width(), height: HEIGHT }));
        observer.observe(node);
        ends.push(() => observer.disconnect(), onTheme(() => made.redraw(false, true)), () => made.destroy());
      },
      () => setFailed(true),
    );
    return () => {
      gone = true;
      plot.current = null;
      for (const end of ends) end();
    };
  }, [top, limit, live, stale, until]);
  useLayoutEffect(() => {
    plot.current?.setData(data);
    // Who reads point by point stays at the moment that was chosen, wherever that is in the longer picture.
    if (chosen.current !== null) point(data[0].findIndex((t) => t >= chosen.current));
  }, [points]);

  const shown = at !== null && at < points.length ? at : points.length - 1;
  const [t, n] = points[shown];
  const words = T.plots.at(stopwatch(t), n === null ? T.plots.unknown : value(n));
  const show = (index) => {
    chosen.current = points[index][0];
    setAt(index);
    point(index);
  };
  const leave = () => {
    chosen.current = null;
    setAt(null);
    plot.current?.setCursor({ left: -1, top: -1 });
  };
  const onKeyDown = (event) => {
    const to = { Home: 0, End: points.length - 1 }[event.key] ?? (event.key in KEYS ? shown + KEYS[event.key] : null);
    if (to === null) return;
    event.preventDefault();
    show(Math.min(points.length - 1, Math.max(0, to)));
  };
  return html`<figure class="plotfig">
    <figcaption><h3>${name}</h3><span class="sub num">${summary}</span>
      <span class="plot-at num" aria-hidden="true">${words}</span></figcaption>
    ${failed
      ? html`<p class="fine">${T.plots.noLibrary}</p>`
      : html`<div class="plotbox" ref=${box} tabindex="0" role="slider" aria-readonly="true" aria-label=${T.plots.over(name)}
        aria-valuemin="0" aria-valuemax=${points.length - 1} aria-valuenow=${shown} aria-valuetext=${words}
        onKeyDown=${onKeyDown} onBlur=${leave}></div>`}
  </figure>`;
}
