/** Uploads to the workspace, one after the other, with the progress that the browser really measured. */

import { changed, freePath, namesBeside, nameOf as lastName } from "./files.js";
import { MOST_FILES, filesIn } from "./folders.js";
import { sizeMb } from "./format.js";
import { answerFor, cutUploads, dropPlace, forgetUpload, isSame, rememberUpload } from "./resumes.js";
import { sendFile } from "./sending.js";
import { createStore, isLost, store } from "./store.js";
import { T } from "./text.js";

const DONE_STAYS_MS = 4000;
const SMALL = 64 * 1024; // bytes: sent in less time than it takes to look whether the name is free
const MOST_TRIES = 12; // without a byte more, before a person has to say "retry"
const LONGEST_WAIT_S = 30;
const GOES_ON = ["waiting", "sending", "lost"];

/** `list`: the uploads in the order they were asked for. */
export const uploads = createStore({ list: [] });

const jobs = new Map(); // id -> {file, path, replace, place, tries, most, timer}
let nextId = 1;
let active = null; // {id, stop}
let forAll = null; // what was said of all files whose name is taken: "replace", "both" or "skip"

const update = (id, changes) =>
  uploads.set({ list: uploads.get().list.map((one) => (one.id === id ? { ...one, ...changes } : one)) });
const find = (id) => uploads.get().list.find((one) => one.id === id);

/**
 * @param {Iterable<File | {file: File, name: string}>} files with a `name` that is a path: it goes there in the folder
 * @param {{attached?: boolean, into?: string, goesOn?: number}} [options] attached: shown as chips of the task being
 *   written; `into`: the folder, else inputs/; `goesOn`: the upload that was cut, which one of them is to go on with
 */
export function upload(files, { attached = false, into = "inputs", goesOn = 0 } = {}) {
  const max = store.get().dash.limits.upload_mb;
  const all = [...files].filter((given) => !goOnWithCut(given.file ?? given, goesOn));
  if (goesOn) {
    if (all.length) update(goesOn, { error: T.upload.other });
    return;
  }
  const fresh = [];
  if (all.length > MOST_FILES) {
    const folder = nameOf(all[0]).split("/")[0];
    fresh.push({ ...made(folder, 0, false, into), state: "failed", error: T.upload.tooMany(MOST_FILES) });
    all.length = 0;
  }
  if (!uploads.get().list.some((one) => GOES_ON.includes(one.state))) forAll = null;
  for (const given of all) {
    const file = given.file ?? given;
    const one = made(nameOf(given), file.size, attached, into);
    if (max && file.size > max * 1024 * 1024)
      Object.assign(one, { state: "failed", error: T.upload.tooLarge(sizeMb(max)) });
    else jobs.set(one.id, jobOf(file, one.path));
    fresh.push(one);
  }
  uploads.set({ list: [...uploads.get().list, ...fresh] });
  next();
}

const jobOf = (file, path, place = "") => ({ file, path, replace: false, place, tries: 0, most: 0, timer: 0 });

/**
 * Uploads the files in a folder, which keep their places in it.
 * @param {FileSystemDirectoryEntry} folder
 * @param {{attached?: boolean, into?: string}} [options]
 */
export async function uploadFolder(folder, options = {}) {
  const found = await filesIn(folder);
  if (found.length) return upload(found, options);
  const one = made(folder.name, 0, false, options.into ?? "inputs");
  const failed = { ...one, state: "failed", error: T.upload.emptyFolder };
  return uploads.set({ list: [...uploads.get().list, failed] });
}

const nameOf = (given) => (given.file ? given.name : given.webkitRelativePath || given.name);

function made(given, size, attached, into) {
  // Half of a pair is no text, and no URL can hold it.
  const name = given.replace(/\p{Surrogate}/gu, "_");
  nextId += 1;
  return {
    id: nextId,
    name,
    path: `${into}/${name}`,
    size,
    loaded: 0,
    state: "waiting",
    error: "",
    startedAt: 0,
    startedWith: 0,
    attached,
  };
}

/** Shows what a reload has cut, so that it can go on. */
export async function findCut() {
  let cut = [];
  try {
    cut = await cutUploads(store.get().ip);
  } catch (error) {
    if (error.status === undefined) throw error;
    return; // it is looked for again with the next connection
  }
  const known = new Set(uploads.get().list.map((one) => one.cut?.place));
  const fresh = cut
    .filter((one) => !known.has(one.place))
    .map((one) => ({
      ...made(one.name, one.size, false, "inputs"),
      path: one.path,
      loaded: one.offset,
      state: "interrupted",
      cut: one,
    }));
  if (fresh.length) uploads.set({ list: [...uploads.get().list, ...fresh] });
}

/** Whether a file is one that was being sent when the page was left; then it goes on. */
function goOnWithCut(file, id) {
  const one = uploads.get().list.find((each) => each.cut && (!id || each.id === id) && isSame(file, each.cut));
  if (!one) return false;
  jobs.set(one.id, jobOf(file, one.path, one.cut.place));
  update(one.id, { state: "waiting", cut: undefined, error: "" });
  next();
  return true;
}

answerFor((place) => [...jobs.values()].some((job) => job.place === place));

function next() {
  if (active || isLost(store.get())) return;
  const waiting = uploads.get().list.find((one) => one.state === "waiting");
  if (waiting) send(waiting.id);
}

async function send(id) {
  const job = jobs.get(id);
  const stop = new AbortController();
  active = { id, stop };
  if (!job.replace && !job.place && job.file.size > SMALL && (await namesBeside(job.path)).has(lastName(job.path))) {
    if (!stop.signal.aborted) conflicts(id);
    return;
  }
  if (stop.signal.aborted) return;
  let begun = false;
  const progress = (loaded) => {
    if (stop.signal.aborted) return;
    if (!begun && job.place) {
      const { size, lastModified: modified } = job.file;
      rememberUpload(job.place, { path: job.path, name: find(id).name, size, modified });
    }
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
    conflicts(id);
  } else settle(id, { state: "failed", error: outcome.error });
}

function conflicts(id) {
  settle(id, { state: "exists", loaded: 0 });
  if (forAll) resolve([id], forAll);
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
    const { place, path } = jobs.get(id);
    if (place) forgetUpload(place);
    jobs.delete(id);
    changed(path);
    // An attached file stays as a chip until its task is sent, and the others until all are there.
    if (!find(id)?.attached) setTimeout(clearDone, DONE_STAYS_MS);
  }
  next();
}

function clearDone() {
  const { list } = uploads.get();
  if (list.some((one) => !one.attached && GOES_ON.includes(one.state))) return;
  uploads.set({ list: list.filter((one) => one.attached || one.state !== "done") });
}

function halt(id) {
  clearTimeout(jobs.get(id)?.timer);
  if (active?.id !== id) return;
  active.stop.abort();
  active = null;
}

function giveUp(job) {
  if (job?.place) dropPlace(store.get().ip, job.place);
  if (job) job.place = "";
}

/** Takes an upload off the list; one under way is stopped. What has arrived whole stays. @param {number} id */
export function dismiss(id) {
  halt(id);
  giveUp(jobs.get(id) ?? find(id)?.cut);
  jobs.delete(id);
  uploads.set({ list: uploads.get().list.filter((one) => one.id !== id) });
  if (!uploads.get().list.some((one) => !one.attached && one.state !== "done")) setTimeout(clearDone, DONE_STAYS_MS);
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

/**
 * Says what becomes of files whose name is taken.
 * @param {number[]} ids @param {"replace" | "both" | "skip"} how of several, also of those that are still to come
 */
export async function resolve(ids, how) {
  if (ids.length > 1) forAll = how;
  for (const id of ids) {
    const job = jobs.get(id);
    if (find(id)?.state !== "exists" || !job) continue;
    if (how === "skip") dismiss(id);
    else {
      if (how === "both") {
        const ofOthers = uploads.get().list.map((one) => lastName(one.path));
        job.path = freePath(job.path, new Set([...(await namesBeside(job.path)), ...ofOthers]));
        const { name } = find(id);
        update(id, { path: job.path, name: name.slice(0, name.length - lastName(name).length) + lastName(job.path) });
      }
      retry(id, how === "replace");
    }
  }
}

const ofList = () => uploads.get().list.filter((one) => !one.attached);

/** Stops all that are on their way. */
export function pauseAll() {
  for (const one of ofList().filter((each) => GOES_ON.includes(each.state)).reverse()) pause(one.id);
}

/** Goes on with all that are paused. */
export function retryAll() {
  for (const one of ofList()) if (one.state === "paused") retry(one.id);
}

/** Takes all off the list; those under way are stopped. */
export function dismissAll() {
  for (const one of [...ofList()].reverse()) dismiss(one.id);
}

/**
 * @param {import("./types.js").Upload[]} list
 * @returns {{count: number, done: number, open: number, paused: number, loaded: number, size: number,
 *   startedAt: number, startedWith: number}} how all of them stand; `open`: what goes on or is paused
 */
export function totalOf(list) {
  const sums = { count: 0, done: 0, open: 0, paused: 0, loaded: 0, size: 0, startedAt: 0, startedWith: 0 };
  for (const one of list) {
    if (["failed", "exists", "interrupted"].includes(one.state)) continue;
    sums.count += 1;
    sums.done += one.state === "done";
    sums.paused += one.state === "paused";
    sums.open += one.state !== "done";
    sums.loaded += one.loaded;
    sums.size += one.size;
    sums.startedWith += one.startedWith;
    if (one.startedAt && (!sums.startedAt || one.startedAt < sums.startedAt)) sums.startedAt = one.startedAt;
  }
  return sums;
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

// What is on its way is lost with the page, but for what the person picks again.
addEventListener("beforeunload", (event) => {
  if (uploads.get().list.some((one) => [...GOES_ON, "paused", "exists"].includes(one.state))) event.preventDefault();
});
