/** What the doctor found, and the server's own facts. */

import { Icon } from "../components/icons.js";
import { clock, ms, sizeMb, visible } from "../format.js";
import { html } from "../html.js";
import { useStore } from "../use-store.js";
import { checkAgain } from "./actions.js";
import { Panel, Reading, State } from "./parts.js";
import { admin, serverNow } from "./store.js";
import { A } from "./text.js";

const VERDICTS = {
  FAIL: ["failed", "failed"],
  CAUTION: ["queued", "warn"],
  SKIPPED: ["cancelled", "cancelled"],
  PASS: ["completed", "completed"],
};
const WORST_FIRST = Object.keys(VERDICTS);

function Finding({ found }) {
  const [cls, icon] = VERDICTS[found.verdict];
  return html`<li class="finding" data-verdict=${found.verdict}>
    <span class=${`state state--${cls}`}><${Icon} name=${icon} /></span>
    <p class="any"><b>${visible(found.name)}</b> <span class="sub">${visible(found.what)}</span>${
      found.advice && html`<span class="advice">${visible(found.advice)}</span>`}</p>
    <span class=${`state state--${cls}`}>${A.health.verdicts[found.verdict]}</span>
  </li>`;
}

function Again({ health }) {
  const busy = useStore((state) => state.busy, admin);
  const waits = health.again_in_s > 0 && !health.checking;
  return html`${waits && html`<span class="fine num">${A.health.wait(health.again_in_s)}</span>`}
    <button class="btn" type="button" disabled=${busy || health.checking || waits} onClick=${checkAgain}>
      <${Icon} name="retry" spin=${health.checking} />${A.health.again}</button>`;
}

function Findings({ health }) {
  const t = A.health;
  const fine = health.checked_at ? t.checked(clock(ms(health.checked_at))) : "";
  const list = [...(health.findings ?? [])].sort(
    (a, b) => WORST_FIRST.indexOf(a.verdict) - WORST_FIRST.indexOf(b.verdict),
  );
  const bad = list.filter((one) => one.verdict !== "PASS");
  const passing = list.filter((one) => one.verdict === "PASS");
  return html`<${Panel} id="findings" title=${t.findings} fine=${fine} head=${html`<${Again} health=${health} />`}>
    <p class="nothing" role="status">${health.checking ? t.checking : health.check_failed ? t.failed
      : health.verdict && t.overall[health.verdict]}</p>
    ${bad.length > 0 && html`<ul class="findings">${bad.map(
      (one, at) => html`<${Finding} key=${at} found=${one} />`)}</ul>`}
    ${passing.length > 0 && html`<details class="passing" open=${bad.length === 0}><summary>${
      t.passing(passing.length)}</summary><ul class="findings">${passing.map(
      (one, at) => html`<${Finding} key=${at} found=${one} />`)}</ul></details>`}
  <//>`;
}

function Facts({ health }) {
  const t = A.health;
  const now = useStore(serverNow, admin);
  const up = ms(health.started_at);
  const values = {
    version: health.versions.server,
    up: t.up(clock(up), Math.floor((now - up) / 60000) * 60),
    isolation: health.isolation ? visible(health.isolation.line) : t.noIsolation,
    quotas: visible(health.disk_quotas),
    disk: t.disk(health.disk_free_mb, health.disk_total_mb, health.disk_reserve_mb),
    database: sizeMb(health.database_mb),
    copies: health.copies.length
      ? html`${health.copies.map((one) => html`<span key=${one.name} class="device" title=${visible(one.name)}>${
          t.copy(clock(ms(one.at)), one.size_mb)}</span>`)}`
      : t.noCopies,
    system: t.system(visible(health.versions.python), visible(health.versions.kernel)),
    directory: html`<span class="mono">${visible(health.data_dir)}</span>`,
    address: html`<span class="mono">${health.urls.map(visible).join(" ")}</span>`,
  };
  return html`<${Panel} id="server" title=${t.server}>
    <dl class="factlist">${Object.entries(values).map(
      ([name, value]) => html`<dt key=${`${name}-t`}>${t.facts[name]}</dt><dd key=${name} class="any">${value}</dd>`)}</dl>
    ${health.notice.length > 0 && html`<p class="panel-foot"><${State} cls="queued" icon="warn">${
      visible(health.notice.join(" "))}<//></p>`}
    <p class="panel-foot fine">${t.backups}</p>
  <//>`;
}

/** The two panels of the section. */
export function Health() {
  const health = useStore((state) => state.health, admin);
  if (!health) return html`<${Panel} id="findings" title=${A.health.findings}><${Reading} /><//>`;
  return html`<div class="admin-cols"><${Findings} health=${health} /><${Facts} health=${health} /></div>`;
}
