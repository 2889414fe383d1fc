/** The dialogs of the admin page: the question before a session is ended, and its limits. */

import { html, useEffect, useRef, useState } from "../html.js";
import { Icon } from "../components/icons.js";
import { visible } from "../format.js";
import { useStore } from "../use-store.js";
import { closeDialog, end, give } from "./actions.js";
import { admin } from "./store.js";
import { A } from "./text.js";

/** The last thing that did not succeed. */
export function Problem() {
  const problem = useStore((state) => state.problem, admin);
  return problem && html`<p class="problem" role="alert"><${Icon} name="warn" /><span>${problem}</span></p>`;
}

function End({ session }) {
  const busy = useStore((state) => state.busy, admin);
  return html`<div class="dialog-body"><h2 id="h-dialog">${A.end.title(visible(session.workspace))}</h2>
      <p>${A.end.body(session.running, session.queued)}</p><${Problem} /></div>
    <div class="dialog-acts">
      <button class="btn btn--lg" type="button" autofocus onClick=${closeDialog}>${A.end.keep}</button>
      <button class="btn btn--lg btn--danger" type="button" disabled=${busy}
        onClick=${() => end(session)}>${A.end.button}</button>
    </div>`;
}

const FIELDS = Object.keys(A.limits.fields);

function Limits({ session }) {
  const busy = useStore((state) => state.busy, admin);
  const profiles = useStore((state) => state.known?.networks ?? [], admin);
  const { given, limits } = session;
  const [values, setValues] = useState(() => Object.fromEntries(FIELDS.map((name) => [name, given[name] ?? ""])));
  const [networks, setNetworks] = useState(given.networks);
  const onSubmit = (event) => {
    event.preventDefault();
    const numbers = FIELDS.map((name) => {
      const text = String(values[name]).trim();
      return [name, text === "" ? null : Number(text)];
    });
    give(session, { ...Object.fromEntries(numbers), networks });
  };
  const toggle = (name) => {
    const now = networks ?? limits.networks;
    setNetworks(now.includes(name) ? now.filter((other) => other !== name) : [...now, name]);
  };
  return html`<form class="dialog-in" onSubmit=${onSubmit}>
    <div class="dialog-body"><h2 id="h-dialog">${A.limits.title(visible(session.workspace))}</h2>
      <p>${A.limits.lead}</p></div>
    <div class="limits">
      ${FIELDS.map(
        (name) => html`<label key=${name} for=${`f-${name}`}>${A.limits.fields[name]}
            <span class="two-line num">${A.limits.now(limits[name])}</span></label>
          <input class="field num" id=${`f-${name}`} name=${name} inputmode="decimal" autocomplete="off"
            value=${values[name]} onInput=${(event) => setValues({ ...values, [name]: event.target.value })} />`,
      )}
      ${profiles.length > 0 &&
      html`<fieldset><legend>${A.limits.networks}</legend>
        <label><input type="checkbox" checked=${networks === null}
          onChange=${() => setNetworks(networks === null ? [...limits.networks] : null)} />${A.limits.networksUsual}
        </label>
        ${profiles.map(
          (name) => html`<label key=${name}><input type="checkbox" disabled=${networks === null}
            checked=${(networks ?? limits.networks).includes(name)} onChange=${() => toggle(name)} />
            <span class="mono">${name}</span></label>`,
        )}</fieldset>`}
      <div class="wide"><${Problem} /></div>
    </div>
    <div class="dialog-acts">
      <button class="btn btn--lg" type="button" onClick=${closeDialog}>${A.limits.cancel}</button>
      <button class="btn btn--lg btn--primary" type="submit" disabled=${busy}>${A.limits.save}</button>
    </div>
  </form>`;
}

const KINDS = { end: End, limits: Limits };

/** Nothing while there is nothing to ask. */
export function Dialog() {
  const shown = useStore((state) => state.dialog, admin);
  const box = useRef(null);
  useEffect(() => {
    if (!shown) return undefined;
    const before = document.activeElement;
    box.current.showModal();
    return () => {
      if (before?.isConnected) before.focus();
    };
  }, [shown]);
  if (!shown) return null;
  const onCancel = (event) => {
    event.preventDefault();
    closeDialog();
  };
  return html`<dialog class=${`dialog dialog--${shown.kind}`} ref=${box} aria-labelledby="h-dialog"
    onCancel=${onCancel}><div class="dialog-in"><${KINDS[shown.kind]} session=${shown.session} /></div></dialog>`;
}
