/** Sends one file: a small one in one request, a large one so that it goes on where it was cut. */

import { errorFrom, fileUrl, newUpload, uploadState, uploadUrl } from "./api.js";
import { store } from "./store.js";

export const LARGE = 8 * 1024 * 1024; // bytes; less is sent again as fast as one could ask where to go on

const STALLED_MS = 60_000; // without a byte: the other side may be gone without a word
const PASSING = [0, 429, 502, 503, 504];

/**
 * @param {{file: File, path: string, replace: boolean, place: string}} job `place` is kept up to date: the id of the
 *   upload on the server, "" while there is none
 * @param {(loaded: number) => void} onProgress bytes that have left this device
 * @param {AbortSignal} signal
 * @returns {Promise<{kind: "done" | "exists" | "lost" | "failed", error?: string, waitS?: number}>} "lost": to be tried
 *   again, after `waitS` seconds at least
 */
export async function sendFile(job, onProgress, signal) {
  const { ip } = store.get();
  try {
    if (job.file.size <= LARGE) return await sendWhole(ip, job, onProgress, signal);
    return await sendRest(ip, job, onProgress, signal);
  } catch (error) {
    if (error.status === undefined) throw error;
    return outcomeOf(error, job);
  }
}

async function sendWhole(ip, job, onProgress, signal) {
  const url = `${fileUrl(ip, job.path)}?overwrite=${job.replace ? 1 : 0}`;
  await request("PUT", url, job.file, { "Content-Type": "application/octet-stream" }, onProgress, signal);
  return { kind: "done" };
}

async function sendRest(ip, job, onProgress, signal) {
  let offset = 0;
  if (job.place) {
    const state = await uploadState(ip, job.place);
    if (state.complete) return { kind: "done" };
    offset = state.offset;
  } else {
    const made = await newUpload(ip, { path: job.path, size: job.file.size, overwrite: job.replace });
    job.place = made.id;
  }
  if (signal.aborted) return { kind: "lost" };
  onProgress(offset);
  const headers = { "Content-Type": "application/partial-upload", "Upload-Offset": String(offset) };
  const rest = job.file.slice(offset);
  const status = await request(
    "PATCH",
    uploadUrl(ip, job.place),
    rest,
    headers,
    (loaded) => onProgress(offset + loaded),
    signal,
  );
  return { kind: status === 201 ? "done" : "lost" };
}

function outcomeOf(error, job) {
  if (error.status === 404 && job.place) {
    // The server has given it up, or its machine has started again: from the first byte, then.
    job.place = "";
    return { kind: "lost" };
  }
  if (PASSING.includes(error.status) || error.code === "offset") return { kind: "lost", waitS: error.waitS };
  // A file of that name has come since the list was read.
  if (error.code === "conflict" && !job.replace) return { kind: "exists" };
  return { kind: "failed", error: error.message };
}

/** As `fetch`, which tells nobody how much it has sent. Gives the status, or throws an ApiError. */
function request(method, url, body, headers, onProgress, signal) {
  return new Promise((resolve, reject) => {
    const xhr = new XMLHttpRequest();
    let stalled = 0;
    const watch = () => {
      clearTimeout(stalled);
      stalled = setTimeout(() => xhr.abort(), STALLED_MS);
    };
    const lost = () => reject(errorFrom(0, ""));
    xhr.upload.onprogress = (event) => {
      watch();
      onProgress(event.loaded);
    };
    xhr.onloadend = () => clearTimeout(stalled);
    xhr.onload = () => {
      if (xhr.status >= 200 && xhr.status < 300) resolve(xhr.status);
      else reject(errorFrom(xhr.status, xhr.responseText, xhr.getResponseHeader("Retry-After")));
    };
    xhr.onerror = lost;
    xhr.onabort = lost;
    signal.addEventListener("abort", () => xhr.abort(), { once: true });
    xhr.open(method, url);
    for (const [name, value] of Object.entries(headers)) xhr.setRequestHeader(name, value);
    watch();
    xhr.send(body);
  });
}
