/** The table of all sessions. */

import { Icon } from "../components/icons.js";
import { ms, sizeMb, visible } from "../format.js";
import { html, memo, useRef, useState } from "../html.js";
import { useStore } from "../use-store.js";
import { ask, change } from "./actions.js";
import { csvOf, saveAs } from "./csv.js";
import { Leaving } from "./leaving.js";
import { Bar, Choice, Find, Panel, Reading, State, Table } from "./parts.js";
import { COLUMNS, fits, isKind, sortedBy, stateOf } from "./sorting.js";
import { admin, serverNow } from "./store.js";
import { A } from "./text.js";

const DEVICES_SHOWN = 2;
const ICONS = {
  active: ["completed", "live"],
  idle: ["cancelled", "idle"],
  paused: ["queued", "pause"],
  expired: ["cancelled", "queued"],
  trashed: ["cancelled", "trash"],
};

function Devices({ devices }) {
  if (!devices.length) return html`<span class="dim">${A.sessions.noDevice}</span>`;
  const rest = devices.length - DEVICES_SHOWN;
  return html`${devices.slice(0, DEVICES_SHOWN).map(
    (device, at) => html`<span key=${at} class="any device"><bdi>${visible(device.name)}</bdi> <span
      class="dim">${A.sessions.deviceKinds[device.kind]}</span></span>`,
  )}${rest > 0 && html`<span class="dim device">${A.sessions.more(rest)}</span>`}`;
}

/** @param {object} session @param {number} now ms of the server's clock @returns {string} */
function lastSeen(session, now) {
  const seconds = Math.round((now - ms(session.last_activity)) / 1000);
  return seconds < 10 ? A.sessions.now : A.sessions.ago(seconds < 3600 ? seconds : Math.round(seconds / 60) * 60);
}

/** The whole sentence where there is room for it. */
const mb = (used, most) => html`<span class="roomy">${A.sessions.mb(used, most)}</span><span class="tight">${
  sizeMb(used)}</span>`;

function Acts({ session, name, live }) {
  const t = A.sessions;
  const verb = session.paused_at ? "resume" : "pause";
  const hasPause = live || session.paused_at;
  return html`<span class="row-acts">
    ${hasPause && html`<button class="btn btn--quiet" type="button" aria-label=${t[`${verb}Of`](name)}
      onClick=${() => change(session.workspace, verb)}>${t[verb]}</button>`}
    <button class="btn btn--quiet roomy" type="button" aria-label=${t.limitsOf(name)}
      onClick=${() => ask("limits", { session })}>${t.limits}</button>
    ${live
      ? html`<button class="btn btn--quiet" type="button" aria-label=${t.endOf(name)}
          onClick=${() => ask("end", { session })}>${t.end}</button>`
      : !session.trashed_at && html`<button class="btn btn--quiet" type="button" aria-label=${t.trashOf(name)}
          onClick=${() => ask("trash", { session })}>${t.trash}</button>`}
    <button class="ib ib--lg" type="button" aria-label=${t.moreOf(name)} title=${t.moreOf(name)}
      onClick=${() => ask("more", { session })}><${Icon} name="more" /></button>
  </span>`;
}

const Row = memo(({ session, state, seen }) => {
  const { limits, usage, used } = session;
  const [cls, icon] = ICONS[state];
  const t = A.sessions;
  const name = visible(session.workspace);
  const isOwn = Object.values(session.given).some((value) => value !== null);
  const { cores, memory_mb: memory } = used ?? { cores: 0, memory_mb: 0 };
  const live = session.state === "live";
  const isMeasured = used || !session.running;
  const notMeasured = html`<span class="dim">${t.unknown}</span>`;
  return html`<tr data-session=${session.workspace}>
    <td class="c-state"><${State} cls=${cls} icon=${icon}>${t.states[state]}<//>${
      session.paused_at && state !== "paused" && html`<span class="two-line">${t.paused}</span>`}</td>
    <td data-l=${t.heads.address}><span class="mono strong any">${visible(session.ip)}</span>
      <span class="two-line mono any">${name}</span></td>
    <td data-l=${t.heads.devices}><${Devices} devices=${session.devices} /></td>
    <td class="num" data-l=${t.heads.running}>${t.ofMost(session.running, limits.max_concurrent_tasks)}${
      session.queued > 0 && html`<span class="two-line">${t.queued(session.queued)}</span>`}</td>
    <td data-l=${t.heads.cpu}>${isMeasured
      ? html`<${Bar} part=${cores / limits.cores} title=${t.cpuHint(cores, limits.cores)}>${
          t.cpu(cores / limits.cores)}<//>`
      : notMeasured}</td>
    <td data-l=${t.heads.memory}>${isMeasured
      ? html`<${Bar} part=${memory / limits.memory_mb} title=${t.memoryHint(memory, limits.memory_mb)}>${
          mb(memory, limits.memory_mb)}<//>`
      : notMeasured}</td>
    <td data-l=${t.heads.disk}>${usage
      ? html`<${Bar} part=${usage.size_mb / limits.quota_mb} title=${t.mb(usage.size_mb, limits.quota_mb)}>${
          mb(usage.size_mb, limits.quota_mb)}<//>`
      : notMeasured}</td>
    <td class="num c-last" data-l=${t.heads.last}>${seen}${isOwn && html`<span class="two-line">${t.own}</span>`}</td>
    <td class="c-wide"><${Acts} session=${session} name=${name} live=${live} /></td>
  </tr>`;
});

function SortHead({ name, sort, onSort }) {
  const direction = sort.by === name ? (sort.down ? "descending" : "ascending") : undefined;
  return html`<th scope="col" aria-sort=${direction}><button class="sorter" type="button" onClick=${() => onSort(name)}>${
    A.sessions.heads[name]}<${Icon} name=${direction === "descending" ? "down" : "up"} /></button></th>`;
}

/** The order as it was when it was chosen: what happens meanwhile moves no row, and who is new comes in its place. */
function useOrder(sessions, sort, now) {
  const kept = useRef({ key: "", ids: [] });
  const key = `${sort.by} ${sort.down} ${sessions.map((one) => one.session_id).sort().join()}`;
  if (kept.current.key !== key) {
    kept.current = { key, ids: sortedBy(sessions, sort, now).map((one) => one.session_id) };
  }
  const byId = new Map(sessions.map((one) => [one.session_id, one]));
  return kept.current.ids.map((id) => byId.get(id));
}

/** The panel of sessions, and below it those that leave. */
export function Sessions() {
  const known = useStore((state) => state.sessions, admin);
  return html`${known ? html`<${Known} known=${known} />` : html`<${Panel} id="sessions" title=${A.sessions.title}>
    <${Reading} /><//>`}<${Leaving} />`;
}

function Known({ known }) {
  const t = A.sessions;
  const { find, kind, now } = useStore(
    (state) => ({ find: state.find, kind: state.kind, now: serverNow(state) }),
    admin,
  );
  const [sort, setSort] = useState({ by: "address", down: false });
  const onSort = (by) => setSort({ by, down: sort.by === by ? !sort.down : COLUMNS[by].down });
  const rows = useOrder(known.sessions, sort, now).filter(
    (session) => isKind(session, kind) && fits(session, find.trim()),
  );
  const counts = Object.fromEntries(
    Object.keys(t.kinds).map((name) => [name, known.sessions.filter((session) => isKind(session, name)).length]),
  );
  const left = known.total > known.sessions.length ? ` ${t.left(known.sessions.length)}` : "";
  const head = html`<${Choice} label=${t.show} words=${t.kinds} value=${kind} counts=${counts}
      onChoose=${(name) => admin.set({ kind: name })} />
    <${Find} label=${t.find} hint=${t.findHint} value=${find} onInput=${(text) => admin.set({ find: text })} />
    <button class="btn phone-hide" type="button" onClick=${() => saveAs(t.csvName, csvOf(rows))}>
      <${Icon} name="dl" />${t.csv}</button>`;
  const heads = Object.keys(t.heads).map(
    (name) => COLUMNS[name]
      ? html`<${SortHead} key=${name} name=${name} sort=${sort} onSort=${onSort} />`
      : html`<th key=${name} scope="col">${t.heads[name]}</th>`,
  );
  return html`<${Panel} id="sessions" title=${t.title} fine=${t.of(known.total, known.live) + left} head=${head}>
    ${rows.length
      ? html`<${Table} label=${t.table} name="rows--sessions" heads=${heads} actions=${t.actions}>${rows.map(
          (session) => html`<${Row} key=${session.session_id} session=${session} state=${stateOf(session, now)}
            seen=${lastSeen(session, now)} />`)}<//>`
      : known.sessions.length
        ? html`<p class="nothing">${t.noneFound} <button class="linkbtn" type="button"
            onClick=${() => admin.set({ find: "", kind: "all" })}>${t.showAll}</button></p>`
        : html`<p class="nothing">${t.none}</p>`}
  <//>`;
}
