/** Uploads to inputs/, one after the other, with the progress that the browser really measured. */

import { dropUpload } from "./api.js";
import { exists } from "./files.js";
import { MOST_FILES, filesIn } from "./folders.js";
import { sizeMb, visible } from "./format.js";
import { sendFile } from "./sending.js";
import { createStore, isLost, store } from "./store.js";
import { T } from "./text.js";

const DONE_STAYS_MS = 4000;
const SMALL = 64 * 1024; // bytes: sent in less time than it takes to look whether the name is free
const MOST_TRIES = 12; // without a byte more, before a person has to say "retry"
const LONGEST_WAIT_S = 30;

/** `list`: the uploads in the order they were asked for. */
export const uploads = createStore({ list: [] });

const jobs = new Map(); // id -> {file, path, replace, place, tries, most, timer}
let nextId = 1;
let active = null; // {id, stop}

const update = (id, changes) =>
  uploads.set({ list: uploads.get().list.map((one) => (one.id === id ? { ...one, ...changes } : one)) });
const find = (id) => uploads.get().list.find((one) => one.id === id);

/**
 * @param {Iterable<File | {file: File, name: string}>} files with a `name` that is a path: it goes there below inputs/
 * @param {{attached?: boolean}} [options] attached: shown as chips of the task being written
 */
export function upload(files, { attached = false } = {}) {
  const max = store.get().dash.limits.upload_mb;
  const all = [...files];
  const fresh = [];
  if (all.length > MOST_FILES) {
    const folder = nameOf(all[0]).split("/")[0];
    fresh.push({ ...made(folder, 0, false), state: "failed", error: T.upload.tooMany(MOST_FILES) });
    all.length = 0;
  }
  for (const given of all) {
    const file = given.file ?? given;
    const one = made(nameOf(given), file.size, attached);
    if (max && file.size > max * 1024 * 1024)
      Object.assign(one, { state: "failed", error: T.upload.tooLarge(sizeMb(max)), attached: false });
    else jobs.set(one.id, { file, path: one.path, replace: false, place: "", tries: 0, most: 0, timer: 0 });
    fresh.push(one);
  }
  uploads.set({ list: [...uploads.get().list, ...fresh] });
  next();
}

/**
 * Uploads the files in a folder, which keep their places in it.
 * @param {FileSystemDirectoryEntry} folder
 * @param {{attached?: boolean}} [options]
 */
export async function uploadFolder(folder, options = {}) {
  const found = await filesIn(folder);
  if (found.length) return upload(found, options);
  const one = { ...made(folder.name, 0, false), state: "failed", error: T.upload.emptyFolder };
  return uploads.set({ list: [...uploads.get().list, one] });
}

const nameOf = (given) => (given.file ? given.name : given.webkitRelativePath || given.name);

function made(given, size, attached) {
  // Half of a pair is no text, and no URL can hold it.
  const name = given.replace(/\p{Surrogate}/gu, "_");
  nextId += 1;
  return {
    id: nextId,
    name,
    path: `inputs/${name}`,
    size,
    loaded: 0,
    state: "waiting",
    error: "",
    startedAt: 0,
    startedWith: 0,
    attached,
  };
}

function next() {
  if (active || isLost(store.get())) return;
  const waiting = uploads.get().list.find((one) => one.state === "waiting");
  if (waiting) send(waiting.id);
}

async function send(id) {
  const job = jobs.get(id);
  const stop = new AbortController();
  active = { id, stop };
  if (!job.replace && !job.place && job.file.size > SMALL && (await exists(job.path))) {
    if (!stop.signal.aborted) settle(id, { state: "exists" });
    return;
  }
  if (stop.signal.aborted) return;
  let begun = false;
  const progress = (loaded) => {
    if (stop.signal.aborted) return;
    // What was there before did not come at the speed that is measured now.
    update(id, begun ? { loaded } : { loaded, startedAt: Date.now(), startedWith: loaded });
    begun = true;
  };
  update(id, { state: "sending", startedAt: Date.now(), startedWith: find(id).loaded, error: "" });
  const outcome = await sendFile(job, progress, stop.signal);
  if (stop.signal.aborted) {
    if (!find(id)) giveUp(job); // it was dismissed while its place was made
    return;
  }
  if (outcome.kind === "lost") tryAgain(id, job, outcome.waitS ?? 0);
  else if (outcome.kind === "done") settle(id, { state: "done", loaded: job.file.size });
  else if (outcome.kind === "exists") {
    giveUp(job);
    settle(id, { state: "exists", loaded: 0 });
  } else settle(id, { state: "failed", error: outcome.error });
}

function tryAgain(id, job, waitS) {
  const { loaded } = find(id);
  job.tries = loaded > job.most ? 1 : job.tries + 1;
  job.most = Math.max(job.most, loaded);
  if (job.tries > MOST_TRIES) {
    settle(id, { state: "failed", error: T.upload.lost });
    return;
  }
  const wait = Math.max(waitS, Math.min(LONGEST_WAIT_S, 2 ** (job.tries - 1)));
  job.timer = setTimeout(() => {
    update(id, { state: "waiting" });
    next();
  }, wait * 1000);
  settle(id, { state: "lost" });
}

function settle(id, changes) {
  active = null;
  update(id, changes);
  if (changes.state === "done") {
    jobs.delete(id);
    store.set({ filesVersion: store.get().filesVersion + 1 });
    // An attached file stays as a chip until its task is sent.
    if (!find(id)?.attached) setTimeout(() => dismiss(id), DONE_STAYS_MS);
  }
  next();
}

function halt(id) {
  clearTimeout(jobs.get(id)?.timer);
  if (active?.id !== id) return;
  active.stop.abort();
  active = null;
}

function giveUp(job) {
  if (job?.place) dropUpload(store.get().ip, job.place).catch(() => {}); // else the server does it, in a day
  if (job) job.place = "";
}

/** Takes an upload off the list; one under way is stopped. What has arrived whole stays. @param {number} id */
export function dismiss(id) {
  halt(id);
  giveUp(jobs.get(id));
  jobs.delete(id);
  uploads.set({ list: uploads.get().list.filter((one) => one.id !== id) });
  next();
}

/** Stops one for as long as the person likes. @param {number} id */
export function pause(id) {
  halt(id);
  update(id, { state: "paused" });
  next();
}

/**
 * Goes on with one that is paused, has failed or waits.
 * @param {number} id
 * @param {boolean} [replace] a file of the same name
 */
export function retry(id, replace = false) {
  const job = jobs.get(id);
  if (!job) return;
  halt(id);
  job.replace ||= replace;
  job.tries = 0;
  update(id, { state: "waiting", error: "" });
  next();
}

/** The chips of a task that was sent go; their files stay. */
export function clearAttached() {
  uploads.set({ list: uploads.get().list.filter((one) => !(one.attached && one.state === "done")) });
}

/** @param {number} id @returns {boolean} whether there is something to send again */
export function canRetry(id) {
  return jobs.has(id);
}

// What waited for the connection goes on when it is back.
store.subscribe((state) => {
  if (!isLost(state)) next();
});

// Nobody can go on with them: the files are this page's.
addEventListener("pagehide", (event) => {
  if (!event.persisted) jobs.forEach(giveUp);
});
