/** Starts the page. */

import { followRoute, start } from "./actions.js";
import { App } from "./components/app.js";
import { html, render } from "./html.js";

followRoute();
addEventListener("hashchange", followRoute);
render(html`<${App} />`, document.getElementById("root"));
start();
