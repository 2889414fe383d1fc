/** The limits and the network of the task being written. */

import { edit } from "../draft.js";
import { clock, duration, sizeMb } from "../format.js";
import { html } from "../html.js";
import { T } from "../text.js";
import { Icon } from "./icons.js";
import { Popover } from "./popover.js";

function Choice({ id, label, limit, value, words, onChange }) {
  const offered = limit.choices.filter((choice) => choice <= limit.max);
  const choices = [...new Set([...offered, limit.default, value])].sort((a, b) => a - b);
  return html`<label for=${id}>${label}</label>
    <select class="sel" id=${id} value=${value} onChange=${(event) => onChange(Number(event.target.value))}>
      ${choices.map((choice) => html`<option key=${choice} value=${choice} selected=${choice === value}>
        ${words(choice)}
      </option>`)}
    </select>`;
}

function Network({ networks, value }) {
  if (!networks.length) {
    return html`<span class="label">${T.composer.network}</span><span class="fact">${T.composer.networkNone}</span>`;
  }
  return html`<label for="opt-network">${T.composer.network}</label>
    <select class="sel" id="opt-network" value=${value} onChange=${(event) => edit({ network: event.target.value })}>
      ${["none", ...networks].map((name) => html`<option key=${name} value=${name} selected=${name === value}>
        ${name === "none" ? T.composer.networkOff : name}
      </option>`)}
    </select>
    <span class="hint">${T.composer.networkHint}</span>`;
}

function Order({ value }) {
  return html`<label for="opt-order">${T.composer.order}</label>
    <select class="sel" id="opt-order" onChange=${(event) => edit({ priority: Number(event.target.value) })}>
      ${[10, 0, -10].map((priority) => html`<option key=${priority} value=${priority} selected=${priority === value}>
        ${T.composer.orders[priority]}
      </option>`)}
    </select>`;
}

function Start({ value }) {
  return html`<label for="opt-start">${T.composer.start}</label>
    <input class="field" id="opt-start" type="datetime-local" max="9999-12-31T23:59" value=${value}
      onInput=${(event) => edit({ startAfter: event.target.value })} />
    <span class="hint">${T.composer.startHint}</span>`;
}

/**
 * @param {{dash: any, limits: {memory_mb: number, time_s: number}, network: string, priority: number,
 *   startAfter: string}} props `startAfter`: as the field has it, empty for now
 */
export function Options({ dash, limits, network, priority, startAfter }) {
  const later = startAfter ? T.composer.startsAt(clock(Date.parse(startAfter))) : "";
  const summary = T.composer.summary(duration(limits.time_s), sizeMb(limits.memory_mb), network) + later;
  const face = html`<${Icon} name="tune" /><span class="opts-long">${summary}</span>
    <span class="opts-short">${T.composer.options}</span><${Icon} name="down" />`;
  return html`<${Popover} className="opts" buttonClass="btn btn--quiet" name=${`${T.composer.options}: ${summary}`}
    title=${T.composer.options} face=${face}>
    ${() => html`<div class="form">
      <${Choice} id="opt-time" label=${T.composer.time} limit=${dash.limits.time_s} value=${limits.time_s}
        words=${duration} onChange=${(time_s) => edit({ limits: { ...limits, time_s } })} />
      <${Choice} id="opt-memory" label=${T.composer.memory} limit=${dash.limits.memory_mb} value=${limits.memory_mb}
        words=${sizeMb} onChange=${(memory_mb) => edit({ limits: { ...limits, memory_mb } })} />
      <span class="hint">${T.composer.memoryHint}</span>
      <${Network} networks=${dash.networks} value=${network} />
      <${Order} value=${priority} />
      <${Start} value=${startAfter} />
    </div>`}
  <//>`;
}
