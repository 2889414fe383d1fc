/** The icons: one hidden sheet of symbols in the page, and `Icon` that shows one of them. */

import { html } from "../html.js";

/** All symbols; drawn once. */
export function IconSheet() {
  return html`<svg class="sheet" aria-hidden="true">
    <symbol id="i-cancelled" viewBox="0 0 16 16"><circle cx="8" cy="8" r="6"/><path d="m3.9 12.1 8.2-8.2"/></symbol>
    <symbol id="i-clip" viewBox="0 0 16 16"><path d="m13 7.5-5 5a3.2 3.2 0 0 1-4.5-4.5l5.3-5.3a2.1 2.1 0 0 1 3 3l-5.2 5.2a1 1 0 0 1-1.5-1.5L9.7 5"/></symbol>
    <symbol id="i-completed" viewBox="0 0 16 16"><circle cx="8" cy="8" r="6"/><path d="m5.25 8.25 1.9 1.9 3.6-4.1"/></symbol>
    <symbol id="i-copy" viewBox="0 0 16 16"><rect x="5.5" y="5.5" width="8" height="8" rx="1.25"/><path d="M10.5 5.5v-2a1 1 0 0 0-1-1h-6a1 1 0 0 0-1 1v6a1 1 0 0 0 1 1h2"/></symbol>
    <symbol id="i-csv" viewBox="0 0 16 16"><rect x="2.5" y="3" width="11" height="10" rx="1"/><path d="M2.5 6.25h11M2.5 9.5h11M6.5 6.25V13"/></symbol>
    <symbol id="i-dir" viewBox="0 0 16 16"><path d="M1.75 4.25c0-.6.4-1 1-1h3.1l1.4 1.5h6c.6 0 1 .4 1 1v6c0 .6-.4 1-1 1H2.75c-.6 0-1-.4-1-1z"/></symbol>
    <symbol id="i-dl" viewBox="0 0 16 16"><path d="M8 2.5v7m-3-2.75L8 9.75l3-3M2.75 13.25h10.5"/></symbol>
    <symbol id="i-down" viewBox="0 0 16 16"><path d="m4.5 6.25 3.5 3.5 3.5-3.5"/></symbol>
    <symbol id="i-failed" viewBox="0 0 16 16"><path d="M5.6 2h4.8L14 5.6v4.8L10.4 14H5.6L2 10.4V5.6z"/><path d="m6 6 4 4m0-4-4 4"/></symbol>
    <symbol id="i-file" viewBox="0 0 16 16"><path d="M3.5 2h5.75L12.5 5.25V14h-9z"/><path d="M9 2v3.5h3.5"/></symbol>
    <symbol id="i-first" viewBox="0 0 16 16"><path d="M3 2.75h10M8 13.5v-8M4.75 8.75 8 5.5l3.25 3.25"/></symbol>
    <symbol id="i-follow" viewBox="0 0 16 16"><path d="M3 2.75h10M8 5.5v8M4.75 10.25 8 13.5l3.25-3.25"/></symbol>
    <symbol id="i-img" viewBox="0 0 16 16"><rect x="2.5" y="3" width="11" height="10" rx="1"/><path d="m2.5 11 3.25-3 2.5 2.25L10.5 8l3 3"/><circle cx="6" cy="5.9" r=".6"/></symbol>
    <symbol id="i-key" viewBox="0 0 16 16"><circle cx="5" cy="8" r="2.75"/><path d="M7.75 8h6v2.5M11 8v2"/></symbol>
    <symbol id="i-laptop" viewBox="0 0 16 16"><rect x="3" y="3.25" width="10" height="7" rx="1"/><path d="M1.5 12.75h13"/></symbol>
    <symbol id="i-left" viewBox="0 0 16 16"><path d="M9.75 4.5 6.25 8l3.5 3.5"/></symbol>
    <symbol id="i-live" viewBox="0 0 16 16"><circle cx="8" cy="8" r="2.25" fill="currentColor" stroke="none"/><path d="M4.1 11.9a5.5 5.5 0 0 1 0-7.8m7.8 0a5.5 5.5 0 0 1 0 7.8"/></symbol>
    <symbol id="i-lock" viewBox="0 0 16 16"><rect x="3.5" y="7" width="9" height="6.5" rx="1"/><path d="M5.5 7V5a2.5 2.5 0 0 1 5 0v2"/></symbol>
    <symbol id="i-moon" viewBox="0 0 16 16"><path d="M13.5 9.6A5.75 5.75 0 0 1 6.4 2.5a5.75 5.75 0 1 0 7.1 7.1z"/></symbol>
    <symbol id="i-offline" viewBox="0 0 16 16"><path d="m2.5 2.5 11 11M5 8.9a4.5 4.5 0 0 1 2.2-1.2m3.6 1.1.3.2M2.7 6.4a8 8 0 0 1 2-1.3m3-.8a8 8 0 0 1 5.6 2.1"/><circle cx="8" cy="12" r="1" fill="currentColor" stroke="none"/></symbol>
    <symbol id="i-pen" viewBox="0 0 16 16"><path d="M10.75 2.75 13.25 5.25 5.5 13H3v-2.5z"/><path d="m9 4.5 2.5 2.5"/></symbol>
    <symbol id="i-play" viewBox="0 0 16 16"><path d="M5 3.25v9.5L12.5 8z"/></symbol>
    <symbol id="i-python" viewBox="0 0 16 16"><path d="M6 2.5H4.5A1.5 1.5 0 0 0 3 4v2.2c0 .9-.5 1.5-1.2 1.8.7.3 1.2.9 1.2 1.8V12a1.5 1.5 0 0 0 1.5 1.5H6m4-11h1.5A1.5 1.5 0 0 1 13 4v2.2c0 .9.5 1.5 1.2 1.8-.7.3-1.2.9-1.2 1.8V12a1.5 1.5 0 0 1-1.5 1.5H10"/></symbol>
    <symbol id="i-qr" viewBox="0 0 16 16"><path d="M2.5 2.5h4v4h-4zm7 0h4v4h-4zm-7 7h4v4h-4z"/><path d="M9.5 9.5h1.5v1.5m2.5-1.5v4h-2m-2 0h0"/></symbol>
    <symbol id="i-queued" viewBox="0 0 16 16"><circle cx="8" cy="8" r="6"/><path d="M8 4.75V8l2.25 1.5"/></symbol>
    <symbol id="i-retry" viewBox="0 0 16 16"><path d="M13.5 8A5.5 5.5 0 1 1 11.6 3.8"/><path d="M13.5 2v3h-3"/></symbol>
    <symbol id="i-right" viewBox="0 0 16 16"><path d="m6.25 4.5 3.5 3.5-3.5 3.5"/></symbol>
    <symbol id="i-running" viewBox="0 0 16 16"><circle cx="8" cy="8" r="6" stroke-opacity=".28"/><path d="M8 2a6 6 0 0 1 6 6"/><circle cx="8" cy="8" r="1.75" fill="currentColor" stroke="none"/></symbol>
    <symbol id="i-search" viewBox="0 0 16 16"><circle cx="7" cy="7" r="4.25"/><path d="m10.25 10.25 3.25 3.25"/></symbol>
    <symbol id="i-shell" viewBox="0 0 16 16"><path d="m3 4.5 3.5 3.5L3 11.5M8 12h5"/></symbol>
    <symbol id="i-shield" viewBox="0 0 16 16"><path d="M8 1.75 13 3.5v4c0 3.2-2 5.6-5 6.75-3-1.15-5-3.55-5-6.75v-4z"/></symbol>
    <symbol id="i-stop" viewBox="0 0 16 16"><rect x="4" y="4" width="8" height="8" rx="1"/></symbol>
    <symbol id="i-swap" viewBox="0 0 16 16"><path d="M2.75 5.5h10.5m-2.75-3 2.75 3-2.75 3M13.25 11H2.75m2.75-3-2.75 3 2.75 3"/></symbol>
    <symbol id="i-swarm" viewBox="0 0 16 16"><rect x="2.25" y="2.25" width="4.75" height="4.75" rx="1"/><rect x="9" y="2.25" width="4.75" height="4.75" rx="1"/><rect x="2.25" y="9" width="4.75" height="4.75" rx="1"/><rect x="9" y="9" width="4.75" height="4.75" rx="1"/></symbol>
    <symbol id="i-tasks" viewBox="0 0 16 16"><path d="M6.5 4h7m-7 4h7m-7 4h7"/><path d="m2 4 .8.8L4.4 3M2 8l.8.8L4.4 7M2 12l.8.8 1.6-1.8"/></symbol>
    <symbol id="i-trash" viewBox="0 0 16 16"><path d="M2.75 4.5h10.5M6.25 4.5v-2h3.5v2m-5.5 0 .6 9h6.3l.6-9M6.75 7v4m2.5-4v4"/></symbol>
    <symbol id="i-tune" viewBox="0 0 16 16"><path d="M2.5 5h5m4 0h2m-11 6h2m4 0h5"/><circle cx="9.5" cy="5" r="1.75"/><circle cx="6.5" cy="11" r="1.75"/></symbol>
    <symbol id="i-ul" viewBox="0 0 16 16"><path d="M8 10V2.75M5 5.5l3-3 3 3M2.75 13.25h10.5"/></symbol>
    <symbol id="i-up" viewBox="0 0 16 16"><path d="m4.5 9.75 3.5-3.5 3.5 3.5"/></symbol>
    <symbol id="i-warn" viewBox="0 0 16 16"><path d="M8 2.25 14.25 13H1.75z"/><path d="M8 6.5v3"/><circle cx="8" cy="11.25" r=".5" fill="currentColor"/></symbol>
    <symbol id="i-wrap" viewBox="0 0 16 16"><path d="M2.5 4h11M2.5 8h9a2.25 2.25 0 0 1 0 4.5H8m1.75-1.75L8 12.5l1.75 1.75M2.5 12.5h2"/></symbol>
    <symbol id="i-x" viewBox="0 0 16 16"><path d="m4 4 8 8m0-8-8 8"/></symbol>
    <symbol id="i-unpack" viewBox="0 0 16 16"><path d="M2.5 6.5v7h11v-7M2.5 6.5h3m8 0h-3M8 10V2.5M5.5 5 8 2.5 10.5 5"/></symbol>
    <symbol id="i-pause" viewBox="0 0 16 16"><path d="M5.5 3.5v9m5-9v9"/></symbol>
    <symbol id="i-more" viewBox="0 0 16 16"><g fill="currentColor" stroke="none"><circle cx="3.25" cy="8" r="1.25"/><circle cx="8" cy="8" r="1.25"/><circle cx="12.75" cy="8" r="1.25"/></g></symbol>
    <symbol id="i-newdir" viewBox="0 0 16 16"><path d="M1.75 4.25c0-.6.4-1 1-1h3.1l1.4 1.5h6c.6 0 1 .4 1 1v6c0 .6-.4 1-1 1H2.75c-.6 0-1-.4-1-1zM8 6.75v4m-2-2h4"/></symbol>
    <symbol id="i-sort" viewBox="0 0 16 16"><path d="M4.5 3v10m-2.25-2.25L4.5 13l2.25-2.25M8.5 4h5.25M8.5 7.5h3.75M8.5 11h2.25"/></symbol>
    <symbol id="i-undo" viewBox="0 0 16 16"><path d="M5.75 3 2.75 6l3 3M3 6h6.5a3.5 3.5 0 0 1 0 7H6"/></symbol>
    <symbol id="i-idle" viewBox="0 0 16 16"><circle cx="8" cy="8" r="6"/><path d="M5.5 8h5"/></symbol>
    <symbol id="i-zip" viewBox="0 0 16 16"><path d="M3.5 2h6L12.5 5v9h-9z"/><path d="M6.5 2v1.5H8V5H6.5v1.5H8V8M6.5 9.5h1.75v2H6.5z"/></symbol>
  </svg>`;
}

/** @param {{name: string, spin?: boolean}} props a picture only: the words stand beside it */
export function Icon({ name, spin = false }) {
  return html`<svg class=${spin ? "i spin" : "i"} viewBox="0 0 16 16" aria-hidden="true"><use href=${`#i-${name}`} /></svg>`;
}

/** The product's mark. */
export function Brand() {
  return html`<svg viewBox="0 0 18 18" aria-hidden="true">
    <rect x="1" y="1" width="7" height="7" rx="1.5" fill="currentColor" />
    <g fill="none" stroke="currentColor" stroke-width="1.5">
      <rect x="10.75" y="1.75" width="5.5" height="5.5" rx=".9" />
      <rect x="1.75" y="10.75" width="5.5" height="5.5" rx=".9" />
      <rect x="10.75" y="10.75" width="5.5" height="5.5" rx=".9" />
    </g>
  </svg>`;
}

const BY_ENDING = {
  csv: "csv", tsv: "csv", xlsx: "csv", parquet: "csv",
  png: "img", jpg: "img", jpeg: "img", gif: "img", webp: "img", avif: "img", svg: "img", bmp: "img",
  py: "python", ipynb: "python", sh: "shell", zip: "zip", gz: "zip", tar: "zip", xz: "zip", bz2: "zip", "7z": "zip",
};

/** @param {string} name of a file @returns {string} the icon for its kind */
export function iconFor(name) {
  return BY_ENDING[/\.([0-9a-z]+)$/i.exec(name)?.[1].toLowerCase()] ?? "file";
}

const RUNNERS = { shell: "shell", python: "python", swarm: "swarm" };

/** @param {string} runner @returns {string} its icon */
export function iconForRunner(runner) {
  return RUNNERS[runner] ?? "play";
}
