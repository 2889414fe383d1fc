/** The audit log, and the connections of all tasks. */

import { Icon } from "../components/icons.js";
import { clock, ms, visible } from "../format.js";
import { html, useEffect, useState } from "../html.js";
import { useStore } from "../use-store.js";
import { filterAudit, olderAudit, olderConnections } from "./actions.js";
import { Choice, Older, Panel, plainHeads, Reading, State, Table } from "./parts.js";
import { admin } from "./store.js";
import { A } from "./text.js";

const Result = ({ word, good }) => html`<${State} cls=${good ? "completed" : "failed"}
  icon=${good ? "completed" : "failed"}>${word}<//>`;

function Entry({ entry }) {
  const role = A.audit.roles[entry.role];
  return html`<tr data-audit=${entry.id}>
    <td class="num dim">${clock(ms(entry.at))}</td>
    <td><span class="mono any">${visible(entry.address)}</span>${role && html` <span class="tag">${role}</span>`}</td>
    <td class="any">${A.audit.operation(entry.operation)}${entry.object && html` <bdi
        class="mono">${visible(entry.object)}</bdi>`}${
      entry.detail && html`<span class="two-line">${visible(entry.detail).replaceAll("_", " ")}</span>`}</td>
    <td><${Result} good=${entry.verdict === "allowed"} word=${A.audit.results[entry.verdict]} /></td>
  </tr>`;
}

function SessionFilter() {
  const session = useStore((state) => state.session, admin);
  const [text, setText] = useState(session);
  useEffect(() => setText(session), [session]);
  const onSubmit = (event) => {
    event.preventDefault();
    filterAudit({ session: text.trim() });
  };
  const onInput = (event) => {
    setText(event.target.value);
    if (!event.target.value && session) filterAudit({ session: "" });
  };
  return html`<form class="search" onSubmit=${onSubmit}><${Icon} name="search" /><input type="search"
    aria-label=${A.audit.session} placeholder=${A.audit.sessionHint} value=${text} onInput=${onInput} /></form>`;
}

/** The panel of the audit log. */
export function Audit() {
  const audit = useStore((state) => state.audit, admin);
  const verdict = useStore((state) => state.verdict, admin);
  const session = useStore((state) => state.session, admin);
  const problem = useStore((state) => state.problem, admin);
  const t = A.audit;
  const head = html`<${Choice} label=${t.filter} words=${t.verdicts} value=${verdict}
    onChoose=${(name) => filterAudit({ verdict: name })} /><${SessionFilter} />`;
  return html`<${Panel} id="audit" title=${t.title} fine=${t.fine} head=${head}>
    ${audit?.entries.length
      ? html`<${Table} label=${t.table} name="cards--log" heads=${plainHeads(t.heads)}>${audit.entries.map(
          (entry) => html`<${Entry} key=${entry.id} entry=${entry} />`)}<//>`
      : audit || problem
        ? html`<p class="nothing">${verdict || session ? t.noneFound : t.none}</p>`
        : html`<${Reading} />`}
    ${audit?.next && html`<${Older} onClick=${olderAudit} />`}
  <//>`;
}

function Connection({ connection: one }) {
  const to = one.more ? A.connections.more(one.more) : [one.host ?? one.address, one.port].filter(Boolean).join(":");
  return html`<tr>
    <td class="num dim">${clock(ms(one.started_at))}</td>
    <td class="mono any">${visible(one.task_id)}</td>
    <td class="any"><bdi class="mono">${visible(to)}</bdi></td>
    <td><${Result} good=${one.verdict === "allowed"} word=${A.connections.verdict(one.verdict)} /></td>
  </tr>`;
}

/** The panel of what tasks tried to reach. */
export function Connections() {
  const list = useStore((state) => state.connections, admin);
  const t = A.connections;
  return html`<${Panel} id="connections" title=${t.title} fine=${t.fine}>
    ${list?.connections.length
      ? html`<${Table} label=${t.table} name="cards--log" heads=${plainHeads(t.heads)}>${list.connections.map(
          (one) => html`<${Connection} key=${one.id} connection=${one} />`)}<//>`
      : list ? html`<p class="nothing">${t.none}</p>` : html`<${Reading} />`}
    ${list?.next && html`<${Older} onClick=${olderConnections} />`}
  <//>`;
}
