/** The choice of the page's language. The server reads it from a cookie, so the page begins anew. */

import { html } from "../html.js";
import { language, languages, wish } from "../language.js";
import { T } from "../text.js";

const nameOf = (code) => new Intl.DisplayNames([code], { type: "language" }).of(code);

function choose(event) {
  wish(event.target.value);
  location.reload();
}

/** @param {{id: string}} props of the field, for its label */
export function Language({ id }) {
  return html`<p class="language"><label for=${id}>${T.page.language}</label>
    <select class="sel" id=${id} onChange=${choose}>
      ${languages.map((code) => html`<option key=${code} value=${code} lang=${code}
        selected=${code === language}>${nameOf(code)}</option>`)}
    </select></p>`;
}
