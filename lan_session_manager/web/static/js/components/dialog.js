/** The one dialog of the page: a question before something is lost, a look into a file, or a code. */

import { fileUrl } from "../api.js";
import { closeDialog, dialogs } from "../dialogs.js";
import { size, visible } from "../format.js";
import { html, useLayoutEffect, useRef, useState } from "../html.js";
import { kindOf } from "../previews.js";
import { T } from "../text.js";
import { useStore } from "../use-store.js";
import { Carry, Claim, Token } from "./carry.js";
import { Icon } from "./icons.js";
import { Preview } from "./preview.js";

const KINDS = { confirm: Confirm, preview: Look, carry: Carry, claim: Claim, token: Token };

function Confirm({ title, body, button, keep = T.dialog.keep }) {
  return html`<div class="dialog-body"><h2 id="h-dialog">${title}</h2><p>${body}</p></div>
    <div class="dialog-acts">
      <button class="btn btn--lg" type="button" autofocus onClick=${() => closeDialog(false)}>${keep}</button>
      <button class="btn btn--lg btn--danger" type="button" onClick=${() => closeDialog(true)}>${button}</button>
    </div>`;
}

function Look({ file }) {
  const ip = useStore((state) => state.ip);
  const [about, setAbout] = useState("");
  const name = visible(file.name);
  return html`<div class="dialog-head">
      <h2 id="h-dialog" class="mono trunc"><bdi>${name}</bdi></h2>
      <span class="fine num">${about}${size(file.size)}</span><span class="grow"></span>
      <a class="btn" href=${fileUrl(ip, file.path)} download><${Icon} name="dl" />${T.log.download}</a>
      <button class="ib ib--lg" type="button" autofocus aria-label=${T.close} title=${T.close}
        onClick=${() => closeDialog()}><${Icon} name="x" /></button>
    </div>
    <div class="dialog-look"><${Preview} path=${file.path} name=${name} bytes=${file.size}
      kind=${kindOf(file.name, file.size)} onAbout=${setAbout} /></div>`;
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
  return html`<dialog class=${`dialog dialog--${shown.kind}`} ref=${box} aria-labelledby="h-dialog" onCancel=${onCancel}
    onClick=${onClick}>
    <div class="dialog-in"><${KINDS[shown.kind]} ...${shown} /></div>
  </dialog>`;
}
