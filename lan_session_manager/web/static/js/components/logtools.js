/** The bar over the log: search, follow, wrap, download. */

import { html, useState } from "../html.js";
import { T } from "../text.js";
import { Icon } from "./icons.js";

/**
 * @param {{held: {current: {view: import("../logview.js").LogView, feed: any} | null}, total: number,
 *   following: boolean, ended: boolean, lost: boolean, follow: (on: boolean) => void, look: () => void, wrap: boolean,
 *   setWrap: (on: boolean) => void, download: string | null, name: string}} props
 *   `total`: the bar is drawn again when it grows, for the count of hits; `look`: the log may be scrolled elsewhere now
 */
export function LogTools({ held, following, ended, lost, follow, look, wrap, setWrap, download, name }) {
  const [query, setQuery] = useState("");
  const [, redraw] = useState(0);
  const view = held.current?.view;

  const search = (value) => {
    setQuery(value);
    if (!view) return;
    view.search(held.current.feed.lines, value);
    view.show();
    look();
  };
  const onKeyDown = (event) => {
    if (event.key === "Escape" && query) {
      event.stopPropagation();
      search("");
    } else if (event.key === "Enter" && view) {
      event.preventDefault();
      view.go(event.shiftKey ? -1 : 1);
      look();
      redraw((n) => n + 1);
    }
  };

  const hits = query && view ? T.log.hits(view.current + 1, view.hits.length) : "";
  return html`<div class="toolbar">
    <label class="search"><${Icon} name="search" /><span class="sr">${T.log.search}</span>
      <input type="search" placeholder=${T.log.placeholder} value=${query}
        onInput=${(event) => search(event.target.value)} onKeyDown=${onKeyDown} autocomplete="off" spellcheck="false" />
    </label>
    <span class="fine num hits" role="status">${hits}</span>
    <span class="grow phone-hide"></span>
    ${!ended && html`<button class=${following ? "btn" : "btn btn--quiet"} type="button" disabled=${lost}
      aria-pressed=${following} aria-label=${T.log.followName} onClick=${() => follow(!following)}>
        <${Icon} name="follow" /><span class="phone-hide">${T.log.follow}</span></button>`}
    <button class=${wrap ? "btn" : "btn btn--quiet"} type="button" aria-pressed=${wrap} aria-label=${T.log.wrapName}
      onClick=${() => setWrap(!wrap)}><${Icon} name="wrap" /><span class="phone-hide">${T.log.wrap}</span></button>
    ${download && lost && html`<button class="btn btn--quiet phone-hide" type="button" disabled>
      <${Icon} name="dl" />${T.log.download}</button>`}
    ${download && !lost && html`<a class="btn btn--quiet phone-hide" href=${download} download=${`${name}.log`}>
      <${Icon} name="dl" />${T.log.download}</a>`}
  </div>`;
}
