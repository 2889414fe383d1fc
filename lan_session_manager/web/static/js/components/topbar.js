/** The bar at the top: product, state of the swarm, who this device is, connection, theme, joining. */

import { devices } from "../device.js";
import { shortSession } from "../format.js";
import { healthOf } from "../health.js";
import { html } from "../html.js";
import { T } from "../text.js";
import { toggleTheme } from "../theme.js";
import { useStore } from "../use-store.js";
import { DeviceMenu } from "./device.js";
import { Brand, Icon } from "./icons.js";
import { Join } from "./join.js";

const CONNECTIONS = {
  connecting: ["state--cancelled", "retry"],
  live: ["state--completed", "live"],
  reconnecting: ["state--queued", "retry"],
  polling: ["state--cancelled", "queued"],
  ended: ["state--cancelled", "queued"],
};

function Health() {
  const swarm = useStore((state) => state.dash.swarm_health);
  const lostSince = useStore((state) => (state.connection.lost ? state.lastData : 0));
  const { icon, cls, short, rest } = healthOf(swarm, lostSince);
  return html`<span class=${`health ${cls}`}><${Icon} name=${icon} /><span>${short}
    <span class="w2">${rest}</span></span></span>`;
}

function ConnectionPill() {
  const state = useStore((all) => all.connection.state);
  const [cls, icon] = CONNECTIONS[state];
  const [word, title] = T.connection[state];
  const moves = state === "reconnecting" || state === "connecting";
  return html`<span class=${`state pill ${cls}`} role="status" title=${title} data-connection=${state}>
    <${Icon} name=${icon} spin=${moves} />${word}</span>`;
}

/** @param {{ready: boolean, heading?: boolean}} props is there a dashboard, and does the page need a heading? */
export function Topbar({ ready, heading = false }) {
  return html`<header class="topbar">
    <a class="brand" href="/"><${Brand} /><span>${T.product}</span></a>
    ${heading && html`<h1 class="sr">${T.page.heading}</h1>`}
    ${ready && html`<span class="vr"></span><${Health} />`}
    <div class="topbar-end">
      ${ready && html`<${DeviceMenu} /><span class="vr"></span><${ConnectionPill} />`}
      <button class="ib ib--lg phone-hide" type="button" onClick=${toggleTheme} aria-label=${T.page.theme}
        title=${T.page.theme}><${Icon} name="moon" /></button>
      ${ready && html`<${Join} />`}
    </div>
  </header>`;
}

/** The identity and the swarm's state on a phone. */
export function IdLine() {
  const shared = useStore((state) => Boolean(state.facts?.is_shared), devices);
  const ip = useStore((state) => state.ip);
  const id = useStore((state) => state.dash.session.session_id);
  const swarm = useStore((state) => state.dash.swarm_health);
  const lostSince = useStore((state) => (state.connection.lost ? state.lastData : 0));
  const { icon, cls, short } = healthOf(swarm, lostSince);
  return html`<section class="idline phone-only" aria-label=${T.page.identity}>
    <a class="trunc" href="#device"><span class="sr">${T.device.thisOne}: </span>
      <span class="mono strong">${ip}</span>${T.dot}<span class="mono">${shortSession(id)}</span>${shared && html`<span
        class="sr">, ${T.device.sharedTag}</span>`}<${Icon} name="down" /></a>
    <span class=${`state ${cls}`}><${Icon} name=${icon} />${short}</span>
  </section>`;
}
