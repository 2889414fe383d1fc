/** Searches a whole log on the server, a part at a time, and goes from hit to hit. */

import * as api from "./api.js";

const MOST_HITS = 2000;
const AFTER_TYPING_MS = 250;

/**
 * @typedef {{after: number, line: number | null, nth: number}} Hit the line's first byte, and which one in its line
 */

export class LogSearch {
  /** @param {string} id of the task @param {() => void} onChange */
  constructor(id, onChange) {
    this.id = id;
    this.onChange = onChange;
    this.clear();
  }

  clear() {
    clearTimeout(this.timer);
    this.query = "";
    /** @type {Hit[]} */
    this.hits = [];
    this.current = -1;
    this.searching = false;
    this.more = false; // whether there are more hits than are kept
    this.error = "";
    this.round = (this.round ?? 0) + 1;
  }

  /** @param {string} query what is to be found from now on @returns {Promise<void>} done with the first hits */
  start(query) {
    this.clear();
    this.query = query;
    this.onChange();
    if (!query) return Promise.resolve();
    this.searching = true;
    const round = this.round;
    return new Promise((done) => {
      this.timer = setTimeout(() => this.run(round, 0, done), AFTER_TYPING_MS);
    });
  }

  async run(round, from, onFirst) {
    let after = from;
    try {
      while (after !== null && this.hits.length < MOST_HITS) {
        const found = await api.searchLog(this.id, this.query, after);
        if (round !== this.round) return;
        this.take(found.hits);
        after = found.next;
        if (this.hits.length || after === null) onFirst();
        this.onChange();
      }
      this.more = after !== null;
    } catch (error) {
      if (!(error instanceof api.ApiError)) throw error;
      if (round !== this.round) return;
      this.error = error.message;
    }
    this.searching = false;
    onFirst();
    this.onChange();
  }

  take(found) {
    for (const { after, line } of found) {
      const last = this.hits[this.hits.length - 1];
      this.hits.push({ after, line, nth: last?.after === after ? last.nth + 1 : 0 });
    }
    if (this.current < 0 && this.hits.length) this.current = 0;
  }

  /** @returns {Hit | null} the one that is shown */
  get hit() {
    return this.hits[this.current] ?? null;
  }

  /** Goes to another hit. @param {number} step 1 or -1 */
  go(step) {
    if (this.hits.length) this.current = (this.current + step + this.hits.length) % this.hits.length;
    this.onChange();
  }
}
