/** How the shared machine is doing; and, on a phone, this device. */

import { percent, sizeMb, visible } from "../format.js";
import { isDiskLow } from "../health.js";
import { html } from "../html.js";
import { T } from "../text.js";
import { toggleTheme } from "../theme.js";
import { useStore } from "../use-store.js";
import { DevicePanel } from "./device.js";
import { Icon } from "./icons.js";
import { StaleTag } from "./state.js";

function Bar({ part }) {
  const width = `${Math.min(100, Math.max(0, part * 100))}%`;
  return html`<span class="bar"><i style=${{ width }}></i></span>`;
}

// "61 of 96 GB": the unit once, if it is the same.
function usedOf(usedMb, totalMb) {
  const [used, total] = [sizeMb(usedMb), sizeMb(totalMb)];
  const unit = total.slice(total.indexOf(" "));
  return T.swarm.memoryOf(used.endsWith(unit) ? used.slice(0, -unit.length) : used, total);
}

function Health({ swarm }) {
  const healthy = swarm.status === "healthy";
  return html`<span class=${`state state--${healthy ? "completed" : "queued"}`}>
    <${Icon} name=${healthy ? "completed" : "warn"} />${healthy ? T.swarm.healthy : T.swarm.warning}</span>`;
}

function IsolationLine({ isolation }) {
  const full = isolation?.grade === "full";
  const words = isolation ? T.swarm.isolation(visible(isolation.line)) : T.swarm.noSandbox;
  return html`<p class=${full ? "isolation" : "isolation isolation--weak"}><${Icon} name=${full ? "shield" : "warn"} />
    <span>${words}</span></p>`;
}

/** The third section of the rail. */
export function Swarm() {
  const swarm = useStore((state) => state.dash.swarm_health);
  const waiting = swarm.queue_length;
  const lost = useStore((state) => state.connection.lost);
  return html`<section id="pane-swarm" class=${lost ? "is-stale" : ""} aria-labelledby="h-swarm">
    <div class="sec-head">
      <h2 id="h-swarm">${T.swarm.title}</h2><span class="grow"></span>
      ${lost ? html`<${StaleTag} />` : html`<${Health} swarm=${swarm} />`}
    </div>
    <div class="kv">
      <span class="k">${T.swarm.cpu}</span>
      <${Bar} part=${swarm.cpu_percent / 100} />
      <span class="v num">${percent(swarm.cpu_percent)}</span>
      <span class="k">${T.swarm.memory}</span>
      <${Bar} part=${swarm.memory_used_mb / swarm.memory_total_mb} />
      <span class="v num">${usedOf(swarm.memory_used_mb, swarm.memory_total_mb)}</span>
      ${isDiskLow(swarm) && html`<span class="k">${T.swarm.disk}</span>
        <span class="v v--wide v--warn"><${Icon} name="warn" />${T.swarm.diskFree(swarm.disk_free_mb)}</span>`}
      <span class="k">${T.swarm.queue}</span>
      <span class="v v--wide num">${waiting ? T.swarm.waiting(waiting) : T.swarm.queueEmpty}</span>
    </div>
    <hr class="rule" />
    <div class="kv">
      <span class="k trunc" title=${visible(swarm.machine)}>${visible(swarm.machine) || T.swarm.thisMachine}</span>
      <${Bar} part=${swarm.slots ? swarm.slots_busy / swarm.slots : 0} />
      <span class="v num">${T.swarm.slots(swarm.slots_busy, swarm.slots)}</span>
    </div>
    <${IsolationLine} isolation=${swarm.isolation} />
  </section>`;
}

/** The device and the theme, which have no room in a phone's bar. */
export function Device() {
  return html`<section id="pane-device" class="phone-only" aria-label=${T.device.thisOne}>
    <${DevicePanel} />
    <button class="btn device-theme" type="button" onClick=${toggleTheme}>
      <${Icon} name="moon" />${T.page.themeLong}</button>
  </section>`;
}
