/** What the admin page does: it asks every 5 s for what is shown, and hands on what the owner wants. */

import { ms, visible } from "../format.js";
import * as api from "./api.js";
import { admin, forget, sectionNow } from "./store.js";
import { A } from "./text.js";

const EACH_MS = 5000;
const PAGE = 50;
let timer = 0;
let round = 0; // so that of two rounds at once the newer one counts
let asked = 0; // so that an answer to an older question of the log is not shown

function failed(error) {
  if (error.status !== 401) return admin.set({ problem: error.message });
  clearTimeout(timer);
  // Whoever was inside stays there, behind the login: what is typed is not lost.
  if (admin.get().view === "open") return admin.set({ over: true, problem: "" });
  return forget();
}

/** Rows that are as they were stay the same objects, so that they are not drawn again. */
function reused(list, before, key) {
  const had = new Map((before ?? []).map((one) => [one[key], one]));
  return list.map((one) => {
    const old = had.get(one[key]);
    return old && JSON.stringify(old) === JSON.stringify(one) ? old : one;
  });
}

const READ = {
  async sessions() {
    const [found, leaving] = await Promise.all([api.sessions(), api.retention()]);
    const before = admin.get().sessions;
    return {
      leaving,
      sessions: { ...found, sessions: reused(found.sessions, before?.sessions, "session_id") },
    };
  },
  async queue() {
    const found = await api.queue();
    return { queue: { ...found, tasks: reused(found.tasks, admin.get().queue?.tasks, "task_id") } };
  },
  async health() {
    return { health: await api.health() };
  },
  async settings() {
    return { settings: await api.settings() };
  },
  async audit() {
    if ((admin.get().audit?.pages ?? 1) === 1) await readAudit();
  },
  async connections() {
    if ((admin.get().connections?.pages ?? 1) === 1) await readConnections();
  },
};

async function look() {
  const mine = (round += 1);
  const { section } = admin.get();
  try {
    const [seen, found] = await Promise.all([api.overview(), READ[section]()]);
    if (mine !== round) return;
    const now = Date.now();
    admin.set({
      seen,
      ...found,
      ...(seen !== admin.get().seen && { skew: ms(seen.timestamp) - now }),
      view: "open", over: false, lost: false, seenAt: now,
    });
  } catch (error) {
    if (mine !== round) return;
    if (error.status === 401) failed(error);
    else admin.set({ lost: true, ...(admin.get().view === "opening" && { view: "login", problem: error.message }) });
  }
}

async function again() {
  clearTimeout(timer);
  await look();
  const { view, over } = admin.get();
  clearTimeout(timer);
  if (view === "open" && !over) timer = setTimeout(() => (document.hidden ? waitSeen() : again()), EACH_MS);
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
  addEventListener("hashchange", () => {
    if (sectionNow() === admin.get().section) return;
    admin.set({ section: sectionNow(), problem: "" });
    scrollTo(0, 0);
    if (admin.get().view === "open") again();
  });
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
    api.forgetAll();
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
    clearTimeout(timer);
    round += 1;
    api.forgetAll();
    forget();
  });

/** @param {object} change of `verdict` or `session` */
export function filterAudit(change) {
  admin.set({ ...change, audit: null });
  return attempt(() => readAudit());
}

/** @param {string} session its workspace: the audit log of it alone */
export function showAuditOf(session) {
  admin.set({ session, verdict: "", audit: null, dialog: null });
  location.hash = "audit";
}

export const olderAudit = () => attempt(() => readAudit(admin.get().audit.next));
export const olderConnections = () => attempt(() => readConnections(admin.get().connections.next));

/** @param {string} kind of the dialog @param {object} facts that it needs */
export const ask = (kind, facts = {}) => admin.set({ dialog: { kind, ...facts }, problem: "" });
export const closeDialog = () => admin.set({ dialog: null, problem: "" });

async function done(doing) {
  if (!(await attempt(doing))) return false;
  closeDialog();
  await again();
  return true;
}

/** @param {string} name of a workspace @param {"end" | "pause" | "resume" | "trash" | "restore" | "purge"} verb */
export async function change(name, verb) {
  if (!(await done(() => api.change(name, verb)))) return;
  const words = A.sessions.said[verb];
  if (words) admin.set({ said: words(visible(name)) });
}

/** @param {object} session @param {object} limits */
export function give(session, limits) {
  if (Object.values(limits).some(Number.isNaN)) return admin.set({ problem: A.limits.numbers });
  return done(() => api.giveLimits(session.workspace, limits));
}

/** @param {string} text @param {number | null} seconds null: until it is taken back */
export const tell = (text, seconds) => done(() => api.tell(text, seconds));
export const takeBack = () => done(() => api.takeBack());

/** @param {string} id */
export const cancelTask = (id) => done(() => api.cancelTask(id));
export const checkAgain = () => done(() => api.checkAgain());
