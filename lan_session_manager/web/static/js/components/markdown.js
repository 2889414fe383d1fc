/**
 * Markdown of strangers as a page. Its library only takes it apart: what is shown is made here, node by node, so that
 * no text is ever read as HTML. HTML in it stands as text, pictures as their words, and a link leads to the web or nowhere.
 */

import { visible, visibleText } from "../format.js";
import { h, html } from "../html.js";
import { T } from "../text.js";

const DEEPEST = 24;
const NAMES = { amp: "&", lt: "<", gt: ">", quot: '"', apos: "'", nbsp: "\u00a0" };
const SAFE = new Set(["http:", "https:", "mailto:"]);

function character(whole, decimal, hex, name) {
  if (name) return NAMES[name] ?? whole;
  const code = decimal ? Number(decimal) : parseInt(hex, 16);
  return code > 0 && code <= 0x10ffff ? String.fromCodePoint(code) : whole;
}

const plain = (text) => visibleText(String(text).replace(/&(?:#(\d{1,7})|#x([0-9a-f]{1,6})|([a-z]{2,6}));/gi, character));

/** @param {string} href @returns {string} where it leads, or "" */
function safe(href) {
  try {
    const url = new URL(href);
    return SAFE.has(url.protocol) ? url.href : "";
  } catch {
    return "";
  }
}

function link(token, inner) {
  const href = safe(token.href);
  if (!href) return inner;
  return html`<a href=${href} title=${visible(href)} target="_blank" rel="noopener noreferrer nofollow">${inner}</a>`;
}

const aligned = (align) => (align === "right" ? "r-al" : undefined);

function table(token, depth) {
  const row = (tag, cells) => html`<tr>${cells.map((cell, i) =>
    h(tag, { class: aligned(token.align[i]) }, nodes(cell.tokens, depth + 1)))}</tr>`;
  return html`<div class="xscroll" tabindex="0"><table><thead>${row("th", token.header)}</thead>
    <tbody>${token.rows.map((cells) => row("td", cells))}</tbody></table></div>`;
}

function list(token, depth) {
  const items = token.items.map((item) => html`<li class=${item.task ? "task-item" : undefined}>
    ${nodes(item.tokens, depth + 1)}</li>`);
  return token.ordered ? html`<ol start=${token.start === "" ? undefined : token.start}>${items}</ol>` : html`<ul>${items}</ul>`;
}

function node(token, depth) {
  const inner = () => (token.tokens ? nodes(token.tokens, depth + 1) : plain(token.text ?? ""));
  switch (token.type) {
    case "space":
    case "def":
      return null;
    case "heading":
      // The page has headings of its own above: a file's are below them.
      return h(`h${Math.min(6, token.depth + 3)}`, { class: `md-h md-h${token.depth}` }, inner());
    case "paragraph":
      return html`<p>${inner()}</p>`;
    case "strong":
    case "em":
    case "del":
    case "blockquote":
      return h(token.type, null, inner());
    case "codespan":
      return html`<code>${visible(token.text)}</code>`;
    case "code":
      return html`<pre class="textview" tabindex="0">${visibleText(token.text)}</pre>`;
    case "list":
      return list(token, depth);
    case "checkbox":
      return html`<input type="checkbox" checked=${token.checked} disabled aria-label=${T.outputs.box(token.checked)} />`;
    case "table":
      return table(token, depth);
    case "link":
      return link(token, inner());
    case "image":
      return html`<span class="dim">${T.outputs.picture(plain(token.text) || visible(token.href))}</span>`;
    case "br":
      return html`<br />`;
    case "hr":
      return html`<hr class="rule" />`;
    case "html":
      return html`<span class="dim">${visibleText(token.raw)}</span>`;
    default:
      return inner();
  }
}

function nodes(tokens, depth) {
  if (depth > DEEPEST) return tokens.map((token) => plain(token.raw ?? ""));
  return tokens.map((token) => node(token, depth));
}

/** @param {{source: string, lexer: (source: string) => object[]}} props `lexer`: that of the library */
export function Markdown({ source, lexer }) {
  let tokens;
  try {
    tokens = lexer(source);
  } catch {
    return html`<pre class="textview" tabindex="0">${visibleText(source)}</pre>`; // nested deeper than it can follow
  }
  return html`<div class="md">${nodes(tokens, 0)}</div>`;
}
