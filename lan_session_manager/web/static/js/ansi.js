/**
 * Lines with escape codes, as spans of plain text with class names. Colours and bold are kept; every other code is
 * dropped, and what could mislead the eye is made visible. Pure functions: nothing here touches the document.
 *
 * @typedef {{fg: string, bold: boolean, dim: boolean}} Style
 * @typedef {{text: string, cls: string}} Span
 */

import { codePoint } from "./format.js";

/** @type {Style} */
export const PLAIN = Object.freeze({ fg: "", bold: false, dim: false });

const COLOURS = ["", "r", "g", "y", "bl", "m", "c", ""];

// In this order: operating system commands and other strings up to their end, CSI sequences, escapes of two or three
// characters, one-byte CSI. The last alternative takes a sequence that the chunk has cut off.
const ESCAPES = new RegExp(
  [
    /\u001b[\]PX^_][^\u0007\u001b]*(?:\u0007|\u001b\\|$)/,
    /(?:\u001b\[|\u009b)([0-9:;<=>?]*)[ -/]*([@-~]|$)/,
    /\u001b[ -/]*(?:[0-~]|$)/,
  ]
    .map((part) => part.source)
    .join("|"),
  "g",
);

// The cube of 256 colours, and 24-bit colours, come down to the nearest of the six hues that both themes have in AA.
function hueOf(r, g, b) {
  const high = Math.max(r, g, b);
  const low = Math.min(r, g, b);
  if (high - low < 48) return high < 160 && high > 40 ? "d" : "";
  const middle = (high + low) / 2;
  return (
    { 4: "r", 2: "g", 1: "bl", 6: "y", 5: "m", 3: "c" }[
      (r > middle ? 4 : 0) + (g > middle ? 2 : 0) + (b > middle ? 1 : 0)
    ] ?? ""
  );
}

function fromPalette(n) {
  if (n < 16) return COLOURS[n % 8];
  if (n >= 232) return n > 238 && n < 248 ? "d" : "";
  const level = (v) => (v ? 55 + v * 40 : 0);
  return hueOf(level(Math.floor((n - 16) / 36)), level(Math.floor((n - 16) / 6) % 6), level((n - 16) % 6));
}

/** @param {string} parameters of an SGR sequence @param {Style} style @returns {Style} */
function select(parameters, style) {
  const codes = parameters.split(/[;:]/).map((part) => Number(part || 0));
  let next = { ...style };
  for (let i = 0; i < codes.length; i += 1) {
    const code = codes[i];
    if (code === 0) next = { ...PLAIN };
    else if (code === 1) next.bold = true;
    else if (code === 2) next.dim = true;
    else if (code === 22) next.bold = next.dim = false;
    else if (code === 90) next.fg = "d";
    else if ((code >= 30 && code <= 37) || (code >= 91 && code <= 97)) next.fg = COLOURS[code % 10];
    else if (code === 39) next.fg = "";
    else if (code === 38 || code === 48) {
      const foreground = code === 38;
      if (codes[i + 1] === 5) {
        if (foreground) next.fg = fromPalette(codes[i + 2] ?? 0);
        i += 2;
      } else if (codes[i + 1] === 2) {
        if (foreground) next.fg = hueOf(codes[i + 2] ?? 0, codes[i + 3] ?? 0, codes[i + 4] ?? 0);
        i += 4;
      }
    }
  }
  return next;
}

const className = ({ fg, bold, dim }) => [bold && "b", fg || (dim && "d")].filter(Boolean).join(" ");

// Invisible and bidirectional marks; tabs stay, joiners stay because emoji are made with them.
const UNSEEN = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u2069\ufeff]/g;

/**
 * One line, without its newline. A carriage return starts the line again, as progress bars mean it; a backspace takes a
 * character back.
 * @param {string} raw
 * @param {Style} style at the start of the line
 * @returns {{spans: Span[], style: Style}} and the style that the next line starts with
 */
export function parseLine(raw, style = PLAIN) {
  let spans = [];
  let now = style;
  const add = (text) => {
    if (!text) return;
    const cls = className(now);
    const last = spans[spans.length - 1];
    if (last && last.cls === cls) last.text += text;
    else spans.push({ text, cls });
  };
  const write = (text) => {
    for (const part of text.split(/([\r\b])/)) {
      if (part === "\r") spans = [];
      else if (part === "\b") {
        const last = spans[spans.length - 1];
        if (last) last.text = last.text.slice(0, -1);
        if (last && !last.text) spans.pop();
      } else add(part);
    }
  };
  // The carriage return of "\r\n", or one whose next text has not come yet, clears nothing.
  const line = raw.replace(/\r+$/, "");
  let at = 0;
  for (const match of line.matchAll(ESCAPES)) {
    write(line.slice(at, match.index));
    at = match.index + match[0].length;
    if (match[2] === "m" && !/[<=>?]/.test(match[1])) now = select(match[1], now);
  }
  write(line.slice(at));
  for (const span of spans) span.text = span.text.replace(UNSEEN, codePoint);
  return { spans, style: now };
}
