/** Places that files can be dragged over. */

import { dropped } from "./folders.js";
import { useRef, useState } from "./html.js";
import { upload, uploadFolder } from "./uploads.js";

/** @param {DragEvent} event */
export const hasFiles = (event) => Boolean(event.dataTransfer?.types.includes("Files"));

/**
 * @param {{attached?: boolean}} [options] attached: what is dropped here belongs to the task being written
 * @returns {[boolean, object]} whether files are over the place, and its handlers
 */
export function useDragOver({ attached = false } = {}) {
  const [over, setOver] = useState(false);
  // Every element inside says "enter" and "leave" too: only their balance tells.
  const depth = useRef(0);
  const step = (by) => {
    depth.current = Math.max(0, depth.current + by);
    setOver(depth.current > 0);
  };
  return [
    over,
    {
      onDragEnter: (event) => hasFiles(event) && step(1),
      onDragLeave: (event) => hasFiles(event) && step(-1),
      onDrop: (event) => {
        step(-Infinity);
        take(event, { attached });
      },
    },
  ];
}

/**
 * Uploads what was dropped, to the folder that it was dropped on if that is one, unless a place further in has taken it
 * already.
 * @param {DragEvent} event
 * @param {{attached?: boolean}} [options]
 */
export function take(event, { attached = false } = {}) {
  if (event.defaultPrevented || !hasFiles(event)) return;
  event.preventDefault();
  const { files, folders } = dropped(event.dataTransfer);
  const into = event.target.closest?.("[data-upload-to]")?.dataset.uploadTo;
  upload(files, { attached, into });
  for (const folder of folders) uploadFolder(folder, { attached, into });
}
