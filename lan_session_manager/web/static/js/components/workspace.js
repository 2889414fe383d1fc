/** The workspace: how full it is, its files, and the way in for more. */

import { refresh } from "../files.js";
import { sizeMb } from "../format.js";
import { html, useEffect } from "../html.js";
import { T } from "../text.js";
import { useStore } from "../use-store.js";
import { DropZone } from "./dropzone.js";
import { Icon } from "./icons.js";
import { StaleTag } from "./state.js";
import { Tree } from "./tree.js";

const NEARLY_FULL = 0.9;

const share = (mb, quota) => `${Math.min(100, (mb / quota) * 100)}%`;

function Usage() {
  const usage = useStore((state) => state.dash.workspace_usage);
  const quota = useStore((state) => state.dash.permissions.workspace_quota_mb);
  const parts = [
    ["k1", T.workspace.inputs, usage.inputs_mb],
    ["k2", T.workspace.outputs, usage.outputs_mb],
    ["k3", T.workspace.temp, usage.temp_mb],
  ];
  const full = usage.size_mb >= quota * NEARLY_FULL;
  return html`<div class="use">
    <div class="fine use-sum"><b class="strong">${sizeMb(usage.size_mb)}</b>${T.workspace.used(sizeMb(quota))}</div>
    <div class=${`use-bar${full ? " use-bar--full" : ""}`} role="img"
      aria-label=${T.workspace.usedName(sizeMb(usage.size_mb), sizeMb(quota))}>
      ${parts.map(([cls, , mb]) => mb > 0 && html`<i class=${cls} style=${{ width: share(mb, quota) }}></i>`)}
    </div>
    ${full && html`<p class="use-full"><${Icon} name="warn" />${T.workspace.full}</p>`}
    <div class="use-key">
      ${usage.file_count
        ? parts.map(([cls, word, mb]) => html`<span><i class=${cls}></i>${word} ${sizeMb(mb)}</span>`)
        : html`<span>${T.workspace.all}</span>`}
    </div>
  </div>`;
}

/** The first section of the rail. */
export function Workspace() {
  const name = useStore((state) => state.dash.session.workspace);
  const lost = useStore((state) => state.connection.lost);
  const version = useStore((state) => state.filesVersion);
  useEffect(refresh, [version]);
  return html`<section id="pane-files" class=${lost ? "is-stale" : ""} aria-labelledby="h-files">
    <div class="sec-head">
      <h2 id="h-files">${T.workspace.title}</h2><span class="grow"></span>
      ${lost ? html`<${StaleTag} />` : html`<span class="fine mono trunc">${name}</span>`}
    </div>
    <${Usage} />
    <${Tree} lost=${lost} />
    <${DropZone} lost=${lost} />
  </section>`;
}
