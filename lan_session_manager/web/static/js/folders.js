/** The files in folders that somebody dropped or chose. */

export const MOST_FILES = 1000; // of one folder: more are better sent as one archive and unpacked by a task

/**
 * What somebody dropped. To be called while the event is being handled: later the browser tells no more.
 * @param {DataTransfer} data
 * @returns {{files: File[], folders: FileSystemDirectoryEntry[]}}
 */
export function dropped(data) {
  const result = { files: [], folders: [] };
  for (const item of data.items) {
    if (item.kind !== "file") continue;
    const entry = item.webkitGetAsEntry?.();
    if (entry?.isDirectory) result.folders.push(entry);
    else {
      const file = item.getAsFile();
      if (file) result.files.push(file);
    }
  }
  return result;
}

/**
 * @param {FileSystemDirectoryEntry} folder
 * @returns {Promise<{file: File, name: string}[]>} its files, each with its path from beside the folder on; one more
 *   than MOST_FILES at the most. What cannot be read is left out.
 */
export async function filesIn(folder) {
  const found = [];
  const waiting = [{ entry: folder, name: folder.name }];
  while (waiting.length && found.length <= MOST_FILES) {
    const { entry, name } = waiting.pop();
    if (entry.isDirectory) {
      const below = await entriesOf(entry);
      waiting.push(...below.map((each) => ({ entry: each, name: `${name}/${each.name}` })));
    } else {
      const file = await new Promise((resolve) => entry.file(resolve, () => resolve(null)));
      if (file) found.push({ file, name });
    }
  }
  return found;
}

async function entriesOf(directory) {
  const reader = directory.createReader();
  const all = [];
  for (;;) {
    // Each call gives some of them, the last one none.
    const some = await new Promise((resolve) => reader.readEntries(resolve, () => resolve([])));
    if (!some.length || all.length > MOST_FILES) return all;
    all.push(...some);
  }
}
