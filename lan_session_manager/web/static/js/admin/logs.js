/** The audit log, and the connections of all tasks. */

import { Icon } from "../components/icons.js";
import { clock, ms, visible } from "../format.js";
import { html, useEffect, useState } from "../html.js";
import { useStore } from "../use-store.js";
import { filterAudit, olderAudit, olderConnections } from "./actions.js";
import { admin } from "./store.js";
import { A } from "./text.js";

const RESULTS = { allowed: ["state--completed", "completed"], refused: ["state--failed", "failed"] };

function Result({ word, good }) {
  const [cls, icon] = RESULTS[good ? "allowed" : "refused"];
  return html`<span class=${`state ${cls}`}><${Icon} name=${icon} />${word}</span>`;
}

function Table({ label, heads, children }) {
  return html`<div class="xscroll" tabindex="0" role="region" aria-label=${label}><table class="cards cards--log">
    <thead><tr>${heads.map((head) => html`<th key=${head} scope="col">${head}</th>`)}</tr></thead>
    <tbody>${children}</tbody></table></div>`;
}

const older = (onClick) => html`<div class="panel-foot"><button class="btn" type="button"
  onClick=${onClick}>${A.audit.older}</button></div>`;

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
  return html`<section class="panel" id="audit" aria-labelledby="h-a">
    <div class="panel-head"><h2 id="h-a">${A.audit.title}</h2><span class="fine">${A.audit.fine}</span>
      <span class="grow"></span>
      <span class="segs" role="group" aria-label=${A.audit.filter}>${Object.entries(A.audit.verdicts).map(
        ([name, word]) => html`<button key=${name} type="button" aria-pressed=${verdict === name}
          onClick=${() => filterAudit({ verdict: name })}>${word}</button>`)}</span>
      <${SessionFilter} /></div>
    ${audit?.entries.length
      ? html`<${Table} label=${A.audit.table} heads=${A.audit.heads}>${audit.entries.map(
          (entry) => html`<${Entry} key=${entry.id} entry=${entry} />`)}<//>`
      : audit && html`<p class="nothing">${verdict || session ? A.audit.noneFound : A.audit.none}</p>`}
    ${audit?.next && older(olderAudit)}
  </section>`;
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
  return html`<section class="panel" id="connections" aria-labelledby="h-c">
    <div class="panel-head"><h2 id="h-c">${A.connections.title}</h2><span class="fine">${A.connections.fine}</span></div>
    ${list?.connections.length
      ? html`<${Table} label=${A.connections.table} heads=${A.connections.heads}>${list.connections.map(
          (one) => html`<${Connection} key=${one.id} connection=${one} />`)}<//>`
      : list && html`<p class="nothing">${A.connections.none}</p>`}
    ${list?.next && older(olderConnections)}
  </section>`;
}
