/** The commands of this session's earlier tasks, as the arrow keys bring them back. */

import { store } from "./store.js";

/** @returns {object[]} what of a task makes a draft, the newest first, no command twice */
export function earlier() {
  const { order, tasks, dash } = store.get();
  const names = dash.runners.map((runner) => runner.name);
  const found = new Map();
  for (const id of order) {
    const { command, command_cut: isCut, runner, limits, network } = tasks.get(id);
    if (isCut || !names.includes(runner) || found.has(command)) continue;
    found.set(command, { command, runner, limits: { memory_mb: limits.memory_mb, time_s: limits.time_s }, network });
  }
  return [...found.values()];
}

/** A step through them. `own` is the draft that was being written. */
export class History {
  constructor() {
    this.at = -1;
    this.own = null;
  }

  /**
   * @param {-1 | 1} step 1: an earlier one
   * @param {object} now the draft
   * @returns {object | null} the draft to show, or null where the key is to do what it does
   */
  go(step, now) {
    const all = earlier();
    const isShown = this.at >= 0 && all[this.at]?.command === now.command;
    if (!isShown) {
      if (now.command.trim() || step < 0) return null;
      this.at = -1;
      this.own = { command: now.command, runner: now.runner, limits: now.limits, network: now.network };
    }
    const to = this.at + step;
    if (to >= all.length) return null;
    this.at = to;
    return to < 0 ? this.own : all[to];
  }
}
