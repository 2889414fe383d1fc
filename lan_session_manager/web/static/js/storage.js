/**
 * What this browser remembers between visits. Storage may be off, full or forbidden: then nothing is remembered.
 */

const PREFIX = "lsm.";

/**
 * @param {string} key
 * @returns {string | null} what was remembered, or null
 */
export function recall(key) {
  try {
    return localStorage.getItem(PREFIX + key);
  } catch {
    return null;
  }
}

/**
 * @param {string} key
 * @param {string | null} value null forgets it
 */
export function remember(key, value) {
  try {
    if (value === null) localStorage.removeItem(PREFIX + key);
    else localStorage.setItem(PREFIX + key, value);
  } catch {
    // Nothing to do: the page works without a memory.
  }
}
