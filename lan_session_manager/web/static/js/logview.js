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
    this.version = 0;
    this.query = "";
    /** @type {import("./logsearch.js").Hit | null} */
    this.hit = null;
    this.aimed = 0; // the number of the line that somebody points at
  }

  /**
   * @param {import("./loglines.js").LogLines} lines
   * @param {Set<import("./loglines.js").Line>} changed
   */
  update(lines, changed) {
    if (lines.version !== this.version || changed.size > REBUILD_AT) {
      this.version = lines.version;
      this.rebuild(lines);
      return;
    }
    const fresh = document.createDocumentFragment();
    for (const line of changed) {
      const item = this.draw(line);
      const known = this.items.get(line);
      this.items.set(line, item);
      if (known) known.replaceWith(item);
      else fresh.append(item);
    }
    this.list.append(fresh);
    const oldest = lines.lines[0];
    for (const [line, item] of this.items) {
      if (line === oldest) break;
      item.remove();
      this.items.delete(line);
    }
  }

  /** Draws all lines anew; the line at the top of the sight stays where it is. */
  rebuild(lines) {
    const scroller = this.list.closest(".log");
    const top = scroller.getBoundingClientRect().top;
    let kept = null;
    for (const [line, item] of this.items) {
      const at = item.getBoundingClientRect();
      if (at.bottom > top) {
        kept = { line, offset: at.top - top };
        break;
      }
    }
    this.items = new Map(lines.lines.map((line) => [line, this.draw(line)]));
    this.list.replaceChildren(...this.items.values());
    const item = kept && this.items.get(kept.line);
    if (item) scroller.scrollTop += item.getBoundingClientRect().top - top - kept.offset;
  }

  /** Marks every place of a query, and one of them as the current. @returns {boolean} whether its line is here */
  mark(query, hit) {
    const known = query.toLowerCase() === this.query;
    this.query = query.toLowerCase();
    const before = this.hit;
    this.hit = hit;
    for (const line of [...this.items.keys()]) {
      const isNear = line.after !== null && (line.after === hit?.after || line.after === before?.after);
      if (!known || isNear) this.redraw(line);
    }
    if (!hit) return true;
    const line = [...this.items.keys()].find((one) => one.after === hit.after);
    if (!line) return false;
    const item = this.items.get(line);
    // What a carriage return has overwritten is found as well, and is not there to be marked.
    bringIntoSight(item.querySelector(".now") ?? item.querySelector(".tx") ?? item, this.list.closest(".log"));
    return true;
  }

  /** Points at a line by its number. @param {number} n @returns {boolean} whether it is here */
  aim(n) {
    const before = this.aimed;
    this.aimed = n;
    const known = [...this.items.keys()];
    for (const line of known) if (line.n === n || line.n === before) this.redraw(line);
    const line = known.find((one) => one.n === n);
    if (!line) return false;
    bringIntoSight(this.items.get(line).querySelector(".ln"), this.list.closest(".log"));
    return true;
  }

  redraw(line) {
    const known = this.items.get(line);
    const item = this.draw(line);
    this.items.set(line, item);
    known.replaceWith(item);
  }

  draw(line) {
    if (line.gap) return element("li", "note", line.gap);
    const isAimed = line.n !== null && line.n === this.aimed;
    const item = element("li", [line.err && "err", isAimed && "aim"].filter(Boolean).join(" "));
    const number = element("span", "ln", line.n === null ? "" : String(line.n));
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
    if (line.updates > 1) item.append(element("span", "upd", T.log.updates(line.updates)));
    return item;
  }

  /** The parts of a span, with what was searched for in marks. A hit may begin in one span and end in another. */
  marked(line, text, offset) {
    if (!this.query) return [text];
    const whole = plain(line).toLowerCase();
    const parts = [];
    const length = this.query.length;
    let done = 0;
    let nth = 0;
    for (let at = whole.indexOf(this.query); at >= 0; at = whole.indexOf(this.query, at + length), nth += 1) {
      const from = Math.max(at - offset, 0);
      const to = Math.min(at + length - offset, text.length);
      if (to <= 0) continue;
      if (from >= text.length) break;
      if (from > done) parts.push(text.slice(done, from));
      const isNow = this.hit !== null && this.hit.after === line.after && this.hit.nth === nth;
      parts.push(element("mark", isNow ? "now" : "", text.slice(from, to)));
      done = to;
    }
    if (done < text.length) parts.push(text.slice(done));
    return parts;
  }
}
