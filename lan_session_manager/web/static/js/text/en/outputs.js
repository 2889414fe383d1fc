/** The words about what a task made. */

import { count } from "../../format.js";
import { plural } from "./plural.js";

export const outputs = {
  none: "The files that the task writes to outputs/ are listed here as they come.",
  noneQueued: "The files that the task writes to outputs/ are listed here when it runs.",
  soFar: "So far. What is being written may not be complete.",
  isNew: "new",
  zip: (folder) => `Download ${folder}/ as zip`,
  noneEnded: "The task left no files in outputs/.",
  firstOf: (shown, total) =>
    `${count(shown)} of ${plural(total, "file", "files")} are shown. The workspace has them all.`,
  open: "Open in workspace",
  show: (name) => `Preview ${name}`,
  hide: (name) => `Close the preview of ${name}`,
  image: (w, h) => `${w} × ${h}, `,
  table: (rows, columns, whole) =>
    `${whole ? "" : "first "}${plural(rows, "row", "rows")}, ${plural(columns, "column", "columns")}, `,
  rowsName: "Rows of the table",
  moreRows: "Show more rows",
  moreText: "Show more",
  page: (name) => `Preview of the page ${name}`,
  pageNote: "Shown without its scripts and without anything from elsewhere.",
  pdf: "A PDF opens in a tab of its own.",
  openPdf: "Open PDF",
  download: "Download",
  noMedia: "This browser cannot play the file. Download it to hear or see it.",
  box: (checked) => (checked ? "Done" : "Not done"),
  picture: (words) => `[picture: ${words}]`,
  cut: "The beginning is shown; download the file for the rest.",
  noImage: "This is not a picture that can be shown. Download it to look inside.",
  failed: (why) => `No preview: ${why}`,
  alt: (name) => `Preview of ${name}`,
  blank: "The file is empty.",
};
