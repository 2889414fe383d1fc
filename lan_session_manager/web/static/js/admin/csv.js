/** The table of sessions as a file for a spreadsheet. */

import { A } from "./text.js";

// A spreadsheet takes what begins so for a formula, and names of devices are written by strangers.
const FORMULA = /^[=+\-@\t\r]/;

function cell(value) {
  const text = value === null || value === undefined ? "" : String(value);
  const safe = typeof value === "string" && FORMULA.test(text) ? `'${text}` : text;
  return /[",\r\n]/.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe;
}

/** @param {any[]} sessions @returns {string} RFC 4180 */
export function csvOf(sessions) {
  const rows = sessions.map((one) => [
    one.state,
    one.paused_at,
    one.ip,
    one.workspace,
    one.devices.map((device) => device.name).join("; "),
    one.running,
    one.queued,
    one.used?.cores,
    one.used?.memory_mb,
    one.usage?.size_mb,
    one.last_activity,
  ]);
  return [A.sessions.csvHeads, ...rows].map((row) => `${row.map(cell).join(",")}\r\n`).join("");
}

/** @param {string} name @param {string} text */
export function saveAs(name, text) {
  const url = URL.createObjectURL(new Blob([text], { type: "text/csv" }));
  const link = document.createElement("a");
  link.href = url;
  link.download = name;
  link.click();
  URL.revokeObjectURL(url);
}
