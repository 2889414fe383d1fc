/** A look into a file of the workspace: pictures, tables and text, each fetched only as far as it is shown. */

import { call, fileUrl } from "./api.js";
import { store } from "./store.js";

const TEXT_BYTES = 48 * 1024;
const IMAGE_BYTES = 8 * 1024 * 1024;
const TABLE_ROWS = 8;
const TABLE_COLUMNS = 12;

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
const TEXTS = new Set([
  "txt",
  "md",
  "log",
  "json",
  "jsonl",
  "yaml",
  "yml",
  "toml",
  "ini",
  "xml",
  "html",
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
  "svg",
  "tex",
  "out",
]);

const ending = (path) => /\.([0-9a-z]+)$/i.exec(path)?.[1].toLowerCase() ?? "";

/**
 * @param {string} path
 * @param {number} bytes
 * @returns {"image" | "table" | "text" | null} how it can be shown
 */
export function kindOf(path, bytes) {
  const end = ending(path);
  if (end in IMAGES) return bytes <= IMAGE_BYTES ? "image" : null;
  if (end in TABLES) return "table";
  return TEXTS.has(end) ? "text" : null;
}

/** @param {string} path @returns {Promise<Blob>} */
export async function image(path) {
  const response = await call(fileUrl(store.get().ip, path));
  return new Blob([await response.arrayBuffer()], { type: IMAGES[ending(path)] });
}

/**
 * The beginning of a file.
 * @param {string} path
 * @param {number} bytes its size
 * @returns {Promise<{text: string, whole: boolean}>}
 */
export async function text(path, bytes) {
  if (!bytes) return { text: "", whole: true };
  const response = await call(fileUrl(store.get().ip, path), { headers: { Range: `bytes=0-${TEXT_BYTES - 1}` } });
  const part = new Uint8Array(await response.arrayBuffer()).subarray(0, TEXT_BYTES);
  return { text: new TextDecoder().decode(part), whole: bytes <= TEXT_BYTES };
}

/**
 * The first rows of a table.
 * @param {string} source @param {boolean} whole whether `source` is all of the file @param {string} path
 * @returns {{rows: string[][], columns: number, total: number | null}} `total`: rows without the head, if all were seen
 */
export function table(source, whole, path) {
  const all = parseCsv(source, TABLES[ending(path)] ?? ",");
  if (!whole && all.length > 1) all.pop(); // cut somewhere in the middle
  const columns = all.reduce((most, row) => Math.max(most, row.length), 0);
  return {
    rows: all.slice(0, TABLE_ROWS + 1).map((row) => row.slice(0, TABLE_COLUMNS)),
    columns,
    total: whole ? all.length - 1 : null,
  };
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
