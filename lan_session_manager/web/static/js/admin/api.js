/** The owner's calls: below /admin, where the cookie of the login counts. Raise ApiError. */

import { call } from "../api.js";

const ROOT = "/admin/api";

const get = async (path) => (await call(path)).json();

const send = async (method, path, body = {}) => {
  const headers = { "Content-Type": "application/json" };
  const response = await call(path, { method, headers, body: JSON.stringify(body) });
  return response.status === 204 ? null : response.json();
};

/** @param {Record<string, string | number>} values those that are empty are left out */
const query = (values) => new URLSearchParams(Object.entries(values).filter(([, value]) => value !== "")).toString();

/** @param {string} name of its workspace */
const session = (name) => `${ROOT}/session/${encodeURIComponent(name)}`;

export const login = (token) => send("POST", "/admin/login", { token });
export const isLoggedIn = async () => (await get("/admin/login")).is_logged_in;
export const logout = () => send("POST", "/admin/logout");
export const health = () => get("/api/system/health");
export const sessions = () => get(`${ROOT}/sessions`);
export const audit = (filter) => get(`${ROOT}/audit?${query(filter)}`);
export const connections = (filter) => get(`${ROOT}/connections?${query(filter)}`);
export const giveLimits = (name, limits) => send("PUT", `${session(name)}/limits`, limits);
export const endSession = (name) => send("POST", `${session(name)}/end`);
