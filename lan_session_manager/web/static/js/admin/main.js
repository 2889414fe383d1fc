/** Starts the admin page. */

import { html, render } from "../html.js";
import { start } from "./actions.js";
import { App } from "./app.js";

render(html`<${App} />`, document.getElementById("root"));
start();
