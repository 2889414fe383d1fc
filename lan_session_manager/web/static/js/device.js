/** This device as the server knows it, the other devices of its session, and how a session gets to another device. */

import * as api from "./api.js";
import { recall, remember } from "./storage.js";
import { createStore, store } from "./store.js";
import { T } from "./text.js";

/**
 * `facts`: the server's last answer about this device ({@link import("./types.js").Facts}), or null;
 * `cookies`: whether this browser keeps the proof.
 */
export const devices = createStore({ facts: null, cookies: true });

// A session may have been seen at several addresses: what counts here is that of this device.
async function know(facts, cookies) {
  const ip = facts.device?.address ?? (await api.clientIp()).ip;
  devices.set({ facts, cookies });
  store.set({ ip });
}

const needsCookie = (facts) => !facts.device && (facts.is_shared || facts.identity === "device");

/** The page has nothing more to show. @param {"forgotten" | "left" | "cookies"} why */
function end(why) {
  if (why !== "cookies") {
    remember("device", null);
    remember("draft", null);
  }
  store.set({ phase: "gone", gone: why });
}

/**
 * Says who this device is, so that the browser has its cookie before anything else is asked for.
 * @returns {Promise<boolean>} false: without a cookie this server cannot know the device, and the page says so
 * @throws {import("./api.js").ApiError}
 */
export async function enrol() {
  let facts = navigator.cookieEnabled ? await api.enrol() : await api.device();
  let cookies = Boolean(facts.device);
  if (cookies && facts.device.id !== recall("device")) {
    // The first time it is looked whether the cookie comes back: a browser may take it and throw it away.
    const { id } = facts.device;
    facts = await api.device();
    cookies = facts.device?.id === id;
    if (cookies) remember("device", id);
  }
  if (needsCookie(facts)) end("cookies");
  else await know(facts, cookies);
  return !needsCookie(facts);
}

/**
 * Whether the page may go on as it is. When the device opens another session now, the page starts again.
 * @returns {Promise<boolean>}
 * @throws {import("./api.js").ApiError}
 */
export async function isStillSame() {
  const { facts: before, cookies } = devices.get();
  const facts = await api.device();
  if (before.device && !facts.device) end("forgotten");
  else if (needsCookie(facts)) end("cookies");
  else if (facts.session?.session_id !== store.get().dash.session.session_id) startAgain();
  else {
    await know(facts, cookies);
    return true;
  }
  return false;
}

let recovery = null;

// Several calls may fail at once: one of them finds out for all.
async function recover() {
  const { phase } = store.get();
  if (phase === "gone") return false;
  if (phase === "ready") return isStillSame();
  return enrol();
}

api.whenDeviceNeeded(() => {
  recovery ??= recover().finally(() => {
    recovery = null;
  });
  return recovery;
});

/** Nothing of one session stays on the page for the next. */
export function startAgain() {
  history.replaceState(null, "", location.pathname);
  location.reload();
}

/** @param {string} name @throws {import("./api.js").ApiError} */
export async function rename(name) {
  await api.nameDevice(name);
  await isStillSame();
}

/** @param {string | null} id another device of this session; null: this one @throws {import("./api.js").ApiError} */
export async function forget(id) {
  await api.forgetDevice(id);
  if (id) await isStillSame();
  else end("left");
}

/** The other devices of the session keep it. @throws {import("./api.js").ApiError} */
export async function startFresh() {
  await api.freshDevice();
  startAgain();
}

/** @param {{code: string} | {secret: string}} proof @throws {import("./api.js").ApiError} */
export async function claim(proof) {
  await api.claim(proof);
  startAgain();
}

/** Back to the session that is this device's own. @throws {import("./api.js").ApiError} */
export async function leave() {
  await api.leave();
  startAgain();
}

/** @param {any} facts @returns {string[]} what a person should know about how sure the server is of this device */
export function warnings({ facts, cookies }) {
  const { ip } = store.get();
  if (!cookies) return [T.device.noCookies(ip)];
  if (facts.is_shared) return [T.device.shared(ip)];
  const isLoopback = ip === "::1" || ip.startsWith("127.");
  return facts.can_tell || isLoopback ? [] : [T.device.cannotTell(ip)];
}
