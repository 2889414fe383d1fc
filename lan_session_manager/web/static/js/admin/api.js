/** The owner's calls: below /admin, where the cookie of the login counts. Raise ApiError. */

import { call, readJson } from "../api.js";

const ROOT = "/admin/api";
const NOT_MODIFIED = 304;

const get = (path) => call(path, { read: readJson });

const send = (method, path, body = {}) => {
  const headers = { "Content-Type": "application/json" };
  return call(path, { method, headers, body: JSON.stringify(body), read: readJson });
};

const known = new Map(); // by path: the last answer and its ETag

/** Has the next answers come whole, whatever was known. */
export const forgetAll = () => known.clear();

/** @param {string} path @returns {Promise<any>} the same object as before where nothing has changed */
function news(path) {
  const before = known.get(path);
  const read = async (response) => {
    if (response.status === NOT_MODIFIED) return before.body;
    const body = await response.json();
    known.set(path, { body, etag: response.headers.get("ETag") });
    return body;
  };
  return call(path, { read, ...(before && { headers: { "If-None-Match": before.etag } }) });
}

/** @param {Record<string, string | number>} values those that are empty are left out */
const query = (values) => new URLSearchParams(Object.entries(values).filter(([, value]) => value !== "")).toString();

/** @param {string} name of its workspace */
const session = (name) => `${ROOT}/session/${encodeURIComponent(name)}`;

export const login = (token) => send("POST", "/admin/login", { token });
export const isLoggedIn = async () => (await get("/admin/login")).is_logged_in;
export const logout = () => send("POST", "/admin/logout");
export const overview = () => news(`${ROOT}/overview`);
export const sessions = () => news(`${ROOT}/sessions`);
export const queue = () => news(`${ROOT}/queue`);
export const health = () => news(`${ROOT}/health`);
export const settings = () => news(`${ROOT}/settings`);
export const retention = () => get(`${ROOT}/retention`);
export const audit = (filter) => get(`${ROOT}/audit?${query(filter)}`);
export const connections = (filter) => get(`${ROOT}/connections?${query(filter)}`);
export const checkAgain = () => send("POST", `${ROOT}/doctor`);
export const tell = (text, seconds) => send("PUT", `${ROOT}/message`, { text, for_s: seconds });
export const takeBack = () => send("DELETE", `${ROOT}/message`);
export const cancelTask = (id) => send("POST", `${ROOT}/task/${encodeURIComponent(id)}/cancel`);
export const giveLimits = (name, limits) => send("PUT", `${session(name)}/limits`, limits);
/** @param {string} name @param {"end" | "pause" | "resume" | "trash" | "restore" | "purge"} verb */
export const change = (name, verb) => send("POST", `${session(name)}/${verb}`);
export const archiveUrl = (name) => `${session(name)}/archive`;
