/**
 * The link of a QR code that carries a session: "/#carry=SECRET". What it holds opens a session, so that it leaves the
 * address bar and the history before anything else happens. A script of its own in the page: the others wait for all
 * that they import.
 */

const LINK = /^#carry=([\w-]{16,128})$/;

let secret = "";
let onSecret = () => {};

function take() {
  const found = LINK.exec(location.hash);
  if (!location.hash.startsWith("#carry=")) return;
  history.replaceState(null, "", location.pathname + location.search);
  if (!found) return;
  secret = found[1];
  onSecret();
}

/** @returns {string} the secret that came with the address, once; else "" */
export function takeSecret() {
  const taken = secret;
  secret = "";
  return taken;
}

/** @param {() => void} listener called when a link is opened in a page that is there already */
export function whenCarried(listener) {
  onSecret = listener;
}

take();
addEventListener("hashchange", take);
