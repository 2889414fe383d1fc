/** What the admin page does. */

import * as api from "./api.js";
import { admin } from "./store.js";
import { A } from "./text.js";

const EACH_MS = 5000;
const PAGE = 25;
let timer = 0;
let asked = 0; // so that an answer to an older question of the log is not shown

function failed(error) {
  if (error.status === 401) {
    clearTimeout(timer);
    admin.set({ view: "login", problem: "", dialog: null, known: null, audit: null, connections: null });
    return;
  }
  admin.set({ problem: error.message });
}

async function look() {
  try {
    const [known, health] = await Promise.all([api.sessions(), api.health()]);
    admin.set({ view: "open", known, health, seenAt: Date.now(), lost: false });
    if ((admin.get().audit?.pages ?? 1) === 1) await readAudit();
    if ((admin.get().connections?.pages ?? 1) === 1) await readConnections();
  } catch (error) {
    if (error.status === 401) failed(error);
    else admin.set({ lost: true, ...(admin.get().view === "opening" && { view: "login", problem: error.message }) });
  }
}

async function again() {
  clearTimeout(timer);
  await look();
  if (admin.get().view === "open") timer = setTimeout(() => (document.hidden ? waitSeen() : again()), EACH_MS);
}

const waitSeen = () => document.addEventListener("visibilitychange", again, { once: true });

async function readAudit(before = "") {
  const { verdict, session, audit } = admin.get();
  const mine = (asked += 1);
  const page = await api.audit({ before, most: PAGE, verdict, session });
  if (mine !== asked) return;
  const entries = before ? [...audit.entries, ...page.entries] : page.entries;
  admin.set({ audit: { entries, next: page.next, pages: before ? audit.pages + 1 : 1 } });
}

async function readConnections(before = "") {
  const { connections: had } = admin.get();
  const page = await api.connections({ before, most: PAGE });
  const list = before ? [...had.connections, ...page.connections] : page.connections;
  admin.set({ connections: { connections: list, next: page.next, pages: before ? had.pages + 1 : 1 } });
}

/** Show the page, or the login where nobody is logged in. */
export async function start() {
  try {
    if (await api.isLoggedIn()) await again();
    else admin.set({ view: "login" });
  } catch (error) {
    admin.set({ view: "login", problem: error.message });
  }
}

/** @param {() => Promise<unknown>} doing @returns {Promise<boolean>} whether it succeeded */
async function attempt(doing) {
  admin.set({ busy: true, problem: "" });
  try {
    await doing();
    return true;
  } catch (error) {
    failed(error);
    return false;
  } finally {
    admin.set({ busy: false });
  }
}

/** @param {string} token */
export async function login(token) {
  admin.set({ busy: true, problem: "" });
  try {
    await api.login(token);
    await again();
  } catch (error) {
    admin.set({ problem: error.message });
  } finally {
    admin.set({ busy: false });
  }
}

export const logout = () =>
  attempt(async () => {
    await api.logout();
    failed({ status: 401 });
  });

/** @param {object} change of `verdict` or `session` */
export function filterAudit(change) {
  admin.set({ ...change, audit: null });
  return attempt(() => readAudit());
}

export const olderAudit = () => attempt(() => readAudit(admin.get().audit.next));
export const olderConnections = () => attempt(() => readConnections(admin.get().connections.next));

/** @param {"end" | "limits"} kind @param {object} session */
export const ask = (kind, session) => admin.set({ dialog: { kind, session }, problem: "" });
export const closeDialog = () => admin.set({ dialog: null, problem: "" });

/** @param {object} session */
export async function end(session) {
  if (!(await attempt(() => api.endSession(session.workspace)))) return;
  closeDialog();
  await again();
}

/** @param {object} session @param {object} limits */
export async function give(session, limits) {
  if (Object.values(limits).some(Number.isNaN)) return admin.set({ problem: A.limits.numbers });
  if (!(await attempt(() => api.giveLimits(session.workspace, limits)))) return undefined;
  closeDialog();
  return again();
}
