/** What a task uses over its time: memory and processor. */

import * as api from "../api.js";
import { duration, percent, sizeMb } from "../format.js";
import { html, useEffect, useMemo, useState } from "../html.js";
import { hasEnded, ranFor } from "../outcomes.js";
import { T } from "../text.js";
import { useStore } from "../use-store.js";
import { useUsage } from "../usage.js";
import { Plot } from "./plot.js";

const ASK_EVERY_MS = 30000; // what comes live is added in between
const POLL_MS = 5000;
const WAIT_S = 8; // after which a task that runs would have been looked at

/** @returns {{points: import("../usage.js").Point[], limits: object} | null} null: not known yet */
function useSamples(task, lost) {
  const [found, setFound] = useState(null);
  const [error, setError] = useState("");
  const polling = useStore((state) => state.connection.state !== "live");
  const { points: live } = useUsage(task);
  useEffect(() => {
    let wanted = true;
    const ask = async () => {
      try {
        const answer = await api.taskSamples(task.task_id);
        if (wanted) setFound(answer);
        if (wanted) setError("");
      } catch (failure) {
        if (!(failure instanceof api.ApiError)) throw failure;
        if (wanted) setError(failure.message);
      }
    };
    if (lost) return undefined;
    ask();
    const timer = task.status === "running" ? setInterval(ask, polling ? POLL_MS : ASK_EVERY_MS) : 0;
    return () => {
      wanted = false;
      clearInterval(timer);
    };
  }, [task.task_id, task.status, lost, polling]);
  const points = useMemo(() => {
    if (!found) return [];
    const last = found.points[found.points.length - 1]?.[0] ?? 0;
    return task.status === "running" ? [...found.points, ...live.filter(([t]) => t > last)] : found.points;
  }, [found, live, task.status]);
  return { points, limits: found?.limits ?? null, loaded: found !== null, error };
}

const mean = (values) => values.reduce((sum, n) => sum + n, 0) / values.length;

// A round scale: 0, a half and the whole of what can be reached at most.
function scaleFor(limit, peak) {
  const whole = Math.max(limit, peak);
  return { top: whole * 1.04, ticks: [0, limit / 2, limit] };
}

const latest = (ended, lost, value) => (ended ? "" : lost ? T.plots.lastSeen(value) : T.plots.now(value));

function Memory({ points, limit, until, lost }) {
  const known = points.filter(([, mb]) => mb !== null);
  const series = useMemo(() => points.map(([t, mb]) => [t, mb]), [points]);
  if (!known.length) return html`<p class="fine">${T.plots.noMemory}</p>`;
  const values = known.map(([, mb]) => mb);
  const peak = Math.max(...values);
  const words = T.plots.memory(sizeMb(peak), sizeMb(mean(values)), latest(until > 0, lost, sizeMb(values[values.length - 1])));
  return html`<${Plot} name=${T.plots.memoryName} points=${series} ...${scaleFor(limit, peak)} limit=${limit}
    limitWords=${T.plots.limit(sizeMb(limit))} value=${sizeMb} summary=${words} live=${!until && !lost} stale=${!until && lost} until=${until} />`;
}

const inPercent = (cores) => percent(cores * 100);

function Processor({ points, limit, until, lost }) {
  const series = useMemo(() => points.map(([t, , cores]) => [t, cores]), [points]);
  const values = series.map(([, cores]) => cores);
  const peak = Math.max(...values);
  const words = T.plots.cpu(inPercent(peak), inPercent(mean(values)), latest(until > 0, lost, inPercent(values[values.length - 1])));
  return html`<${Plot} name=${T.plots.cpuName} points=${series} ...${scaleFor(limit, Math.min(peak, limit * 1.2))} limit=${null}
    limitWords="" value=${inPercent} summary=${words} live=${!until && !lost} stale=${!until && lost} until=${until} />`;
}

function nothingWords(task, error) {
  if (error) return T.plots.failed(error);
  const ran = ranFor(task);
  if (hasEnded(task)) return ran < 2 ? T.plots.tooShort(duration(ran)) : T.plots.none;
  return T.plots.soon;
}

/** @param {{task: import("../types.js").Task, lost: boolean}} props a task that has started */
export function Plots({ task, lost }) {
  const { points, limits, loaded, error } = useSamples(task, lost);
  const [late, setLate] = useState(false);
  const isEmpty = points.length === 0;
  useEffect(() => {
    if (!isEmpty || hasEnded(task)) return undefined;
    const timer = setTimeout(() => setLate(true), WAIT_S * 1000);
    return () => clearTimeout(timer);
  }, [task.task_id, isEmpty]);
  if (isEmpty) {
    const words = late ? T.plots.notHere : nothingWords(task, error);
    return html`<section class="plots" aria-label=${T.plots.title}>
      <p class="fine plots-none">${loaded || error ? words : T.reading}</p></section>`;
  }
  const until = hasEnded(task) ? ranFor(task) : 0; // seconds; 0: it goes on
  return html`<section class="plots" aria-label=${T.plots.title}>
    <${Memory} points=${points} limit=${limits.memory_mb} until=${until} lost=${lost} />
    <${Processor} points=${points} limit=${limits.cores} until=${until} lost=${lost} />
  </section>`;
}
