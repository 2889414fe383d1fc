/** The one dialog of the page: a question before something is lost, a look into a file, or a code. */

import { closeDialog, dialogs } from "../dialogs.js";
import { html, useLayoutEffect, useRef } from "../html.js";
import { T } from "../text.js";
import { useStore } from "../use-store.js";
import { Carry, Claim, Token } from "./carry.js";
import { Keys } from "./keys.js";
import { Look } from "./look.js";
import { Trash } from "./trash.js";

const KINDS = { confirm: Confirm, preview: Look, trash: Trash, carry: Carry, claim: Claim, token: Token, keys: Keys };

function Confirm({ title, body, button, keep = T.dialog.keep }) {
  return html`<div class="dialog-body"><h2 id="h-dialog">${title}</h2><p>${body}</p></div>
    <div class="dialog-acts">
      <button class="btn btn--lg" type="button" autofocus onClick=${() => closeDialog(false)}>${keep}</button>
      <button class="btn btn--lg btn--danger" type="button" onClick=${() => closeDialog(true)}>${button}</button>
    </div>`;
}

/** Nothing while there is nothing to ask or to show. */
export function Dialog() {
  const shown = useStore((state) => state.shown, dialogs);
  const box = useRef(null);
  const before = useRef(null);
  useLayoutEffect(() => {
    if (!shown) return undefined;
    before.current = document.activeElement;
    box.current.showModal();
    return () => {
      // Back to where the person was, if that is still there.
      if (before.current?.isConnected) before.current.focus();
    };
  }, [shown]);
  if (!shown) return null;
  const onCancel = (event) => {
    event.preventDefault();
    closeDialog(false);
  };
  const onClick = (event) => {
    // A token is shown once: a click beside it must not be its end.
    if (event.target === box.current && shown.kind !== "token") closeDialog(false);
  };
  return html`<dialog key=${shown.kind} class=${`dialog dialog--${shown.kind}`} ref=${box} aria-labelledby="h-dialog" onCancel=${onCancel}
    onClick=${onClick}>
    <div class="dialog-in"><${KINDS[shown.kind]} ...${shown} /></div>
  </dialog>`;
}
