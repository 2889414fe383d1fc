/** The table of all sessions. */

import { Icon } from "../components/icons.js";
import { ms, visible } from "../format.js";
import { html } from "../html.js";
import { useStore } from "../use-store.js";
import { ask, filterAudit } from "./actions.js";
import { admin } from "./store.js";
import { A } from "./text.js";

const ACTIVE_MS = 5 * 60 * 1000;
const HOT = 0.9;
const DEVICES_SHOWN = 2;
const ICONS = { active: ["state--completed", "live"], idle: ["state--cancelled", "cancelled"], expired: ["state--cancelled", "queued"] };

function Bar({ part, children }) {
  const hot = part >= HOT;
  const width = Math.max(0, Math.min(100, part * 100));
  return html`<span class="cellbar"><span class=${hot ? "bar bar--hot" : "bar"}><svg viewBox="0 0 100 1"
      preserveAspectRatio="none" aria-hidden="true"><rect width=${width} height="1" /></svg></span>
    <span class=${hot ? "num hot" : "num"}>${children}${
      hot && html` <span title=${A.sessions.close}><${Icon} name="warn" /><span class="sr">${A.sessions.close}</span></span>`
    }</span></span>`;
}

function Devices({ devices }) {
  if (!devices.length) return html`<span class="dim">${A.sessions.noDevice}</span>`;
  const rest = devices.length - DEVICES_SHOWN;
  return html`${devices.slice(0, DEVICES_SHOWN).map(
    (device, at) => html`<span key=${at} class="any"><bdi>${visible(device.name)}</bdi> <span
      class="dim">${A.sessions.kinds[device.kind]}</span></span><br />`,
  )}${rest > 0 && html`<span class="dim">${A.sessions.more(rest)}</span>`}`;
}

function lastSeen(session, now) {
  const seconds = Math.round((now - ms(session.last_activity)) / 1000);
  return seconds < 10 ? A.sessions.now : A.sessions.ago(seconds < 3600 ? seconds : Math.round(seconds / 60) * 60);
}

function Row({ session, now }) {
  const live = session.state === "live";
  const state = live ? (now - ms(session.last_activity) < ACTIVE_MS ? "active" : "idle") : "expired";
  const [cls, icon] = ICONS[state];
  const { limits, usage } = session;
  const name = visible(session.workspace);
  const heads = A.sessions.heads;
  const isOwn = Object.values(session.given).some((value) => value !== null);
  return html`<tr data-session=${session.workspace}>
    <td class="c-state"><span class=${`state ${cls}`}><${Icon} name=${icon} />${A.sessions.states[state]}</span></td>
    <td data-l=${heads[1]}><span class="mono strong">${visible(session.ip)}</span>
      <span class="two-line mono">${name}</span></td>
    <td data-l=${heads[2]}><${Devices} devices=${session.devices} /></td>
    <td data-l=${heads[3]}><${Bar} part=${session.running / limits.max_concurrent_tasks}>${A.sessions.ofMost(
      session.running, limits.max_concurrent_tasks)}<//>${
      session.queued > 0 && html`<span class="two-line">${A.sessions.queued(session.queued)}</span>`}</td>
    <td data-l=${heads[4]} title=${A.sessions.memoryHint}><${Bar} part=${session.memory_mb / limits.memory_mb}>${
      A.sessions.mb(session.memory_mb, limits.memory_mb)}<//></td>
    <td data-l=${heads[5]}>${usage
      ? html`<${Bar} part=${usage.size_mb / limits.quota_mb}>${A.sessions.mb(usage.size_mb, limits.quota_mb)}<//>`
      : html`<span class="dim">${A.sessions.unknown}</span>`}</td>
    <td class="num c-last">${lastSeen(session, now)}${isOwn && html`<span class="two-line">${A.sessions.own}</span>`}</td>
    <td class="c-wide"><span class="row-acts">
      <button class="btn btn--quiet" type="button" aria-label=${A.sessions.logOf(name)}
        onClick=${() => filterAudit({ session: session.workspace })}>${A.sessions.log}</button>
      <button class="btn btn--quiet" type="button" aria-label=${A.sessions.limitsOf(name)}
        onClick=${() => ask("limits", session)}>${A.sessions.limits}</button>
      ${live && html`<button class="btn btn--quiet" type="button" aria-label=${A.sessions.endOf(name)}
        onClick=${() => ask("end", session)}>${A.sessions.end}</button>`}
    </span></td>
  </tr>`;
}

function fits(session, text) {
  const where = [session.ip, session.workspace, ...session.devices.map((device) => device.name)];
  return where.some((part) => part.toLowerCase().includes(text.toLowerCase()));
}

/** The panel of sessions. */
export function Sessions() {
  const known = useStore((state) => state.known, admin);
  const find = useStore((state) => state.find, admin);
  const now = ms(known.timestamp);
  const rows = known.sessions.filter((session) => fits(session, find.trim()));
  return html`<section class="panel" id="sessions" aria-labelledby="h-s">
    <div class="panel-head"><h2 id="h-s">${A.sessions.title}</h2>
      <span class="fine">${A.sessions.of(known.total, known.live)}${
        known.total > known.sessions.length && ` ${A.sessions.left(known.sessions.length)}`}</span>
      <span class="grow"></span>
      <label class="search"><${Icon} name="search" /><span class="sr">${A.sessions.find}</span><input type="search"
        placeholder=${A.sessions.findHint} value=${find}
        onInput=${(event) => admin.set({ find: event.target.value })} /></label></div>
    ${rows.length
      ? html`<div class="xscroll" tabindex="0" role="region" aria-label=${A.sessions.table}>
          <table class="cards rows--sessions"><thead><tr>${A.sessions.heads.map(
            (head) => html`<th key=${head} scope="col">${head}</th>`)}
            <th scope="col"><span class="sr">${A.sessions.actions}</span></th></tr></thead>
          <tbody>${rows.map((session) => html`<${Row} key=${session.session_id} session=${session} now=${now} />`)}</tbody>
          </table></div>`
      : html`<p class="nothing">${find ? A.sessions.noneFound : A.sessions.none}</p>`}
  </section>`;
}
