/** My tasks: a search, filters with counts, and the rows, newest first. */

import { cancel, find, older, rerun } from "../actions.js";
import { show } from "../dialogs.js";
import { html, useCallback, useEffect, useMemo, useRef } from "../html.js";
import { fits, newer, pickedWith } from "../listing.js";
import { hasEnded } from "../outcomes.js";
import { store } from "../store.js";
import { T } from "../text.js";
import { useStore } from "../use-store.js";
import { BulkBar, Chosen } from "./bulkbar.js";
import { Icon } from "./icons.js";
import { Rows } from "./rows.js";
import { StaleTag } from "./state.js";

const SEARCH_AFTER_MS = 200;

const FILTERS = {
  all: () => true,
  running: (task) => task.status === "running",
  queued: (task) => task.status === "queued",
  done: (task) => task.status === "completed" || task.status === "cancelled",
  failed: (task) => task.status === "failed",
};
const ACTIVE = ["running", "queued"]; // all of these are always known
const FEW = 60; // rows that may leave a part of the pane empty, where nobody can scroll for more

function Filters({ tasks, chosen, more }) {
  return html`<div class="tabs" role="group" aria-label=${T.tasks.filterName}>
    ${Object.entries(FILTERS).map(([name, test]) => html`<button type="button" key=${name}
      aria-pressed=${name === chosen}
      onClick=${() => store.set({ filter: name })}>${T.tasks.filters[name]} <span
        class="n">${T.tasks.counted(tasks.filter(test).length, more && !ACTIVE.includes(name))}</span></button>`)}
  </div>`;
}

function Finder({ field }) {
  const timer = useRef(0);
  const onInput = (event) => {
    const words = event.target.value;
    clearTimeout(timer.current);
    timer.current = setTimeout(() => find(words), SEARCH_AFTER_MS);
  };
  const onKeyDown = (event) => {
    if (event.key !== "Escape" || !event.target.value) return;
    event.target.value = "";
    find("");
  };
  return html`<label class="finder"><${Icon} name="search" /><span class="sr">${T.tasks.search}</span>
    <input type="search" ref=${field} placeholder=${T.tasks.searchHint} onInput=${onInput} onKeyDown=${onKeyDown} /></label>`;
}

const isTyping = (node) => node.closest("input, textarea, select, [contenteditable], dialog");

// Two keys work everywhere but in a field; the others only where the focus is in the list.
function usePageKeys(field) {
  useEffect(() => {
    const onKey = (event) => {
      if (event.ctrlKey || event.metaKey || event.altKey || isTyping(event.target)) return;
      if (event.key === "?") show({ kind: "keys" });
      else if (event.key === "/") field.current?.focus();
      else return;
      event.preventDefault();
    };
    addEventListener("keydown", onKey);
    return () => removeEventListener("keydown", onKey);
  }, []);
}

function onKey(event, task, ids) {
  const done = {
    x: () => pick(ids, task.task_id, false),
    X: () => pick(ids, task.task_id, true, true), // with Shift the key is another one
    c: () => !hasEnded(task) && !task.stopping && cancel(task.task_id),
    r: () => task.number !== null && rerun(task.task_id),
    n: () => document.getElementById("command")?.focus(),
    Escape: () => store.set({ picked: null }),
  }[event.key];
  if (!done || event.repeat || store.get().connection.lost) return;
  event.preventDefault();
  done();
}

let last = null; // where a range begins

/**
 * @param {string[]} ids that are shown
 * @param {string} id
 * @param {boolean} isRange from the last one on
 * @param {boolean} [only] chosen, never let go
 */
function pick(ids, id, isRange, only = false) {
  const picked = pickedWith({ ids, picked: store.get().picked, last }, id, isRange, only);
  last = id;
  store.set({ picked });
}

/** The left pane. */
export function TaskList() {
  const { byId, order, filter, find: words, finding, more, picked, selectedId } = useStore((state) => ({
    byId: state.tasks,
    order: state.order,
    filter: state.filter,
    find: state.find,
    finding: state.finding,
    more: state.more,
    picked: state.picked,
    selectedId: state.selectedId,
  }));
  const lost = useStore((state) => state.connection.lost);
  const max = useStore((state) => state.dash.permissions.max_concurrent_tasks);
  const field = useRef(null);
  usePageKeys(field);
  const tasks = useMemo(() => {
    if (!words) return order.map((id) => byId.get(id));
    return [...byId.values()].filter((task) => fits(task, words)).sort(newer);
  }, [byId, order, words]);
  const ids = useMemo(() => tasks.filter(FILTERS[filter]).map((task) => task.task_id), [tasks, filter]);
  const older_ = !words && more && !ACTIVE.includes(filter);
  useEffect(() => {
    if (ids.length < FEW && older_) older(); // the filter may fit older ones
  }, [ids.length, older_, byId]);
  const shown = useRef(ids);
  shown.current = ids;
  // The same function always, so that rows are not drawn again.
  const onPick = useCallback((id, isRange, only) => pick(shown.current, id, isRange, only), []);

  return html`<section class=${`tasks${lost ? " is-stale" : ""}`} id="pane-tasks" tabindex="-1"
    aria-labelledby="h-tasks">
    <div class="tasks-head">
      <div class="sec-head"><h2 id="h-tasks">${T.tasks.title}</h2><${StaleTag} />
        ${picked && html`<${Chosen} ids=${ids} picked=${picked} />`}<span class="grow"></span>
        ${!picked && html`<${Finder} field=${field} />`}
        <button class="btn btn--quiet" type="button" aria-pressed=${picked !== null}
          onClick=${() => store.set({ picked: picked ? null : new Set() })}>${picked ? T.tasks.chooseNone : T.tasks.choosing}</button>
        <button class="ib phone-hide" type="button" aria-label=${T.keys.title} title=${T.keys.title}
          onClick=${() => show({ kind: "keys" })}><span aria-hidden="true">?</span></button></div>
      ${picked ? html`<${BulkBar} byId=${byId} picked=${picked} lost=${lost} />`
        : html`<${Filters} tasks=${tasks} chosen=${filter} more=${more} />`}
    </div>
    ${ids.length
      ? html`<div class=${`tasks-list${picked ? " is-picking" : ""}`}><${Rows} ids=${ids} byId=${byId} selectedId=${selectedId}
          picked=${picked} lost=${lost} max=${max} onPick=${onPick} onKey=${(event, task) => onKey(event, task, ids)}
          onNearEnd=${() => older_ && older()} /></div>`
      : html`<div class="tasks-list"><p class="nothing">${
          finding || older_ ? T.tasks.looking
            : !words ? T.tasks.empty[filter] : tasks.length ? T.tasks.noneHere : T.tasks.noneFound
        } ${(!words || tasks.length > 0) && html`<button class="linkbtn" type="button"
          onClick=${() => store.set({ filter: "all" })}>${T.tasks.showAll}</button>`}</p></div>`}
  </section>`;
}
