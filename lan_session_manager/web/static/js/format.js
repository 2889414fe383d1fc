/** Numbers, sizes, times and hostile names as people read them. Pure functions. */

import { locale } from "./language.js";

const pad = (n) => String(n).padStart(2, "0");
const NUMBER = new Intl.NumberFormat(locale, { maximumFractionDigits: 0 });
const TENTHS = new Intl.NumberFormat(locale, { maximumFractionDigits: 1 });
const DAY = new Intl.DateTimeFormat(locale, { day: "numeric", month: "short" });

/** @param {number} n @returns {string} with thousands separated: 12,904 */
export function count(n) {
  return NUMBER.format(n);
}

/** @param {number} n @returns {string} with one digit behind the point, where there is one: 1.5 */
export const tenths = (n) => TENTHS.format(n);

/**
 * A size with its unit, as long as it is useful: "312 B", "84 KB", "1.9 GB".
 * @param {number} bytes
 */
export function size(bytes) {
  if (!(bytes > 0)) return "0 B";
  const units = ["B", "KB", "MB", "GB", "TB"];
  let value = bytes;
  let unit = 0;
  while (value >= 999.5 && unit < units.length - 1) {
    value /= 1024;
    unit += 1;
  }
  const few = value < 9.95 && unit >= 2;
  return `${(few ? TENTHS : NUMBER).format(value)} ${units[unit]}`;
}

/** @param {number} mb megabytes @returns {string} as `size`, but nothing is "0 MB" */
export function sizeMb(mb) {
  return mb > 0 ? size(mb * 1024 * 1024) : "0 MB";
}

/**
 * A time of the server's in milliseconds.
 * @param {string | null | undefined} iso
 * @returns {number} NaN when there is none
 */
export function ms(iso) {
  // Not every browser takes microseconds.
  return iso ? Date.parse(iso.replace(/(\.\d{3})\d+/, "$1")) : NaN;
}

/** @param {number} at ms @returns {string} "14:06:31" in this device's time zone, with the day when it is not today */
export function clock(at) {
  if (Number.isNaN(at)) return "";
  const date = new Date(at);
  const time = `${pad(date.getHours())}:${pad(date.getMinutes())}:${pad(date.getSeconds())}`;
  if (date.toDateString() === new Date().toDateString()) return time;
  return `${DAY.format(date)}, ${time}`;
}

/** @param {number} seconds @returns {string} a stopwatch: "1:42", "1:02:07" */
export function stopwatch(seconds) {
  const s = Math.max(0, Math.floor(seconds));
  const hours = Math.floor(s / 3600);
  const minutes = Math.floor(s / 60) % 60;
  return hours ? `${hours}:${pad(minutes)}:${pad(s % 60)}` : `${minutes}:${pad(s % 60)}`;
}

/** @param {number} seconds @returns {string} how long something took: "0.4 s", "38 s", "2 min 5 s", "1 h 3 min" */
export function duration(seconds) {
  if (!(seconds > 0)) return "0 s";
  if (seconds < 0.95) return `${TENTHS.format(Math.max(0.1, seconds))} s`;
  const s = Math.round(seconds);
  if (s < 60) return `${s} s`;
  if (s < 3600) return s % 60 ? `${Math.floor(s / 60)} min ${s % 60} s` : `${s / 60} min`;
  const minutes = Math.round(s / 60);
  return minutes % 60 ? `${Math.floor(minutes / 60)} h ${minutes % 60} min` : `${minutes / 60} h`;
}

/** @param {number} n 0 to 100 @returns {string} */
export function percent(n) {
  return `${Math.round(n)} %`;
}

/** @param {number} number @returns {string} "007" */
export const padded = (number) => String(number).padStart(3, "0");

/**
 * @param {import("./types.js").Task} task
 * @returns {string} "task_007"; of one that an orchestrator reported, the id that it has there
 */
export function shortId(task) {
  return task.number === null ? visible(task.task_id) : `task_${padded(task.number)}`;
}

/** @param {string} sessionId @returns {string} its first six letters or digits */
export function shortSession(sessionId) {
  return sessionId.replace(/[^0-9a-z]/gi, "").slice(0, 6);
}

// What could hide, reorder or break the text around it: controls, line separators, zero-width and bidirectional marks.
const UNSEEN = /[\u0000-\u001f\u007f-\u009f\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u2069\ufeff\ufff9-\ufffb]/g;

const hex = (number, digits) => number.toString(16).toUpperCase().padStart(digits, "0");

// How the server shows the bytes of a file name that are no text.
const RAW_BYTE = /[\uef80-\uefff]/g;
const rawByte = (character) => `‹0x${hex(character.charCodeAt(0) - 0xef00, 2)}›`;

/** @param {string} character @returns {string} its code point: there are symbols for controls, but not in every font */
export const codePoint = (character) => `‹U+${hex(character.charCodeAt(0), 4)}›`;

/**
 * Text of strangers with everything invisible made visible: a newline in a file name reads "‹U+000A›".
 * @param {string} text
 */
export const visible = (text) => String(text).replace(UNSEEN, codePoint).replace(RAW_BYTE, rawByte);

/** @param {string} text of several lines @returns {string} the same, with line ends and tabs left as they are */
export const visibleText = (text) => text.replace(/[^\n\t]+/g, visible).replace(/\r(?=\n|$)/g, "");

/**
 * The one-line title of a task: a comment that opens the command ("# Sales by region"), else its first line.
 * @param {string} command
 */
export function titleOf(command) {
  const lines = command
    .split("\n")
    .map((line) => line.trim())
    .filter((line) => line && !line.startsWith("#!"));
  const first = lines[0] ?? "";
  const comment = /^#+\s*(\S.*)$/.exec(first);
  const title = comment && lines.length > 1 ? comment[1] : first;
  return title.length > 120 ? `${title.slice(0, 119)}…` : title;
}
