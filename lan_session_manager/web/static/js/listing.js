/**
 * The tasks of a session beyond those that a dashboard carries: older ones page by page, and those that a search finds.
 * What is listed has no gap: it ends at the horizon, behind which tasks are known only by chance. Pure but for the last
 * part.
 */

import * as api from "./api.js";
import { ms } from "./format.js";

const SHOWN = 100; // ended tasks of a dashboard, as the server has it
const PAGE = 500;
const SEARCH_PAGE = 100;

/** Newest first; tasks of one moment stay in the order of their numbers. */
export const newer = (a, b) => ms(b.created_at) - ms(a.created_at) || b.number - a.number;
const isOver = (task) => task.status !== "queued" && task.status !== "running";

/** @param {Map<string, import("./types.js").Task>} tasks @param {object | null} horizon @returns {string[]} newest first */
export function listed(tasks, horizon) {
  const all = [...tasks.values()];
  const here = horizon ? all.filter((task) => !isOver(task) || newer(task, horizon) <= 0) : all;
  return here.sort(newer).map((task) => task.task_id);
}

/**
 * A dashboard's tasks beside those that are known: older ones stay if nothing can be missing between.
 * @param {any} state
 * @param {import("./types.js").Task[]} list
 */
export function withDashboard(state, list) {
  const fresh = new Map(list.map((task) => [task.task_id, task]));
  const over = list.filter(isOver).sort(newer);
  const oldest = over.length >= SHOWN ? over[over.length - 1] : null;
  const meets = oldest && over.some((task) => state.tasks.has(task.task_id));
  if (!meets) return { tasks: fresh, horizon: oldest, more: Boolean(oldest) };
  for (const task of state.tasks.values()) {
    if (isOver(task) && !fresh.has(task.task_id) && newer(oldest, task) < 0) fresh.set(task.task_id, task);
  }
  const isFarther = state.horizon && newer(oldest, state.horizon) > 0;
  return { tasks: fresh, horizon: isFarther ? oldest : state.horizon, more: state.more };
}

/** @param {any} state @param {{tasks: import("./types.js").Task[], next: string | null}} page @returns {object} changes */
function withPage(state, { tasks: list, next }) {
  const tasks = new Map(state.tasks);
  for (const task of list) if (!tasks.has(task.task_id)) tasks.set(task.task_id, task);
  const horizon = next ? (list[list.length - 1] ?? state.horizon) : null;
  return { tasks, horizon, more: Boolean(next), order: listed(tasks, horizon) };
}

/** @param {import("./types.js").Task} task @param {string} words in lower case */
export const fits = (task, words) =>
  [task.task_id, task.description, task.command].some((text) => text.toLowerCase().includes(words));

/** Tasks that were found are shown in the search alone: behind the horizon others may be missing between them. */
export function withFound(state, { tasks: list }) {
  const tasks = new Map(state.tasks);
  for (const task of list) if (!tasks.has(task.task_id)) tasks.set(task.task_id, task);
  return { tasks };
}

/**
 * What is chosen after a step: of what is shown alone, so that nothing is done to a task that nobody saw.
 * @param {{ids: string[], picked: Set<string> | null, last: string | null}} now `last`: where a range begins
 * @param {string} id
 * @param {boolean} isRange from the last one on
 * @param {boolean} only chosen, never let go
 * @returns {Set<string>}
 */
export function pickedWith({ ids, picked, last }, id, isRange, only) {
  const next = new Set(picked ?? []);
  const [a, b] = [ids.indexOf(last), ids.indexOf(id)];
  if (isRange && a >= 0 && b >= 0) for (const one of ids.slice(Math.min(a, b), Math.max(a, b) + 1)) next.add(one);
  else if (next.has(id) && !only) next.delete(id);
  else next.add(id);
  return next;
}

let loading = false;

/** The next older tasks. @param {{get: () => any, set: (changes: object | null) => void}} store */
export async function loadOlder(store) {
  const { more, horizon, connection } = store.get();
  if (loading || !more || !horizon || connection.lost) return;
  loading = true;
  try {
    const page = await api.tasksPage({ before: horizon.task_id, most: PAGE });
    if (store.get().horizon === horizon) store.set(withPage(store.get(), page));
  } catch (error) {
    if (error.status !== 404) throw error;
    // The task where it goes on has been deleted meanwhile: from the last one that is there.
    const tasks = new Map(store.get().tasks);
    tasks.delete(horizon.task_id);
    const order = listed(tasks, horizon);
    const last = order.map((id) => tasks.get(id)).filter(isOver).pop();
    if (last) store.set({ tasks, order, horizon: last });
    else store.set(withPage({ ...store.get(), tasks }, await api.tasksPage({ most: PAGE })));
  } finally {
    loading = false;
  }
}

let searches = 0;

/**
 * What the server finds of a text, a page at a time, until another search begins.
 * @param {{get: () => any, set: (changes: object | null) => void}} store
 * @param {string} words
 */
export async function search(store, words) {
  searches += 1;
  const mine = searches;
  store.set({ find: words, finding: Boolean(words) && store.get().more });
  if (!words || !store.get().more) return;
  let before = "";
  let found = 0;
  try {
    do {
      const page = await api.tasksPage({ q: words, most: SEARCH_PAGE, ...(before && { before }) });
      if (mine !== searches) return;
      store.set(withFound(store.get(), page));
      found += page.tasks.length;
      before = page.next;
    } while (before && found < PAGE);
  } finally {
    if (mine === searches) store.set({ finding: false });
  }
}
