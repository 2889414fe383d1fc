/** What running tasks use, as the live connection tells it: the last two minutes of each, in a store of their own. */

import { onMessage } from "./actions.js";
import * as api from "./api.js";
import { ms } from "./format.js";
import { useEffect } from "./html.js";
import { createStore, store } from "./store.js";
import { useStore } from "./use-store.js";

const KEPT_S = 120;
const YOUNG_MS = 4000; // of a task that began since, all of it comes by itself
const MOST_ASKED = 12; // tasks of which the past is asked for: for those that ran when the page was opened

/**
 * @typedef {[number, number | null, number]} Point seconds after the start, MB of memory, processor cores
 * @typedef {{points: Point[], now: {memory_mb: number | null, cores: number, cpu_s: number,
 *   memory_peak_mb: number} | null}} Used
 */

export const usage = createStore({ /** @type {Map<string, Used>} */ of: new Map() });

/** @param {Point[]} points @returns {Point[]} those of the last two minutes */
const recent = (points) => {
  const last = points[points.length - 1]?.[0] ?? 0;
  return points.filter(([t]) => t >= last - KEPT_S);
};

/**
 * @param {Map<string, Used>} of
 * @param {any} message a "usage" of the live connection
 * @param {Map<string, import("./types.js").Task>} tasks
 * @returns {Map<string, Used>} of the tasks that run still
 */
function applyUsage(of, message, tasks) {
  const next = new Map();
  for (const [id, used] of of) if (tasks.get(id)?.status === "running") next.set(id, used);
  for (const [id, now] of Object.entries(message.usage)) {
    const t = (ms(message.timestamp) - ms(tasks.get(id)?.started_at)) / 1000;
    if (!(t >= 0)) continue;
    const points = next.get(id)?.points ?? [];
    next.set(id, { now, points: recent([...points, [t, now.memory_mb, now.cores]]) });
  }
  return next;
}

onMessage((message) => {
  if (message.event !== "usage") return;
  usage.set({ of: applyUsage(usage.get().of, message, store.get().tasks) });
});

const asked = new Set();

async function askPast(id) {
  if (asked.has(id) || asked.size >= MOST_ASKED) return;
  asked.add(id);
  try {
    const { points } = await api.taskSamples(id);
    const of = new Map(usage.get().of);
    const used = of.get(id) ?? { points: [], now: null };
    const first = used.points[0]?.[0] ?? Infinity;
    of.set(id, { ...used, points: recent([...points.filter(([t]) => t < first), ...used.points]) });
    usage.set({ of });
  } catch (error) {
    // A picture without its past is complete soon: nothing that somebody has to be told.
    if (!(error instanceof api.ApiError)) throw error;
  }
}

const NOTHING = Object.freeze({ points: [], now: null });

/** @param {import("./types.js").Task} task a running one @returns {Used} */
export function useUsage(task) {
  const used = useStore((state) => state.of.get(task.task_id) ?? NOTHING, usage);
  const skew = store.get().skew;
  useEffect(() => {
    if (task.status === "running" && Date.now() + skew - ms(task.started_at) > YOUNG_MS) askPast(task.task_id);
  }, [task.task_id]);
  return used.now ? used : { ...used, now: nowOf(task) };
}

// Who polls has what the task's view says.
function nowOf(task) {
  return task.usage && "cores" in task.usage ? task.usage : null;
}
