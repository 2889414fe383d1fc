/** The owner's calls: below /admin, where the cookie of the login counts. Raise ApiError. */

import { call } from "../api.js";

const ROOT = "/admin/api";
const NOT_MODIFIED = 304;

const get = async (path) => (await call(path)).json();

const send = async (method, path, body = {}) => {
  const headers = { "Content-Type": "application/json" };
  const response = await call(path, { method, headers, body: JSON.stringify(body) });
  return response.status === 204 ? null : response.json();
};

const known = new Map(); // by path: the ETag of the last answer

/** Has the next answers come whole, whatever was known. */
export const forgetAll = () => known.clear();

/** @param {string} path @returns {Promise<any>} null: it is as it was */
async function news(path) {
  const etag = known.get(path);
  const response = await call(path, etag ? { headers: { "If-None-Match": etag } } : {});
  if (response.status === NOT_MODIFIED) return null;
  const body = await response.json();
  known.set(path, response.headers.get("ETag"));
  return body;
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
