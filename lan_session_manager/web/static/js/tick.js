/** One clock for everything that counts seconds, so that a second costs a few text nodes and no tree of components. */

const listeners = new Set();
let timer = 0;

function tick() {
  for (const listener of listeners) listener();
  // To just after the next full second, so that several clocks change at the same moment.
  timer = setTimeout(tick, 1010 - (Date.now() % 1000));
}

/**
 * @param {() => void} listener called about once a second
 * @returns {() => void} ends it
 */
export function everySecond(listener) {
  listeners.add(listener);
  if (!timer) timer = setTimeout(tick, 1010 - (Date.now() % 1000));
  return () => {
    listeners.delete(listener);
    if (!listeners.size) {
      clearTimeout(timer);
      timer = 0;
    }
  };
}
