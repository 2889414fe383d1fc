/** The live connection: opened again for ever, with growing waits; while it is down the dashboard is polled instead. */

const FIRST_WAIT_MS = 400;
const LONGEST_WAIT_MS = 30000;
const OPEN_TIMEOUT_MS = 8000;
const PING_EVERY_MS = 12000;
const SILENCE_MS = 22000;
const POLL_EVERY_MS = 5000;

/** @param {number} attempt 1 for the first @returns {number} ms, spread: a room of browsers must not come at once */
function waitBefore(attempt) {
  const full = attempt <= 1 ? FIRST_WAIT_MS : Math.min(LONGEST_WAIT_MS, 1000 * 2 ** (attempt - 2));
  return Math.round(full * (0.75 + Math.random() * 0.5));
}

/**
 * @param {object} uses
 * @param {() => string} uses.url where to connect
 * @param {(message: any) => void} uses.onMessage
 * @param {(connection: import("./types.js").Connection) => void} uses.onChange
 * @param {() => void} uses.onOpen the first message of a new connection has come
 * @param {() => Promise<boolean>} uses.poll fetches the dashboard; whether that worked
 * @param {() => Promise<boolean>} uses.check before a lost connection is opened again: is this still the same device,
 *   with the same session? False ends it all; it throws where the server cannot be reached
 */
export function createLive({ url, onMessage, onChange, onOpen, poll, check }) {
  let socket = null;
  let opened = false;
  let attempt = 0;
  let lastHeard = 0;
  let timer = 0;
  let pulse = 0;
  let poller = 0;
  let polls = 0;
  let stopped = false;
  let state = { state: "connecting", lost: false, attempt: 0, retryAt: 0, waitMs: 0 };

  const change = (changes) => {
    state = { ...state, ...changes };
    onChange(state);
  };

  function drop() {
    clearTimeout(timer);
    clearInterval(pulse);
    if (!socket) return;
    const old = socket;
    socket = null;
    old.onopen = old.onmessage = old.onclose = null;
    old.close();
  }

  function connect() {
    drop();
    opened = false;
    change({ retryAt: 0 });
    if (attempt) checked();
    else open();
  }

  let checks = 0;
  async function checked() {
    checks += 1;
    const mine = checks;
    let fits = false;
    try {
      fits = await check();
    } catch {
      if (mine === checks && !stopped) failed();
      return;
    }
    if (mine !== checks || stopped) return;
    if (fits) open();
    else stop();
  }

  function open() {
    const mine = new WebSocket(url());
    socket = mine;
    timer = setTimeout(failed, OPEN_TIMEOUT_MS);
    mine.onmessage = (event) => {
      lastHeard = Date.now();
      let message;
      try {
        message = JSON.parse(event.data);
      } catch {
        return;
      }
      onMessage(message);
      if (!opened) nowOpen();
    };
    mine.onclose = failed;
  }

  function nowOpen() {
    opened = true;
    attempt = 0;
    clearTimeout(timer);
    clearTimeout(poller);
    pulse = setInterval(beat, 1000);
    change({ state: "live", lost: false, attempt: 0, retryAt: 0, waitMs: 0 });
    onOpen();
  }

  let pinged = 0;
  function beat() {
    const silent = Date.now() - lastHeard;
    if (silent > SILENCE_MS) failed();
    else if (silent > PING_EVERY_MS && Date.now() - pinged > PING_EVERY_MS) {
      pinged = Date.now();
      send({ type: "ping" });
    }
  }

  function failed() {
    const wasOpen = opened;
    drop();
    opened = false;
    attempt += 1;
    if (wasOpen) change({ state: "reconnecting" });
    schedule();
    // A connection that was there a moment ago gets its first retry before anybody is told that it is lost.
    if (!wasOpen) fallBack();
  }

  function schedule() {
    const waitMs = waitBefore(attempt);
    change({ attempt, waitMs, retryAt: Date.now() + waitMs });
    timer = setTimeout(connect, waitMs);
  }

  // Where sockets are blocked the page lives on this; attempts to open one go on beside it.
  async function fallBack() {
    clearTimeout(poller);
    polls += 1;
    const mine = polls;
    const reached = (document.hidden && state.state === "polling") || (await poll());
    if (opened || stopped || mine !== polls) return;
    change(reached ? { state: "polling", lost: false } : { state: "reconnecting", lost: true });
    if (reached) poller = setTimeout(fallBack, POLL_EVERY_MS);
  }

  /** Sends a message if the connection is open. */
  function send(message) {
    if (socket?.readyState === WebSocket.OPEN) socket.send(JSON.stringify(message));
  }

  /** Tries again at once. */
  function retryNow() {
    if (!opened && !stopped) connect();
  }

  /** Ends it for good. */
  function stop() {
    stopped = true;
    clearTimeout(poller);
    drop();
  }

  addEventListener("online", retryNow);
  document.addEventListener("visibilitychange", () => {
    if (document.hidden || stopped) return;
    // Timers sleep with a laptop's lid closed: the connection may be long dead.
    if (!opened) retryNow();
    else if (Date.now() - lastHeard > SILENCE_MS) failed();
  });

  return { start: connect, send, retryNow, stop, isOpen: () => opened };
}
