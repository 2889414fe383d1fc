/** The settings as they are in force: to be read, as only the machine's own file changes them. */

import { visible } from "../format.js";
import { html, useState } from "../html.js";
import { useStore } from "../use-store.js";
import { Choice, Find, Panel, plainHeads, Reading, Table } from "./parts.js";
import { admin } from "./store.js";
import { A } from "./text.js";

function Value({ one }) {
  const t = A.settings;
  const { value } = one;
  if (one.is_secret) return html`<span class="dim">${t.secret(one.is_set)}</span>`;
  if (typeof value === "boolean") return value ? t.yes : t.no;
  if (value === null || value === "" || (Array.isArray(value) && !value.length))
    return html`<span class="dim">${t.empty}</span>`;
  if (Array.isArray(value)) return html`<span class="mono">${value.map(visible).join(", ")}</span>`;
  if (typeof value === "object") {
    const profiles = Object.entries(value);
    if (!profiles.length) return html`<span class="dim">${t.empty}</span>`;
    return profiles.map(([name, profile]) => html`<span key=${name} class="device mono">${
      t.profile(visible(name), profile.allow.map(visible))}</span>`);
  }
  return html`<span class="mono num">${visible(String(value))}</span>`;
}

function Row({ one }) {
  const t = A.settings;
  return html`<tr data-setting=${one.name}>
    <td class="c-wide any"><span class="mono strong">${one.variable}</span>
      <span class="two-line">${one.meaning.replaceAll("`", "")}</span></td>
    <td class="any" data-l=${t.heads[1]}><${Value} one=${one} /></td>
    <td data-l=${t.heads[2]} class=${one.source === "default" ? "dim" : ""}>${t.sources[one.source]}</td>
  </tr>`;
}

/** The panel. */
export function Settings() {
  const known = useStore((state) => state.settings, admin);
  const [find, setFind] = useState("");
  const [kind, setKind] = useState("all");
  const t = A.settings;
  if (!known) return html`<${Panel} id="settings" title=${t.title}><${Reading} /><//>`;
  const given = known.settings.filter((one) => one.source !== "default");
  const text = find.trim().toLowerCase();
  const rows = (kind === "given" ? given : known.settings).filter((one) =>
    `${one.variable} ${one.name} ${one.meaning}`.toLowerCase().includes(text),
  );
  const head = html`<${Choice} label=${t.show} words=${t.kinds} value=${kind} onChoose=${setKind}
      counts=${{ all: known.settings.length, given: given.length }} />
    <${Find} label=${t.find} hint=${t.findHint} value=${find} onInput=${setFind} />`;
  return html`<${Panel} id="settings" title=${t.title} head=${head}>
    ${rows.length
      ? html`<${Table} label=${t.table} name="rows--settings" heads=${plainHeads(t.heads)}>${rows.map(
          (one) => html`<${Row} key=${one.name} one=${one} />`)}<//>`
      : html`<p class="nothing">${kind === "given" && !text ? t.noneGiven : t.noneFound}</p>`}
  <//>`;
}
