/** The keys that the page knows. */

import { closeDialog } from "../dialogs.js";
import { html } from "../html.js";
import { T } from "../text.js";
import { Icon } from "./icons.js";

/** A dialog's content. */
export function Keys() {
  return html`<div class="dialog-head"><h2 id="h-dialog">${T.keys.title}</h2><span class="grow"></span>
      <button class="ib ib--lg" type="button" autofocus aria-label=${T.close} title=${T.close}
        onClick=${() => closeDialog()}><${Icon} name="x" /></button></div>
    <div class="dialog-body"><p class="fine">${T.keys.where}</p>
      <dl class="keys">${T.keys.all.map(([keys, what]) => html`<div key=${keys}><dt>${keys.split(" ").map((key) => html`<kbd>${key}</kbd> `)}</dt>
        <dd>${what}</dd></div>`)}</dl></div>`;
}
