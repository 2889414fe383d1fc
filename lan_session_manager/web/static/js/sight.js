/** Tells the server whether somebody may look at this page, and keeps a session that somebody still uses. */

import { live, onOpen } from "./actions.js";
import { store } from "./store.js";

const INPUTS = ["pointerdown", "keydown", "wheel"];

// What the server believes: whoever has just connected is taken to look.
let told = true;

function look() {
  // Coming back alone keeps nothing of which a warning is shown: a window that another one uncovers is no person.
  const inSight = !document.hidden && !store.get().expiresAt;
  if (inSight === told) return;
  told = inSight;
  live.send({ type: "in_sight", in_sight: inSight });
}

/** Somebody uses the page: a session of which a warning is shown goes on. */
export function keep() {
  if (!store.get().expiresAt) return;
  live.send({ type: "keep" });
  store.set({ expiresAt: 0 });
  look();
}

/** From now on. */
export function watch() {
  onOpen(() => {
    told = true;
    store.set({ expiresAt: 0 });
    look();
  });
  document.addEventListener("visibilitychange", look);
  // The banner's own button is left to be pressed: gone under the finger, it would look as if it had been missed.
  const used = (event) => event.target.closest?.("[data-ending]") || keep();
  for (const name of INPUTS) addEventListener(name, used, { capture: true, passive: true });
  // A new connection would open the session again.
  store.subscribe(({ expired }) => expired && live.stop());
}
