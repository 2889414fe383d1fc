/** A window over a task's log: at most MAX_LINES lines of it, grown at either end. Pure: nothing here touches the page. */

import { PLAIN, parseLine } from "./ansi.js";
import { T } from "./text.js";

const MAX_LINES = 4000;
const TRIM_AT = MAX_LINES + 1000;
// A line without an end, such as a progress bar that never writes one, may not grow for ever.
const MAX_RAW = 65536;
const MAX_SHOWN = 4000;
const NOTE = Object.freeze({ n: null, err: false, raw: "", passed: 0, updates: 0, spans: [], open: false, style: PLAIN });

const encoder = new TextEncoder();
const bytesOf = (text) => encoder.encode(text).length;

/**
 * @typedef {object} Line
 * @property {number | null} n its number in the whole log, from 1; null: not known, or no line
 * @property {boolean} err whether it came from stderr
 * @property {string} raw
 * @property {import("./ansi.js").Span[]} spans
 * @property {boolean} open whether more of it may come
 * @property {number} updates how often it was written anew from its start, as progress bars are
 * @property {import("./ansi.js").Style} style at its start
 * @property {string} gap what is said where this stands in place of missing bytes; "" for a real line
 * @property {number | null} after its first byte; null: not known
 * @property {number} near `after`, or where that is not known a byte shortly before it
 * @property {boolean} clean whether no other line is begun there, so that the window may begin with it
 *
 * @typedef {{after: number, next: number, number: number | null, stream: string, text: string, is_partial?: boolean}}
 *   ServerLine a line as the server gives it
 */

export class LogLines {
  constructor() {
    this.held = false; // whether somebody reads in it: then it does not move on with what is printed
    this.reset(0, 1);
  }

  /** Empties the window: it begins at that byte, in that line. @param {number} after @param {number | null} line */
  reset(after, line) {
    /** @type {Line[]} */
    this.lines = [];
    this.start = after; // the first byte of the window
    this.next = after; // the first byte behind it
    this.line = line; // the number of the next line to begin; null: not known
    this.atEnd = true; // whether what is printed from now on belongs behind it
    this.version = (this.version ?? 0) + 1; // another one: more has changed than lines at its end
    /** @type {Record<string, Line | null>} */
    this.open = { stdout: null, stderr: null };
    this.styles = { stdout: PLAIN, stderr: PLAIN };
  }

  /**
   * Takes in a piece that was printed behind the window. A repeated one changes nothing; a missing one leaves a note.
   * @param {{after: number, next: number, stream: string, text: string}} piece
   * @returns {Set<Line>} the lines that are new or longer now
   */
  add({ after, next, stream, text }) {
    const changed = new Set();
    if (next <= this.next && text) return changed;
    let fresh = text;
    if (after > this.next) this.note(T.log.gap(after - this.next), changed);
    else if (after < this.next) fresh = withoutBytes(text, this.next - after);
    const from = Math.max(after, this.next);
    this.next = Math.max(this.next, next);
    if (stream === "gap") {
      this.note(text.trim(), changed);
      return changed;
    }
    const name = stream === "stderr" ? "stderr" : "stdout";
    const parts = fresh.split("\n");
    const isExact = bytesOf(fresh) === next - from; // not where bytes that are no text were replaced
    let at = from;
    parts.forEach((part, i) => {
      const isLast = i === parts.length - 1;
      if (isLast && !part) return;
      const line = this.open[name] ?? this.begin(name, at, isExact || i === 0);
      if (isExact) at += bytesOf(part) + 1;
      const whole = line.raw + part;
      line.raw = bounded(whole);
      line.passed += rewrites(whole) - rewrites(line.raw);
      line.updates = line.passed + rewrites(line.raw);
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

  begin(name, near, isExact) {
    const after = isExact ? near : null;
    const line = {
      n: this.line,
      err: name === "stderr",
      raw: "",
      spans: [],
      passed: 0, // updates that are not in `raw` any more
      updates: 0,
      open: true,
      style: this.styles[name],
      gap: "",
      after,
      near,
      clean: after !== null && !this.open.stdout && !this.open.stderr,
    };
    if (this.line !== null) this.line += 1;
    this.lines.push(line);
    this.open[name] = line;
    return line;
  }

  note(words, changed) {
    const line = { ...NOTE, gap: words, after: null, near: this.next, clean: false };
    this.lines.push(line);
    for (const other of Object.values(this.open)) if (other) other.open = false;
    this.open = { stdout: null, stderr: null };
    this.line = null;
    changed.add(line);
  }

  /** Passes over what was printed up to there, to keep up: it is scrolled to. @param {number} next where it goes on */
  skip(next) {
    if (next <= this.next) return;
    if (this.held) this.atEnd = false;
    else this.reset(next, null);
  }

  /** @param {ServerLine[]} found what stands before the window */
  prepend(found) {
    if (!found.length) return;
    this.lines = [...fromServer(found), ...this.lines];
    this.start = found[0].after;
    this.version += 1;
    if (this.lines.length > TRIM_AT) this.trimEnd();
  }

  /** @param {ServerLine[]} found what stands behind the window @param {boolean} isEnd whether no more is there now */
  append(found, isEnd) {
    const fresh = fromServer(found);
    const last = found[found.length - 1];
    this.lines.push(...fresh);
    if (last) {
      this.next = last.next;
      const line = fresh[fresh.length - 1];
      if (last.is_partial && last.stream !== "gap") {
        line.open = true;
        this.open[line.err ? "stderr" : "stdout"] = line;
      }
      this.line = last.number === null ? null : last.number + 1;
    }
    this.atEnd = isEnd;
    this.version += 1;
    if (this.lines.length > TRIM_AT) this.trimStart();
  }

  trim() {
    if (this.held) this.trimEnd();
    else this.trimStart();
  }

  trimStart() {
    const surplus = this.lines.length - MAX_LINES;
    let from = surplus;
    while (from > 0 && !this.lines[from].clean) from -= 1;
    if (from <= 0) from = this.lines.findIndex((line, i) => i > surplus && line.clean);
    // Where every line is begun within another: bounded all the same, though not to the byte.
    if (from <= 0) from = surplus;
    this.start = this.lines[from].near;
    this.lines.splice(0, from);
  }

  trimEnd() {
    let to = MAX_LINES;
    while (to > 0 && !this.lines[to].clean) to -= 1;
    if (to <= 0) to = MAX_LINES;
    this.next = this.lines[to].near;
    this.line = this.lines[to].n;
    this.lines.length = to;
    this.open = { stdout: null, stderr: null };
    this.atEnd = false;
    this.version += 1;
  }
}

/** @param {ServerLine[]} found @returns {Line[]} */
function fromServer(found) {
  const styles = { stdout: PLAIN, stderr: PLAIN };
  return found.map(({ after, number, stream, text }) => {
    if (stream === "gap") {
      return { ...NOTE, gap: text.trim(), after, near: after, clean: true };
    }
    const name = stream === "stderr" ? "stderr" : "stdout";
    const raw = bounded(text.endsWith("\n") ? text.slice(0, -1) : text);
    const parsed = parseLine(raw, styles[name]);
    const style = styles[name];
    const spans = shortened(parsed.spans);
    styles[name] = parsed.style;
    const place = { after, near: after, clean: true };
    const updates = rewrites(raw);
    return { n: number, err: name === "stderr", raw, passed: 0, updates, spans, open: false, style, gap: "", ...place };
  });
}

const rewrites = (raw) => (raw.includes("\r") ? (raw.match(/\r(?=[^\r])/g)?.length ?? 0) : 0);

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
  return new TextDecoder().decode(encoder.encode(text).slice(bytes));
}
