/**
 * How a file of the workspace is shown. Text, tables, JSON and Markdown are fetched as bytes, as far as they are shown,
 * and become text nodes. What only the browser can lay out or play comes from the server's address for previews, which
 * takes from it whatever it could do (`web/previews.py`).
 */

import { call, fileUrl } from "./api.js";
import { store } from "./store.js";

const TEXT_BYTES = 48 * 1024;
const STEP = 8; // so many times as much is fetched by each "Show more"
const MOST_TEXT_BYTES = 3 * 1024 * 1024; // more than that no page shows well: it is downloaded
const IMAGE_BYTES = 8 * 1024 * 1024;
const DRAWING_BYTES = 2 * 1024 * 1024;
const TABLE_COLUMNS = 40;
const EXACT = 15; // digits of a number that JavaScript keeps as they are

// Pictures that a browser decodes and that carry no script. The type is set here: what the server says is not asked.
const IMAGES = {
  png: "image/png",
  jpg: "image/jpeg",
  jpeg: "image/jpeg",
  gif: "image/gif",
  webp: "image/webp",
  bmp: "image/bmp",
  avif: "image/avif",
};
const TABLES = { csv: ",", tsv: "\t" };
const BY_BROWSER = {
  html: "page",
  htm: "page",
  pdf: "pdf",
  ...Object.fromEntries(["mp3", "m4a", "aac", "wav", "flac", "ogg", "oga", "opus"].map((end) => [end, "audio"])),
  ...Object.fromEntries(["mp4", "m4v", "webm", "ogv"].map((end) => [end, "video"])),
};
const TEXTS = new Set([
  "txt",
  "log",
  "jsonl",
  "yaml",
  "yml",
  "toml",
  "ini",
  "xml",
  "css",
  "js",
  "py",
  "sh",
  "sql",
  "r",
  "c",
  "h",
  "rs",
  "go",
  "tex",
  "out",
]);

const ending = (path) => /\.([0-9a-z]+)$/i.exec(path)?.[1].toLowerCase() ?? "";

/**
 * @param {string} path
 * @param {number} bytes
 * @returns {"image" | "table" | "text" | "json" | "markdown" | "drawing" | "page" | "pdf" | "audio" | "video" | null}
 *   how it can be shown
 */
export function kindOf(path, bytes) {
  const end = ending(path);
  if (Object.hasOwn(IMAGES, end)) return bytes <= IMAGE_BYTES ? "image" : null;
  if (Object.hasOwn(TABLES, end)) return "table";
  if (end === "svg") return bytes <= DRAWING_BYTES ? "drawing" : "text";
  if (Object.hasOwn(BY_BROWSER, end)) return BY_BROWSER[end];
  if (end === "json") return "json";
  if (end === "md" || end === "markdown") return "markdown";
  return TEXTS.has(end) ? "text" : null;
}

/** @param {string} path @returns {Promise<Blob>} */
export async function image(path) {
  const response = await call(fileUrl(store.get().ip, path));
  return new Blob([await response.arrayBuffer()], { type: IMAGES[ending(path)] });
}

/**
 * A drawing as an address that holds all of it: in a picture it runs no script and loads nothing, and whoever opens that
 * address elsewhere has a page without an origin.
 * @param {string} path @returns {Promise<string>}
 */
export async function drawing(path) {
  const response = await call(fileUrl(store.get().ip, path));
  const blob = new Blob([await response.arrayBuffer()], { type: "image/svg+xml" });
  return new Promise((resolve, reject) => {
    const reader = new FileReader();
    reader.onload = () => resolve(reader.result);
    reader.onerror = () => reject(reader.error);
    reader.readAsDataURL(blob);
  });
}

/** @param {number} step how often more was asked for @returns {number} bytes that are fetched */
const bytesAt = (step) => Math.min(MOST_TEXT_BYTES, TEXT_BYTES * STEP ** step);

/** @param {number} bytes of the file @param {number} step @returns {boolean} whether asking again brings more of it */
export const hasMore = (bytes, step) => bytes > bytesAt(step) && bytesAt(step) < MOST_TEXT_BYTES;

/**
 * The beginning of a file.
 * @param {string} path
 * @param {number} bytes its size
 * @param {number} [step] how often more was asked for
 * @returns {Promise<{text: string, whole: boolean}>}
 */
export async function text(path, bytes, step = 0) {
  if (!bytes) return { text: "", whole: true };
  const most = bytesAt(step);
  const response = await call(fileUrl(store.get().ip, path), { headers: { Range: `bytes=0-${most - 1}` } });
  const part = new Uint8Array(await response.arrayBuffer()).subarray(0, most);
  const whole = bytes <= most;
  // In what is cut the last character may be half there.
  return { text: new TextDecoder().decode(part, { stream: !whole }), whole };
}

// Where the comma is the sign of decimals, spreadsheets write semicolons.
function separatorOf(source, path) {
  const separator = TABLES[ending(path)] ?? ",";
  const head = source.slice(0, source.search(/\n|$/));
  const count = (sign) => head.split(sign).length;
  return separator === "," && count(";") > count(",") ? ";" : separator;
}

/**
 * The rows of a table.
 * @param {string} source @param {boolean} whole whether `source` is all of the file @param {string} path
 * @returns {{rows: string[][], columns: number, total: number | null}} `total`: rows without the head, if all were seen
 */
export function table(source, whole, path) {
  const all = parseCsv(source, separatorOf(source, path));
  if (!whole && all.length > 1) all.pop(); // cut somewhere in the middle
  const columns = all.reduce((most, row) => Math.max(most, row.length), 0);
  return { rows: all.map((row) => row.slice(0, TABLE_COLUMNS)), columns, total: whole ? Math.max(0, all.length - 1) : null };
}

/**
 * JSON with a line for each of its parts; what it is not, or what would not stay the same, as it stands.
 * @param {string} source
 */
export function neatJson(source) {
  if (new RegExp(`\\d{${EXACT + 1}}`).test(source)) return source;
  try {
    return JSON.stringify(JSON.parse(source), null, 2);
  } catch {
    return source;
  }
}

function parseCsv(source, separator) {
  const rows = [];
  let row = [];
  let cell = "";
  let quoted = false;
  const endCell = () => {
    row.push(cell);
    cell = "";
  };
  const endRow = () => {
    endCell();
    if (row.length > 1 || row[0]) rows.push(row);
    row = [];
  };
  for (let i = 0; i < source.length; i += 1) {
    const c = source[i];
    if (quoted) {
      if (c !== '"') cell += c;
      else if (source[i + 1] === '"') {
        cell += '"';
        i += 1;
      } else quoted = false;
    } else if (c === '"' && !cell) quoted = true;
    else if (c === separator) endCell();
    else if (c === "\n") endRow();
    else if (c !== "\r") cell += c;
  }
  if (cell || row.length) endRow();
  return rows;
}
