/** A task's state, always as a shape and a word; and the mark for what is not live. */

import { clock } from "../format.js";
import { html } from "../html.js";
import { T } from "../text.js";
import { useStore } from "../use-store.js";
import { Icon } from "./icons.js";

/** @param {{status: import("../types.js").Status, lost: boolean, pill?: boolean}} props */
export function State({ status, lost, pill = false }) {
  const word = T.states[status] ?? status;
  const late = pill && lost && (status === "running" || status === "queued");
  return html`<span class=${`state state--${status}${pill ? " pill" : ""}`}>
    <${Icon} name=${T.states[status] ? status : "queued"}
      spin=${status === "running" && !lost} />${late ? T.whenLastSeen(word) : word}
  </span>`;
}

/** "As of 14:06:31" while the server cannot be reached; else nothing. */
export function StaleTag() {
  const at = useStore((state) => (state.connection.lost ? state.lastData : 0));
  if (!at) return null;
  return html`<span class="stale-tag"><${Icon} name="warn" />${T.asOf(clock(at))}</span>`;
}
