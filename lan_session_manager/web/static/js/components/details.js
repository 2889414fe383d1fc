/** The facts of a run and of its sandbox; for a failed one first why, and what mends it. */

import * as api from "../api.js";
import { clock, count, duration, ms, sizeMb, visible, visibleText } from "../format.js";
import { html, useEffect, useState } from "../html.js";
import { exitLine, hasEnded, noteOf, ranFor } from "../outcomes.js";
import { T } from "../text.js";
import { useStore } from "../use-store.js";
import { waitLine } from "../waits.js";
import { Callout } from "./callout.js";
import { Plots } from "./plots.js";

const F = T.facts;

function exitFact(task) {
  if (task.status === "queued") return F.exitQueued;
  if (!hasEnded(task)) return F.exitRunning;
  return exitLine(task) || F.exitNone;
}

/** The whole command: of a very long one the dashboard has only the beginning. */
function useCommand(task) {
  const [whole, setWhole] = useState(null);
  useEffect(() => {
    if (!task.command_cut) return undefined;
    let wanted = true;
    api.task(task.task_id).then(
      ({ command }) => wanted && setWhole(command),
      () => {},
    );
    return () => {
      wanted = false;
    };
  }, [task.task_id, task.command_cut]);
  return whole ?? task.command + (task.command_cut ? " …" : "");
}

function runFacts(task, command) {
  const created = clock(ms(task.created_at));
  const ran = ranFor(task);
  const waited = (ms(task.started_at) - ms(task.created_at)) / 1000;
  const facts = [
    [F.command, html`<pre class="cmdfact mono" tabindex="0">${visibleText(command.replace(/^\s*\n/, ""))}</pre>`],
    [F.runner, T.runners[task.runner] ?? visible(task.runner)],
    [F.source, visible(task.tag)],
    [F.exit, exitFact(task)],
    [F.submitted, waited >= 1 ? F.waited(created, duration(waited)) : created],
  ];
  const time = (iso) => (iso ? clock(ms(iso)) : "");
  const [started, ended] = [time(task.started_at), time(task.ended_at)];
  if (!Number.isNaN(ran)) facts.push([F.ran, F.ranFromTo(started, ended, duration(ran))]);
  else if (task.started_at) facts.push([F.started, started]);
  else if (task.ended_at) facts.push([F.ended, ended]);
  if (task.priority) facts.push([F.priority, F.priorityOf(task.priority)]);
  if (task.depends_on?.length) facts.push([F.dependsOn, task.depends_on.map(visible).join(", ")]);
  if (task.attempt > 1) facts.push([F.attempt, F.attemptOf(task.attempt)]);
  if (task.worker) facts.push([F.worker, visible(task.worker)]);
  if (task.usage) {
    facts.push([F.peak, F.peakOf(task.usage.memory_peak_mb, task.limits.memory_mb)]);
    facts.push([F.cpu, duration(task.usage.cpu_s)]);
  }
  if (task.child_out_of_memory) facts.push([F.note, F.childOom]);
  if (noteOf(task)) facts.push([F.note, noteOf(task)]);
  return facts;
}

function isolationFact(grade) {
  if (!grade) return F.isolationNone;
  return grade === "full" ? F.isolationFull : F.isolationOther(visible(grade));
}

function ownLimits(limits) {
  const own = [
    [F.cores, limits.cores, String],
    [F.pids, limits.pids, count],
    [F.openFiles, limits.open_files, count],
    [F.logKept, limits.log_mb, sizeMb],
    [F.mayAdd, limits.disk_mb, sizeMb],
    [F.mayAddFiles, limits.files, count],
  ];
  return own.filter(([, value]) => value !== null).map(([name, value, words]) => [name, words(value)]);
}

function sandboxFacts(task) {
  return [
    [F.isolation, isolationFact(task.isolation)],
    [F.network, task.network === "none" ? F.networkNone : visible(task.network)],
    [F.memory, sizeMb(task.limits.memory_mb)],
    [F.time, duration(task.limits.time_s)],
    ...ownLimits(task.limits),
    [F.canRead, F.canReadWhat],
    [F.canWrite, F.canWriteWhat],
  ];
}

function Facts({ list }) {
  return html`<dl class="grid-facts">${list.map(([name, fact], i) => html`<dt key=${`t${i}`}>${name}</dt>
    <dd key=${`d${i}`}>${fact}</dd>`)}</dl>`;
}

/** Why it has not started yet, in a sentence, and what that means. */
function Waiting({ task }) {
  const max = useStore((state) => state.dash.permissions.max_concurrent_tasks);
  const why = F.whyWaits[task.waits_for] ?? F.whyWaits.slot;
  return html`<section aria-labelledby="h-waits"><h3 class="h3" id="h-waits">${F.waitsTitle}</h3>
    <p>${waitLine(task, max)}.</p><p class="fine">${why}</p></section>`;
}

/** @param {{task: import("../types.js").Task, lost: boolean}} props */
export function Details({ task, lost }) {
  const swarm = task.runner === "swarm";
  const command = useCommand(task);
  return html`${task.status === "failed" && html`<${Callout} task=${task} lost=${lost} />`}
    <div class="scroll" tabindex="0">
      ${task.status === "queued" && html`<${Waiting} task=${task} />`}
      ${task.started_at && !swarm && html`<${Plots} task=${task} lost=${lost} />`}
      <h3 class="h3">${F.run}</h3>
      <${Facts} list=${runFacts(task, command)} />
      ${!swarm && html`<h3 class="h3">${F.sandbox}</h3><${Facts} list=${sandboxFacts(task)} />`}
    </div>`;
}
