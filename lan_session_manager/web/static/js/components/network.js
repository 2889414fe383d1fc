/** What goes on in the network: counts, never whose. */

import { ms } from "../format.js";
import { html, memo, useMemo } from "../html.js";
import { T } from "../text.js";
import { useStore } from "../use-store.js";
import { Chart } from "./chart.js";
import { StaleTag } from "./state.js";

/** @param {any} network `network_activity` @returns {string} */
function networkSentence(network) {
  const { other_users: users, other_tasks: tasks, background_tasks: background } = network;
  if (users > 0) return T.network.users(users) + T.network.tasks(tasks);
  if (background > 0) return T.network.onlyYou + T.network.background(background);
  return tasks > 0 ? T.network.nobody(tasks) : T.network.onlyYou;
}

/** The second section of the rail. */
export const Network = memo(() => {
  const network = useStore((state) => state.dash.network_activity);
  const { lost, now } = useStore((state) => ({ lost: state.connection.lost, now: state.lastData + state.skew }));
  const points = useMemo(() => network.history.map(([at, n]) => [ms(at), n]), [network.history]);
  // The history has a point a minute; the line ends with what is so now.
  const all = [...points, [Math.max(now, points[points.length - 1]?.[0] ?? 0), network.total_running]];
  return html`<section id="pane-network" class=${lost ? "is-stale" : ""} aria-labelledby="h-net">
    <div class="sec-head"><h2 id="h-net">${T.network.title}</h2><span class="grow"></span><${StaleTag} /></div>
    <p class="say">${networkSentence(network)}</p>
    <${Chart} points=${all} now=${all[all.length - 1][0]} capacity=${network.capacity} />
    <p class="fine">${T.network.fine}</p>
  </section>`;
});
