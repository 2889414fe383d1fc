/** Unpacking an archive: a task like any other does it, so that the box and the quota hold whatever is in it. */

import { quoted } from "./quoting.js";

const ENDINGS = /\.(zip|tar|tar\.(?:gz|xz|bz2|zst)|tgz|txz|tbz2?|tzst)$/i;
// What stands for bytes that are no text: a command cannot name such a file.
const RAW = /[\uef80-\uefff]/;

/** @param {string} name of a file @returns {boolean} whether it is an archive that can be unpacked here */
export const isArchive = (name) => ENDINGS.test(name) && !RAW.test(name);

/**
 * @param {string} path of an archive in the workspace
 * @returns {string} a command that unpacks it into a new directory beside it. Neither program leaves the directory by
 *   a member's name: zipfile drops "..", drives and roots, and makes no links; tar refuses them, and makes links last.
 */
export function unpackCommand(path) {
  const into = path.replace(ENDINGS, "").replace(/\/$/, "/unpacked");
  const unpack = /\.zip$/i.test(path)
    ? 'python3 -m zipfile -e "$archive" "$into"'
    : 'tar --extract --force-local --no-same-owner --no-same-permissions --file="$archive" --directory="$into"';
  return [
    `archive=${quoted("shell", path)} name=${quoted("shell", into)}`,
    "into=$name; n=2",
    'until mkdir -- "$into" 2>/dev/null; do [ $n -lt 100 ] || exit 1; into=$name-$n; n=$((n + 1)); done',
    `${unpack} && echo "Unpacked into $into"`,
  ].join("\n");
}
