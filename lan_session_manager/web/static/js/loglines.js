/** A task's log as lines: chunks of both streams in, at most MAX_LINES lines kept. */

import { PLAIN, parseLine } from "./ansi.js";
import { T } from "./text.js";

const MAX_LINES = 5000;
const TRIM_AT = MAX_LINES + 500;
// A line without an end, such as a progress bar that never writes one, may not grow for ever.
const MAX_RAW = 65536;
const MAX_SHOWN = 4000;

/**
 * @typedef {object} Line
 * @property {number} n its number, from 1
 * @property {boolean} err whether it came from stderr
 * @property {string} raw
 * @property {import("./ansi.js").Span[]} spans
 * @property {boolean} open whether more of it may come
 * @property {import("./ansi.js").Style} style at its start
 * @property {string} gap what is said where this stands in place of missing bytes; "" for a real line
 * @property {number} seq its place among all lines and notes ever
 */

export class LogLines {
  constructor() {
    /** @type {Line[]} */
    this.lines = [];
    this.total = 0; // lines ever
    this.seq = 0;
    this.errors = 0;
    this.dropped = 0; // lines that were left out at the beginning
    this.next = 0; // the first byte that has not come yet
    /** @type {Record<string, Line | null>} */
    this.open = { stdout: null, stderr: null };
    this.styles = { stdout: PLAIN, stderr: PLAIN };
  }

  /**
   * Takes in a piece of the log. A repeated piece changes nothing; a missing one leaves a note.
   * @param {{after: number, next: number, stream: string, text: string}} piece
   * @returns {Set<Line>} the lines that are new or longer now
   */
  add({ after, next, stream, text }) {
    const changed = new Set();
    if (next <= this.next && text) return changed;
    let fresh = text;
    if (after > this.next) this.note(T.log.gap(after - this.next), changed);
    else if (after < this.next) fresh = withoutBytes(text, this.next - after);
    this.next = Math.max(this.next, next);
    if (stream === "gap") {
      this.note(text.trim(), changed);
      return changed;
    }
    const name = stream === "stderr" ? "stderr" : "stdout";
    const parts = fresh.split("\n");
    parts.forEach((part, i) => {
      const isLast = i === parts.length - 1;
      if (isLast && !part) return;
      const line = this.open[name] ?? this.begin(name);
      line.raw = bounded(line.raw + part);
      const parsed = parseLine(line.raw, line.style);
      line.spans = shortened(parsed.spans);
      changed.add(line);
      if (isLast) return;
      line.open = false;
      this.open[name] = null;
      this.styles[name] = parsed.style;
    });
    if (this.lines.length > TRIM_AT) this.trim();
    return changed;
  }

  begin(name) {
    this.total += 1;
    const err = name === "stderr";
    if (err) this.errors += 1;
    const line = {
      n: this.total,
      err,
      raw: "",
      spans: [],
      open: true,
      style: this.styles[name],
      gap: "",
      seq: this.seq,
    };
    this.seq += 1;
    this.lines.push(line);
    this.open[name] = line;
    return line;
  }

  note(words, changed) {
    const line = { n: 0, err: false, raw: "", spans: [], open: false, style: PLAIN, gap: words, seq: this.seq };
    this.seq += 1;
    this.lines.push(line);
    for (const other of Object.values(this.open)) if (other) other.open = false;
    this.open = { stdout: null, stderr: null };
    changed.add(line);
  }

  trim() {
    const surplus = this.lines.length - MAX_LINES;
    this.lines.splice(0, surplus);
    this.dropped += surplus;
  }
}

function bounded(raw) {
  if (raw.length <= MAX_RAW) return raw;
  // What a carriage return has already overwritten is not seen any more.
  const kept = raw.slice(raw.lastIndexOf("\r", raw.length - 2) + 1);
  return kept.length > MAX_RAW ? kept.slice(0, MAX_RAW) : kept;
}

function shortened(spans) {
  let left = MAX_SHOWN;
  const result = [];
  let cut = 0;
  for (const span of spans) {
    if (left <= 0) cut += span.text.length;
    else if (span.text.length > left) {
      result.push({ ...span, text: span.text.slice(0, left) });
      cut += span.text.length - left;
      left = 0;
    } else {
      result.push(span);
      left -= span.text.length;
    }
  }
  if (cut) result.push({ text: "", cls: "cut", cut });
  return result;
}

function withoutBytes(text, bytes) {
  return new TextDecoder().decode(new TextEncoder().encode(text).slice(bytes));
}
