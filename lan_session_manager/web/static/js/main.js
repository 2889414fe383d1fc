/** Starts the page. */

import { followRoute, start } from "./actions.js";
import { takeSecret, whenCarried } from "./carrylink.js";
import { App } from "./components/app.js";
import { show } from "./dialogs.js";
import { html, render } from "./html.js";
import { watch } from "./sight.js";
import { store } from "./store.js";

// A link that carries a session asks first, and once there is something to ask in.
function offerLink() {
  if (store.get().phase !== "ready") return;
  const secret = takeSecret();
  if (secret) show({ kind: "claim", secret });
}

whenCarried(offerLink);
followRoute();
watch();
addEventListener("hashchange", followRoute);
render(html`<${App} />`, document.getElementById("root"));
start().then(offerLink);
