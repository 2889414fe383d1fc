/**
 * The lines of a log in the document, put there by hand: comparing thousands of lines at every chunk would cost more
 * than the lines do. Everything becomes text nodes, nothing is ever parsed as HTML.
 */

import { T } from "./text.js";

const REBUILD_AT = 1500;

const element = (tag, className, text = "") => {
  const node = document.createElement(tag);
  if (className) node.className = className;
  if (text) node.textContent = text;
  return node;
};

// scrollIntoView would move the page as well.
function bringIntoSight(mark, scroller) {
  const at = mark.getBoundingClientRect();
  const box = scroller.getBoundingClientRect();
  if (at.top < box.top || at.bottom > box.bottom) scroller.scrollTop += at.top - box.top - box.height / 2;
  if (at.left < box.left || at.right > box.right) scroller.scrollLeft += at.left - box.left - box.width / 2;
}

const plain = (line) => line.spans.map((span) => span.text).join("");

export class LogView {
  /** @param {HTMLOListElement} list */
  constructor(list) {
    this.list = list;
    /** @type {Map<import("./loglines.js").Line, HTMLLIElement>} */
    this.items = new Map();
    this.query = "";
    /** @type {{line: import("./loglines.js").Line, start: number}[]} */
    this.hits = [];
    this.current = -1;
  }

  /**
   * @param {import("./loglines.js").LogLines} lines
   * @param {Set<import("./loglines.js").Line>} changed
   */
  update(lines, changed) {
    if (changed.size > REBUILD_AT) this.rebuild(lines);
    else {
      const oldest = lines.lines[0]?.seq ?? 0;
      const fresh = document.createDocumentFragment();
      for (const line of changed) {
        if (line.seq < oldest) continue;
        const item = this.draw(line);
        const known = this.items.get(line);
        this.items.set(line, item);
        if (known) known.replaceWith(item);
        else fresh.append(item);
      }
      this.list.append(fresh);
      for (const [line, item] of this.items) {
        if (line.seq >= oldest) break;
        item.remove();
        this.items.delete(line);
      }
    }
    if (!this.query) return;
    const had = this.current;
    this.find(lines);
    // Lines are drawn with their marks; only which one is the current can be new.
    if (had < 0 && this.current >= 0) this.redraw(this.hits[this.current].line);
  }

  rebuild(lines) {
    this.items = new Map(lines.lines.map((line) => [line, this.draw(line)]));
    this.list.replaceChildren(...this.items.values());
  }

  /** Marks every place of `query`; the place that was current stays so. @returns {number} how many there are */
  search(lines, query) {
    const touched = new Set(this.hits.map((hit) => hit.line));
    this.query = query.toLowerCase();
    this.find(lines);
    for (const hit of this.hits) touched.add(hit.line);
    for (const line of touched) this.redraw(line);
    return this.hits.length;
  }

  find(lines) {
    const before = this.hits[this.current];
    this.hits = [];
    if (this.query) {
      for (const line of lines.lines) {
        const text = plain(line).toLowerCase();
        for (let at = text.indexOf(this.query); at >= 0; at = text.indexOf(this.query, at + this.query.length)) {
          this.hits.push({ line, start: at });
        }
      }
    }
    const kept = before ? this.hits.findIndex((hit) => hit.line === before.line && hit.start === before.start) : -1;
    this.current = kept >= 0 ? kept : this.hits.length ? 0 : -1;
  }

  /** Goes to another hit and shows it. @param {number} step 1 or -1 */
  go(step) {
    if (!this.hits.length) return;
    const old = this.hits[this.current];
    this.current = (this.current + step + this.hits.length) % this.hits.length;
    this.redraw(old.line);
    this.show();
  }

  show() {
    const hit = this.hits[this.current];
    if (!hit) return;
    this.redraw(hit.line);
    const mark = this.items.get(hit.line)?.querySelector(".now");
    if (mark) bringIntoSight(mark, this.list.closest(".log"));
  }

  redraw(line) {
    const known = this.items.get(line);
    if (!known) return;
    const item = this.draw(line);
    this.items.set(line, item);
    known.replaceWith(item);
  }

  draw(line) {
    if (line.gap) return element("li", "note", line.gap);
    const item = element("li", line.err ? "err" : "");
    const number = element("span", "ln", String(line.n));
    number.setAttribute("aria-hidden", "true");
    const text = element("span", "tx");
    let at = 0;
    for (const span of line.spans) {
      const inner = span.cls ? element("span", span.cls) : text;
      if (span.cut) inner.textContent = T.log.cut(span.cut);
      else inner.append(...this.marked(line, span.text, at));
      if (inner !== text) text.append(inner);
      at += span.text.length;
    }
    item.append(number, element("span", "src", line.err ? T.log.err : ""), text);
    return item;
  }

  /** The parts of a span, with what was searched for in marks. A hit may begin in one span and end in another. */
  marked(line, text, offset) {
    if (!this.query) return [text];
    const whole = plain(line).toLowerCase();
    const parts = [];
    const length = this.query.length;
    let done = 0;
    for (let at = whole.indexOf(this.query); at >= 0; at = whole.indexOf(this.query, at + length)) {
      const from = Math.max(at - offset, 0);
      const to = Math.min(at + length - offset, text.length);
      if (to <= 0) continue;
      if (from >= text.length) break;
      if (from > done) parts.push(text.slice(done, from));
      const hit = this.hits[this.current];
      parts.push(element("mark", hit?.line === line && hit.start === at ? "now" : "", text.slice(from, to)));
      done = to;
    }
    if (done < text.length) parts.push(text.slice(done));
    return parts;
  }
}
