/** The server's REST calls. Every failure is an ApiError whose message is a sentence for people. */

import { T } from "./text.js";

const TIMEOUT_MS = 20000;
const NO_CONTENT = 204;
const NOT_MODIFIED = 304; // the answer to who asks by an ETag
const DEVICE = "/api/device";

/**
 * A call that did not succeed. `status` is 0 when the server could not be reached; `waitS`: seconds until it may be
 * tried again, 0 when the server does not say.
 */
export class ApiError extends Error {
  /**
   * @param {string} message
   * @param {{status?: number, code?: string, waitS?: number}} facts
   */
  constructor(message, { status = 0, code = "", waitS = 0 } = {}) {
    super(message);
    this.status = status;
    this.code = code;
    this.waitS = waitS;
  }
}

/**
 * The error that an answer of the server stands for.
 * @param {number} status
 * @param {string} body
 * @param {string | null} retryAfter
 */
export function errorFrom(status, body, retryAfter = null) {
  let message = T.errors.status(status);
  let code = "";
  try {
    const parsed = JSON.parse(body);
    if (typeof parsed.error === "string") message = parsed.error;
    if (typeof parsed.code === "string") code = parsed.code;
  } catch {
    // Not the server's own words, such as a proxy's page: the status has to do.
  }
  const waitS = Math.max(0, Number(retryAfter) || 0);
  // Where the server's own sentence says it already, once is enough.
  if (waitS && code !== "too_many_requests") message += T.errors.wait(waitS);
  return new ApiError(message, { status, code, waitS });
}

let onDeviceNeeded = async () => false;

/** @param {() => Promise<boolean>} handler called when nobody can say who asks; whether to ask once more */
export function whenDeviceNeeded(handler) {
  onDeviceNeeded = handler;
}

/**
 * @param {string} path
 * @param {RequestInit & {timeoutMs?: number, read?: (answer: Response) => any}} options `read`: what is made of the
 *   answer; one that breaks off or is something else counts as none
 * @returns {Promise<any>} what `read` gives of a successful answer, or the answer itself
 * @throws {ApiError}
 */
export async function call(path, options = {}) {
  try {
    return await callOnce(path, options);
  } catch (error) {
    if (error.code !== "device_needed" || path === DEVICE || !(await onDeviceNeeded())) throw error;
    return callOnce(path, options);
  }
}

async function callOnce(path, { timeoutMs = TIMEOUT_MS, read = (answer) => answer, ...options }) {
  const stop = new AbortController();
  const timer = setTimeout(() => stop.abort(), timeoutMs);
  try {
    const response = await fetch(path, { credentials: "same-origin", cache: "no-store", ...options, signal: stop.signal });
    if (!response.ok && response.status !== NOT_MODIFIED) throw errorFrom(response.status, await response.text(), response.headers.get("Retry-After"));
    return await read(response);
  } catch (error) {
    if (error instanceof ApiError) throw error;
    throw new ApiError(stop.signal.aborted ? T.errors.timeout : T.errors.network, { code: "network" });
  } finally {
    clearTimeout(timer);
  }
}

/** @param {Response} response @returns {Promise<any>} what it says; null where it says nothing */
export const readJson = (response) => (response.status === NO_CONTENT ? null : response.json());

/** @param {string} path @param {object} [options] @returns {Promise<any>} */
const getJson = (path, options) => call(path, { ...options, read: readJson });

const send = (method, path, body, options = {}) => {
  const headers = { "Content-Type": "application/json" };
  return call(path, { method, headers, body: JSON.stringify(body ?? {}), read: readJson, ...options });
};

const taskUrl = (id) => `/api/task/${encodeURIComponent(id)}`;
const workspace = (ip) => `/api/workspace/${encodeURIComponent(ip)}`;

/** @param {string} path @returns {string} each segment encoded, the slashes kept */
const encodePath = (path) => path.split("/").map(encodeURIComponent).join("/");

export const clientIp = () => getJson("/api/client-ip", { timeoutMs: 8000 });
export const device = () => getJson(DEVICE, { timeoutMs: 8000 });
export const enrol = () => send("POST", DEVICE, {}, { timeoutMs: 8000 });
export const freshDevice = () => send("POST", DEVICE, { fresh: true });
export const programToken = (name) => send("POST", DEVICE, name ? { program: true, name } : { program: true });
export const nameDevice = (name) => send("PATCH", DEVICE, { name });
export const forgetDevice = (id) => send("DELETE", id ? `${DEVICE}/${encodeURIComponent(id)}` : DEVICE);
export const carry = () => send("POST", `${DEVICE}/carry`);
export const claim = (proof) => send("POST", `${DEVICE}/claim`, proof);
export const leave = () => send("POST", `${DEVICE}/leave`);
export const task = (id) => getJson(taskUrl(id));
export const taskSamples = (id) => getJson(`${taskUrl(id)}/samples`);
export const taskOutputs = (id) => getJson(`${taskUrl(id)}/outputs`);
export const dashboard = (ip) => getJson(`/api/dashboard/${encodeURIComponent(ip)}`, { timeoutMs: 8000 });
export const submitTask = (body) => send("POST", "/api/task/submit", body);
/** @param {{before?: string, most: number, q?: string}} wanted */
export const tasksPage = (wanted) => getJson(`/api/tasks?${new URLSearchParams(wanted)}`);
export const bulk = (action, ids) => send("POST", "/api/tasks/bulk", { action, task_ids: ids });
export const changeTask = (id, changes) => send("PATCH", taskUrl(id), changes);
export const cancelTask = (id) => send("POST", `${taskUrl(id)}/cancel`);
export const rerunTask = (id, changes) => send("POST", `${taskUrl(id)}/rerun`, changes);
export const deleteTask = (id) => send("DELETE", taskUrl(id));
export const join = () => getJson("/api/join");
export const listFolder = (ip, path) => getJson(`${workspace(ip)}/files?path=${encodeURIComponent(path)}`);
export const deleteFile = (ip, path) => send("DELETE", fileUrl(ip, path));
export const moveFile = (ip, from, to) => send("POST", `${workspace(ip)}/move`, { from, to });
export const makeFolder = (ip, path) => send("POST", `${workspace(ip)}/directory`, { path });
export const trash = (ip) => getJson(`${workspace(ip)}/trash`);
export const throwAway = (ip, path) => send("POST", `${workspace(ip)}/trash`, { path });
export const restoreFile = (ip, id, to) =>
  send("POST", `${workspace(ip)}/trash/${encodeURIComponent(id)}/restore`, to ? { to } : {});
export const emptyTrash = (ip) => send("DELETE", `${workspace(ip)}/trash`);
export const unfinishedUploads = (ip) => getJson(`${workspace(ip)}/uploads`);
export const newUpload = (ip, body) => send("POST", `${workspace(ip)}/uploads`, body);
export const uploadState = (ip, id) => getJson(uploadUrl(ip, id));
export const dropUpload = (ip, id) => send("DELETE", uploadUrl(ip, id), {}, { keepalive: true });

/** @param {string} id @param {number} after the first byte wanted */
export const logFrom = (id, after) => call(`${taskUrl(id)}/log?after=${after}&follow=0`);

/** @param {string} id @param {object} query where: `tail`, `before`, `after` or `line`, and how many at `most` */
export const logLines = (id, query) => getJson(`${taskUrl(id)}/log/lines?${new URLSearchParams(query)}`);

/** @param {string} id @param {string} q what to find, in capital letters or not @param {number} after from that byte on */
export const searchLog = (id, q, after) =>
  getJson(`${taskUrl(id)}/log/search?${new URLSearchParams({ q, after: String(after), ignore_case: "1", most: "500" })}`);

export const logDownloadUrl = (id) => `${taskUrl(id)}/log?after=0&follow=0&download=1`;
export const fileUrl = (ip, path) => `${workspace(ip)}/files/${encodePath(path)}`;
export const previewUrl = (ip, path) => `${workspace(ip)}/preview/${encodePath(path)}`;
export const uploadUrl = (ip, id) => `${workspace(ip)}/uploads/${encodeURIComponent(id)}`;
export const archiveUrl = (ip, path) => `${workspace(ip)}/archive?path=${encodeURIComponent(path)}`;
export const qrUrl = "/api/join/qr.svg";
