/** The dialog in which the owner gives one session limits of its own. */

import { visible } from "../format.js";
import { html, useState } from "../html.js";
import { useStore } from "../use-store.js";
import { closeDialog, give } from "./actions.js";
import { Problem } from "./parts.js";
import { admin } from "./store.js";
import { A } from "./text.js";

const FIELDS = Object.keys(A.limits.fields);

/** @param {{session: any}} props as it was when the dialog opened */
export function Limits({ session }) {
  const busy = useStore((state) => state.busy, admin);
  const profiles = useStore((state) => state.sessions?.networks ?? [], admin);
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
            <span class="mono">${visible(name)}</span></label>`,
        )}</fieldset>`}
      <div class="wide"><${Problem} /></div>
    </div>
    <div class="dialog-acts">
      <button class="btn btn--lg" type="button" onClick=${closeDialog}>${A.cancel}</button>
      <button class="btn btn--lg btn--primary" type="submit" disabled=${busy}>${A.limits.save}</button>
    </div>
  </form>`;
}
