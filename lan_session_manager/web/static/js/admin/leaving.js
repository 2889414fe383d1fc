/** The sessions that nobody comes back to: when they go to the trash, and from there for good. */

import { clock, ms, visible } from "../format.js";
import { html } from "../html.js";
import { useStore } from "../use-store.js";
import { ask, change } from "./actions.js";
import { archiveUrl } from "./api.js";
import { Panel, plainHeads, State, Table } from "./parts.js";
import { admin } from "./store.js";
import { A } from "./text.js";

function Row({ one }) {
  const t = A.leaving;
  const name = visible(one.workspace);
  const trashed = !!one.trashed_at;
  return html`<tr data-leaving=${one.workspace}>
    <td class="c-state"><${State} cls="cancelled" icon=${trashed ? "trash" : "queued"}>${
      trashed ? t.trashed : t.soon}<//></td>
    <td class="mono any" data-l=${t.heads[1]}>${name}</td>
    <td class="num" data-l=${t.heads[2]}>${clock(ms(one.last_activity))}</td>
    <td class="num" data-l=${t.heads[3]}>${
      trashed ? t.gone(clock(ms(one.gone_at))) : t.toTrash(clock(ms(one.to_trash_at)))}</td>
    <td class="c-wide"><span class="row-acts">
      <a class="btn btn--quiet" href=${archiveUrl(one.workspace)} download aria-label=${t.downloadOf(name)}>${
        t.download}</a>
      ${trashed && html`<button class="btn btn--quiet" type="button" aria-label=${t.restoreOf(name)}
          onClick=${() => change(one.workspace, "restore")}>${t.restore}</button>
        <button class="btn btn--quiet" type="button" aria-label=${t.purgeOf(name)}
          onClick=${() => ask("purge", { session: one })}>${t.purge}</button>`}
    </span></td>
  </tr>`;
}

/** The panel; while nothing goes one sentence. */
export function Leaving() {
  const known = useStore((state) => state.leaving, admin);
  if (!known) return null;
  const t = A.leaving;
  return html`<${Panel} id="leaving" title=${t.title} fine=${t.fine(known.retention_days, known.trash_days)}>
    ${known.leaving.length
      ? html`<${Table} label=${t.table} heads=${plainHeads(t.heads)} actions=${t.actions}>${known.leaving.map(
          (one) => html`<${Row} key=${one.session_id} one=${one} />`)}<//>`
      : html`<p class="nothing">${t.none}</p>`}
  <//>`;
}
