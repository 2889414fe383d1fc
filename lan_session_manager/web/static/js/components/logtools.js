/** The bar over the log: search, follow, wrap, download. */

import { html, useState } from "../html.js";
import { T } from "../text.js";
import { Icon } from "./icons.js";

/**
 * @param {{search: import("../logsearch.js").LogSearch | null, onSearch: (query: string) => void,
 *   onStep: (step: number) => void, onLine: (n: number) => void, following: boolean, ended: boolean, lost: boolean, follow: (on: boolean) => void,
 *   wrap: boolean, setWrap: (on: boolean) => void, download: string | null, name: string}} props
 */
export function LogTools({ search, onSearch, onStep, onLine, following, ended, lost, follow, wrap, setWrap, download, name }) {
  const [typed, setTyped] = useState(""); // ":120", which is a line and not looked for
  const query = typed || (search?.query ?? "");
  const onInput = (event) => {
    const text = event.target.value;
    const isLine = /^:\d*$/.test(text);
    setTyped(isLine ? text : "");
    if (!isLine) onSearch(text);
    else if (search.query) onSearch("");
  };
  const onKeyDown = (event) => {
    if (event.key === "Escape" && query) {
      event.stopPropagation();
      setTyped("");
      onSearch("");
    } else if (event.key === "Enter" && typed) {
      event.preventDefault();
      if (Number(typed.slice(1))) onLine(Number(typed.slice(1)));
    } else if (event.key === "Enter" && query) {
      event.preventDefault();
      onStep(event.shiftKey ? -1 : 1);
    }
  };
  const open = search !== null && (search.searching || search.more);
  const hits = typed ? T.log.lineHint : query ? search.error || T.log.hits(search.current + 1, search.hits.length, open) : "";
  return html`<div class="toolbar">
    <label class="search"><${Icon} name="search" /><span class="sr">${T.log.search}</span>
      <input type="search" placeholder=${T.log.placeholder} value=${query} disabled=${lost || search === null}
        title=${T.log.search} onInput=${onInput} onKeyDown=${onKeyDown} autocomplete="off"
        spellcheck="false" />
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
