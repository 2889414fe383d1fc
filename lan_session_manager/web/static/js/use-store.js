/** The state in components. */

import { useLayoutEffect, useState } from "./html.js";
import { store } from "./store.js";

const same = (a, b) => {
  if (Object.is(a, b)) return true;
  if (typeof a !== "object" || typeof b !== "object" || !a || !b) return false;
  if (Object.getPrototypeOf(a) !== Object.prototype || Object.getPrototypeOf(b) !== Object.prototype) return false;
  const keys = Object.keys(a);
  return keys.length === Object.keys(b).length && keys.every((key) => Object.is(a[key], b[key]));
};

/**
 * A part of a store; the component is drawn again when that part is another one (objects: one level deep).
 * @template T
 * @param {(state: any) => T} select
 * @param {{get: () => any, subscribe: (listener: (state: any) => void) => () => void}} [from]
 * @returns {T}
 */
export function useStore(select, from = store) {
  const [, redraw] = useState(0);
  const value = select(from.get());
  const held = useStoreRef(value, select);
  useLayoutEffect(() => {
    const check = (state) => {
      if (!same(held.select(state), held.value)) redraw((n) => n + 1);
    };
    check(from.get());
    return from.subscribe(check);
  }, [from]);
  return value;
}

function useStoreRef(value, select) {
  const [held] = useState({});
  held.value = value;
  held.select = select;
  return held;
}
