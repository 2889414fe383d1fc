/**
 * The rows of the list. All have one height, and only those in sight are in the document, with the one that has the
 * focus: ten thousand tasks cost no more than thirty. A row stays under the eyes that read it when others come above.
 */

import { html, useLayoutEffect, useRef, useState } from "../html.js";
import { PHONE } from "../phone.js";
import { TaskRow } from "./taskrow.js";

const BEYOND = 12; // rows above and below those in sight
const STEP = 8;
const SETTLED_MS = 120; // without a jump: then rows beyond those in sight are drawn
const NEAR_END = 60; // rows before the end from where on older tasks are loaded
const USUAL_PX = 57;

const MOVES = { ArrowDown: 1, j: 1, ArrowUp: -1, k: -1, Home: -Infinity, End: Infinity, PageDown: 10, PageUp: -10 };

const rangeOf = (list, height, length, step, beyond) => {
  const box = list.getBoundingClientRect();
  const clip = list.parentElement.getBoundingClientRect();
  const top = Math.max(clip.top, 0);
  const bottom = Math.min(clip.bottom, window.innerHeight);
  const from = Math.floor((top - box.top) / height / step) * step - beyond;
  const to = Math.ceil((bottom - box.top) / height / step) * step + beyond;
  return [Math.max(0, Math.min(from, length)), Math.max(0, Math.min(to, length))];
};

const scrollBy = (list, px) => (PHONE.matches ? window.scrollBy(0, px) : (list.parentElement.scrollTop += px));

/** Measures rows and tells which are in sight. */
function useRange(list, length, onNearEnd) {
  const [height, setHeight] = useState(USUAL_PX);
  const [range, setRange] = useState([0, 40]);
  const last = useRef(range);
  useLayoutEffect(() => {
    let settling = 0;
    const look = (isSettled) => {
      if (!list.current) return;
      const px = list.current.querySelector(".task")?.offsetHeight || height;
      setHeight(px);
      let next = rangeOf(list.current, px, length, STEP, BEYOND);
      // Who drags the bar sees other rows in every frame: what is beyond them would come too late and for nothing.
      const sight = rangeOf(list.current, px, length, 1, 0);
      if (!isSettled && (sight[0] >= last.current[1] || sight[1] <= last.current[0])) {
        next = sight;
        clearTimeout(settling);
        settling = setTimeout(look, SETTLED_MS, true);
      }
      last.current = next;
      setRange((now) => (now[0] === next[0] && now[1] === next[1] ? now : next));
      if (next[1] > length - NEAR_END) onNearEnd();
    };
    look(true);
    const onScroll = () => look(false);
    addEventListener("scroll", onScroll, { capture: true, passive: true });
    const observer = new ResizeObserver(() => look(true));
    observer.observe(list.current.parentElement);
    return () => {
      clearTimeout(settling);
      removeEventListener("scroll", onScroll, { capture: true });
      observer.disconnect();
    };
  }, [length]);
  return [height, range];
}

// What is read stays where it is, unless the newest are in sight: there the new ones are to be seen.
function useStill(list, ids, height) {
  const seen = useRef({ id: null, at: 0 });
  useLayoutEffect(() => {
    const { id, at } = seen.current;
    const now = id === null ? -1 : ids.indexOf(id);
    if (now >= 0 && at > 0 && now !== at) scrollBy(list.current, (now - at) * height);
    const note = () => {
      if (!list.current) return;
      const above = Math.max(list.current.parentElement.getBoundingClientRect().top, 0) - list.current.getBoundingClientRect().top;
      const first = Math.max(0, Math.floor(above / height));
      seen.current = { id: ids[first] ?? null, at: first };
    };
    note();
    addEventListener("scroll", note, { capture: true, passive: true });
    return () => removeEventListener("scroll", note, { capture: true });
  }, [ids, height]);
}

/**
 * @param {{ids: string[], byId: Map<string, import("../types.js").Task>, selectedId: string | null, picked: Set<string> |
 *   null, lost: boolean, max: number, onPick: (id: string, isRange: boolean) => void,
 *   onKey: (event: KeyboardEvent, task: import("../types.js").Task) => void, onNearEnd: () => void}} props
 */
export function Rows({ ids, byId, selectedId, picked, lost, max, onPick, onKey, onNearEnd }) {
  const list = useRef(null);
  const [focused, setFocused] = useState(null); // stays so when a dialog takes the focus for a while
  const wanted = useRef(null); // the row that is to get the focus once it is there
  const [height, [from, to]] = useRange(list, ids.length, onNearEnd);
  useStill(list, ids, height);

  const shown = ids.slice(from, to).map((id, i) => [from + i, id]);
  const at = focused === null ? -1 : ids.indexOf(focused);
  if (at >= 0 && (at < from || at >= to)) shown.push([at, focused]);

  useLayoutEffect(() => {
    if (!wanted.current) return;
    const row = list.current.querySelector(`[data-id="${CSS.escape(wanted.current)}"]`);
    wanted.current = null;
    if (!row) return;
    row.querySelector(".task-open").focus({ preventScroll: true });
    const box = row.getBoundingClientRect();
    const clip = list.current.parentElement.getBoundingClientRect();
    if (box.top < Math.max(clip.top, 0)) scrollBy(list.current, box.top - Math.max(clip.top, 0));
    const bottom = Math.min(clip.bottom, window.innerHeight);
    if (box.bottom > bottom) scrollBy(list.current, box.bottom - bottom);
  });

  const go = (index) => {
    const to = ids[Math.max(0, Math.min(ids.length - 1, index))];
    wanted.current = to;
    setFocused(to);
    return to;
  };
  const onKeyDown = (event) => {
    const row = event.target.closest(".task");
    if (!row || event.ctrlKey || event.metaKey || event.altKey) return;
    const index = ids.indexOf(row.dataset.id);
    const move = MOVES[event.key.length === 1 ? event.key.toLowerCase() : event.key];
    if (move === undefined || index < 0) {
      if (byId.has(row.dataset.id)) onKey(event, byId.get(row.dataset.id));
      return;
    }
    event.preventDefault();
    const next = go(index + move);
    if (event.shiftKey) {
      onPick(row.dataset.id, true, true);
      onPick(next, true, true);
    }
  };

  return html`<ul class="rows" ref=${list} style=${{ height: `${ids.length * height}px` }} onKeyDown=${onKeyDown}
    onFocusIn=${(event) => setFocused(event.target.closest(".task")?.dataset.id ?? null)}>
    ${shown.map(([index, id]) => html`<${TaskRow} key=${id} task=${byId.get(id)} current=${id === selectedId} lost=${lost}
      max=${max} top=${index * height} place=${index + 1} of=${ids.length} picked=${picked ? picked.has(id) : null}
      onPick=${onPick} />`)}
  </ul>`;
}
