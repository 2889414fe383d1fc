/** The words of the log's pane. */

import { count, size } from "../../format.js";
import { plural } from "./plural.js";

export const log = {
  search: "Search the log, or go to a line: a colon and its number",
  lineHint: "Enter goes to the line",
  placeholder: "Search log",
  hits: (n, m, more) => (m ? `${count(n)} of ${count(m)}${more ? "+" : ""}` : more ? "Searching" : "No match"),
  follow: "Follow",
  followName: "Follow: scroll as new lines arrive",
  wrap: "Wrap",
  wrapName: "Wrap long lines",
  download: "Download",
  name: (id) => `Output of ${id}`,
  jump: (n) => (n ? `Jump to newest, ${plural(n, "new line", "new lines")}` : "Jump to newest"),
  lines: (n, bytes) => (n === null ? size(bytes) : `${plural(n, "line", "lines")}, ${size(bytes)}`),
  err: "err",
  errMarks: "marks stderr",
  following: "Following the newest line",
  paused: "Not following",
  ended: "Complete",
  before: (n) => (n === null ? "More stands before this" : `${plural(n, "earlier line", "earlier lines")}`),
  showBefore: "Show earlier",
  loading: "Loading",
  behind: "More stands behind this",
  showBehind: "Show more",
  updates: (n) => `${count(n)} updates`,
  gap: (bytes) => `${size(bytes)} left out`,
  more: (n) => `… ${plural(n, "more line", "more lines")}, see Details`,
  cut: (n) => ` … ${plural(n, "more character", "more characters")}`,
  queued: "The log starts when the task starts.",
  empty: "The task printed nothing.",
  elsewhere: "The swarm worker that did this task has its output.",
  lost: (time) =>
    `Connection lost at ${time}. The task keeps running; the rest of its log loads when the connection is back.`,
  polling: "No live connection: new lines arrive every few seconds, without the mark for stderr.",
  unavailable: (why) => `The log could not be loaded: ${why}`,
  endNote: (word, ran) => (ran ? `${word} after ${ran}.` : `${word}.`),
  announce: (n, last) => `${plural(n, "new line", "new lines")}. ${last}`,
};
