/** What the sections of the admin page are made of. */

import { Icon } from "../components/icons.js";
import { html } from "../html.js";
import { useStore } from "../use-store.js";
import { admin } from "./store.js";
import { A } from "./text.js";

const HOT = 0.9;

/** A state: its icon and its word. */
export const State = ({ cls, icon, spin, children }) =>
  html`<span class=${`state state--${cls}`}><${Icon} name=${icon} spin=${spin} />${children}</span>`;

/** @param {{part: number, title?: string, children: unknown}} props `part` of what is allowed; 90 % and more is told */
export function Bar({ part, title, children }) {
  const hot = part >= HOT;
  const width = Math.max(0, Math.min(100, part * 100));
  return html`<span class="cellbar" title=${title}><span class=${hot ? "bar bar--hot" : "bar"}><svg viewBox="0 0 100 1"
      preserveAspectRatio="none" aria-hidden="true"><rect width=${width} height="1" /></svg></span>
    <span class=${hot ? "num hot" : "num"}>${children}${
      hot && html` <span title=${A.sessions.close}><${Icon} name="warn" /><span class="sr">${A.sessions.close}</span></span>`
    }</span></span>`;
}

/** A region of the page with a heading. `head`: what stands beside it. */
export function Panel({ id, title, fine, head, children }) {
  return html`<section class="panel" id=${`panel-${id}`} aria-labelledby=${`h-${id}`}>
    <div class="panel-head"><h2 id=${`h-${id}`}>${title}</h2>${fine && html`<span class="fine">${fine}</span>`}
      <span class="grow"></span>${head}</div>${children}</section>`;
}

/** A table that scrolls sideways where it has to, and is cards on a phone. `heads`: cells of its head. */
export function Table({ label, name, heads, actions, children }) {
  return html`<div class="xscroll" tabindex="0" role="region" aria-label=${label}><table class=${`cards ${name ?? ""}`}>
    <thead><tr>${heads}${actions && html`<th scope="col"><span class="sr">${actions}</span></th>`}</tr></thead>
    <tbody>${children}</tbody></table></div>`;
}

/** @param {string[]} words @returns the cells of a head that cannot be sorted by */
export const plainHeads = (words) => words.map((word) => html`<th key=${word} scope="col">${word}</th>`);

/** One of a few: buttons that are pressed. */
export function Choice({ label, words, value, counts, onChoose }) {
  return html`<span class="segs" role="group" aria-label=${label}>${Object.entries(words).map(
    ([name, word]) => html`<button key=${name} type="button" aria-pressed=${value === name}
      onClick=${() => onChoose(name)}>${word}${counts && html` <span class="dim num">${counts[name]}</span>`}</button>`,
  )}</span>`;
}

/** A field that filters what stands below it. */
export function Find({ label, hint, value, onInput }) {
  return html`<label class="search"><${Icon} name="search" /><span class="sr">${label}</span><input type="search"
    placeholder=${hint} value=${value} onInput=${(event) => onInput(event.target.value)} /></label>`;
}

/** What stands in a panel of which nothing has come yet. */
export const Reading = () => html`<p class="nothing" aria-busy="true">${A.reading}</p>`;

/** A button below a list of which there is more. */
export const Older = ({ onClick }) =>
  html`<div class="panel-foot"><button class="btn" type="button" onClick=${onClick}>${A.older}</button></div>`;

/** The last thing that did not succeed. */
export function Problem() {
  const problem = useStore((state) => state.problem, admin);
  return problem && html`<p class="problem" role="alert"><${Icon} name="warn" /><span>${problem}</span></p>`;
}

/** The heading of a section. `children`: what stands at its end. */
export const Head = ({ title, sub, children }) => html`<div class="admin-head"><div><h1>${title}</h1>
  <p class="sub">${sub}</p></div>${children}</div>`;
