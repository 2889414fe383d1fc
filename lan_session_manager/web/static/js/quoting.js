/** Paths as they stand in a command. */

/** @param {string} runner @param {string} path @returns {string} the path as it stands in a command of that runner */
export function quoted(runner, path) {
  if (runner === "python") return JSON.stringify(path);
  return /^[\w@%+=:,./-]+$/.test(path) ? path : `'${path.replaceAll("'", "'\\''")}'`;
}
