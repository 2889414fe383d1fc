/** The words about what a task made. */

import { count } from "../../format.js";
import { plural } from "./plural.js";

export const outputs = {
  none: "The files that the task writes to outputs/ are listed here when it has ended.",
  noneEnded: "The task left no files in outputs/.",
  firstOf: (shown, total) =>
    `${count(shown)} of ${plural(total, "file", "files")} are shown. The workspace has them all.`,
  open: "Open in workspace",
  show: (name) => `Preview ${name}`,
  hide: (name) => `Close the preview of ${name}`,
  image: (w, h) => `${w} × ${h}, `,
  table: (rows, columns, whole) =>
    `${whole ? "" : "first "}${plural(rows, "row", "rows")}, ${plural(columns, "column", "columns")}, `,
  cut: "The beginning is shown; download the file for the rest.",
  noImage: "This is not a picture that can be shown. Download it to look inside.",
  failed: (why) => `No preview: ${why}`,
  alt: (name) => `Preview of ${name}`,
  blank: "The file is empty.",
};
