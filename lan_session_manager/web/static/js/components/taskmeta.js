/** The second line of a task's row: it answers what its state asks: when, how much, why, what came out. */

import { clock, ms, percent, sizeMb } from "../format.js";
import { html } from "../html.js";
import { failureLine } from "../outcomes.js";
import { T } from "../text.js";
import { useUsage } from "../usage.js";
import { waitLine } from "../waits.js";
import { Sparkline } from "./sparkline.js";

function completedLine(task) {
  const peak = task.usage?.memory_peak_mb;
  return T.meta.outputs(task.outputs_total) + (peak ? T.meta.peakOf(peak) : "");
}

function cancelledLine(task) {
  const by = T.meta.cancelledBy[task.reason] ?? T.meta.cancelled;
  return task.started_at ? by : by + T.meta.beforeStart;
}

// From the first moment as wide as with its figures: nothing moves when they come.
function Figure({ name, points, top, children }) {
  return html`<span class="sparkv"><span>${name}</span><${Sparkline} points=${points} top=${top} />
    <span class="sub num">${children}</span></span>`;
}

function Running({ task }) {
  const { points, now } = useUsage(task);
  const cpu = points.map(([t, , cores]) => [t, cores]);
  const memory = points.filter(([, mb]) => mb !== null).map(([t, mb]) => [t, mb]);
  const most = cpu.reduce((top, [, cores]) => Math.max(top, cores), 1);
  return html`<${Figure} name=${T.meta.cpu} points=${cpu} top=${most}>
      ${now ? percent(now.cores * 100) : T.meta.notYet}</${Figure}>
    <${Figure} name=${T.meta.memory} points=${memory} top=${task.limits.memory_mb}>
      ${typeof now?.memory_mb === "number" ? sizeMb(now.memory_mb) : T.meta.notYet}</${Figure}>`;
}

/** @param {{task: import("../types.js").Task, max: number}} props */
export function Meta({ task, max }) {
  const line = (text, cls = "trunc") => html`<span class=${cls} title=${text}>${text}</span>`;
  switch (task.status) {
    case "queued":
      return line(waitLine(task, max));
    case "running":
      if (task.stopping) return line(T.meta.stopping);
      if (task.runner === "swarm") return line(T.meta.started(clock(ms(task.started_at))));
      return html`<${Running} task=${task} />`;
    case "completed":
      return line(completedLine(task));
    case "failed":
      return line(failureLine(task), "reason trunc");
    default:
      return line(cancelledLine(task));
  }
}
