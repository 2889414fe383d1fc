/**
 * Large uploads that a reload of the page has cut: the server has what came, and this browser remembers of which file
 * it was. Choosing that file again goes on with it.
 */

import { dropUpload, unfinishedUploads } from "./api.js";
import { recall, remember } from "./storage.js";

const KEY = "uploads";
const ANSWER_MS = 400;
const MOST = 32;

/** @typedef {{path: string, name: string, size: number, modified: number}} Remembered */

/** @returns {{[place: string]: Remembered}} */
function all() {
  try {
    const found = JSON.parse(recall(KEY) ?? "{}");
    return found && typeof found === "object" ? found : {};
  } catch {
    return {};
  }
}

const keep = (found) => remember(KEY, Object.keys(found).length ? JSON.stringify(found) : null);

/** @param {string} place the upload's id on the server @param {Remembered} facts */
export function rememberUpload(place, facts) {
  const found = Object.entries({ ...all(), [place]: facts });
  keep(Object.fromEntries(found.slice(-MOST)));
}

/** @param {string} place */
export function forgetUpload(place) {
  const { [place]: _gone, ...rest } = all();
  keep(rest);
}

/** @param {File} file @param {Remembered} facts @returns {boolean} whether it is the file that was being sent */
export const isSame = (file, facts) =>
  file.name === facts.name.slice(facts.name.lastIndexOf("/") + 1) &&
  file.size === facts.size &&
  file.lastModified === facts.modified;

// Other tabs of this browser remember the same: each says which uploads are its own.
const channel = "BroadcastChannel" in globalThis ? new BroadcastChannel("lsm.uploads") : null;
let isOwn = () => false;
let taken = new Set();

if (channel) {
  channel.onmessage = ({ data }) => {
    if (data?.ask) channel.postMessage({ mine: data.ask.filter((place) => isOwn(place)) });
    for (const place of data?.mine ?? []) taken.add(place);
  };
}

/** @param {(place: string) => boolean} owns whether this page is sending that upload */
export function answerFor(owns) {
  isOwn = owns;
}

/**
 * @param {string} ip
 * @returns {Promise<(Remembered & {place: string, offset: number})[]>} what was cut and can go on, of this browser
 */
export async function cutUploads(ip) {
  const known = all();
  if (!Object.keys(known).length) return [];
  const { uploads } = await unfinishedUploads(ip);
  const there = new Map(uploads.map((one) => [one.id, one]));
  keep(Object.fromEntries(Object.entries(known).filter(([place]) => there.has(place))));
  const places = Object.keys(known).filter((place) => there.has(place) && !isOwn(place));
  if (!places.length) return [];
  taken = new Set();
  channel?.postMessage({ ask: places });
  await new Promise((resolve) => setTimeout(resolve, ANSWER_MS));
  return places
    .filter((place) => !taken.has(place) && !isOwn(place))
    .map((place) => ({ ...known[place], place, path: there.get(place).path, offset: there.get(place).offset }));
}

/** @param {string} ip @param {string} place: nothing of it stays */
export function dropPlace(ip, place) {
  forgetUpload(place);
  dropUpload(ip, place).catch(() => {}); // else the server does it, in a day
}
