/** What was deleted: a line to undo each deletion of this page, and a dialog with all that can be brought back. */

import { attempt } from "../actions.js";
import * as api from "../api.js";
import { closeDialog, confirm } from "../dialogs.js";
import { deletions, dismissDeletion, restore, undo } from "../fileactions.js";
import { focusTree } from "../files.js";
import { clock, ms, size, visible } from "../format.js";
import { html, useEffect, useState } from "../html.js";
import { store } from "../store.js";
import { T } from "../text.js";
import { useStore } from "../use-store.js";
import { Icon, iconFor } from "./icons.js";

const LINES = 3;

const nameOf = (one) => {
  const name = visible(one.path.slice(one.path.lastIndexOf("/") + 1));
  return one.isContent || one.is_content || one.isFolder || one.type === "directory" ? `${name}/` : name;
};

function words(one, name) {
  if (one.state === "gone") return T.trash.gone(name);
  if (one.state === "taken") return T.trash.taken(name);
  if (one.state === "failed") return one.error;
  return one.isContent ? T.trash.emptied(name) : T.trash.deleted(name);
}

function Line({ one, lost }) {
  const name = nameOf(one);
  const busy = lost || one.state === "restoring";
  const trouble = !["deleted", "restoring"].includes(one.state);
  return html`<li class="undo" data-state=${one.state}>
    <${Icon} name=${trouble ? "warn" : "trash"} />
    <span class="grow undo-words"><bdi>${words(one, name)}</bdi></span>
    ${one.state === "taken"
      ? html`<button class="linkbtn" type="button" disabled=${busy}
        onClick=${() => undo(one.id, true)}>${T.trash.beside}</button>`
      : one.state !== "gone" && html`<button class="linkbtn" type="button" disabled=${busy}
        aria-label=${T.trash.undoName(name)} onClick=${() => undo(one.id)}>${T.trash.undo}</button>`}
    <button class="ib" type="button" aria-label=${T.trash.dismiss(name)} title=${T.dismiss}
      onClick=${() => {
        dismissDeletion(one.id);
        focusTree();
      }}><${Icon} name="x" /></button>
  </li>`;
}

/** The lines stay until they are used or dismissed. @param {{lost: boolean}} props */
export function Undo({ lost }) {
  const list = useStore((state) => state.list, deletions);
  return html`<ul class="undos" role="status" hidden=${!list.length}>
    ${list.slice(0, LINES).map((one) => html`<${Line} key=${one.id} one=${one} lost=${lost} />`)}
    ${list.length > LINES && html`<li class="fine undo-more">${T.trash.more(list.length - LINES)}</li>`}
  </ul>`;
}

function Entry({ entry, onChanged }) {
  const [state, setState] = useState({ state: "", error: "" });
  const name = nameOf(entry);
  const bring = async (elsewhere) => {
    setState({ state: "restoring", error: "" });
    const outcome = await restore(entry.id, entry.path, elsewhere);
    if (outcome.state === "restored" || outcome.state === "gone") onChanged();
    else setState({ state: outcome.state, error: outcome.error ?? "" });
  };
  const away = entry.is_content ? "" : visible(entry.path.slice(0, entry.path.lastIndexOf("/") + 1));
  return html`<li class="kept">
    <${Icon} name=${entry.is_content || entry.type === "directory" ? "dir" : iconFor(entry.path)} />
    <span class="kept-name"><span class="trunc"><bdi>${entry.is_content ? T.trash.all(name) : name}</bdi></span>
      <span class="fine trunc">${[away, T.trash.at(clock(ms(entry.deleted_at)))].filter(Boolean).join(T.dot)}</span>
      ${(state.state === "taken" || state.state === "failed") && html`<span class="fine kept-why" role="alert">
        ${state.state === "taken" ? T.trash.taken(name) : state.error}</span>`}
    </span>
    <span class="size num">${size(entry.size)}</span>
    <button class="btn" type="button" disabled=${state.state === "restoring"}
      aria-label=${state.state === "taken" ? undefined : T.trash.restoreName(name)}
      onClick=${() => bring(state.state === "taken")}>
      <${Icon} name="undo" />${state.state === "taken" ? T.trash.beside : T.trash.restore}</button>
  </li>`;
}

async function askEmpty(list) {
  const bytes = list.reduce((sum, entry) => sum + entry.size, 0);
  const body = T.trash.emptyBody(list.length, size(bytes));
  if (!(await confirm({ title: T.trash.emptyTitle, body, button: T.trash.empty }))) return;
  await attempt(async () => {
    await api.emptyTrash(store.get().ip);
    deletions.set({ list: [] });
  });
}

/** The dialog. */
export function Trash() {
  const [found, setFound] = useState({ state: "loading", list: [], error: "" });
  const load = () =>
    api.trash(store.get().ip).then(
      (answer) => setFound({ state: "ready", list: answer.entries, error: "" }),
      (error) => setFound({ state: "failed", list: [], error: error.message }),
    );
  useEffect(() => void load(), []);
  const { state, list } = found;
  return html`<div class="dialog-head"><h2 id="h-dialog">${T.trash.title}</h2><span class="grow"></span>
      <button class="ib ib--lg" type="button" autofocus aria-label=${T.close} title=${T.close}
        onClick=${() => closeDialog()}><${Icon} name="x" /></button></div>
    <div class="dialog-body trash-body">
      <p class="fine">${T.trash.about}</p>
      ${state === "loading" && html`<p class="nothing">${T.reading}</p>`}
      ${state === "failed" && html`<p class="nothing" role="alert">${found.error} <button class="linkbtn" type="button"
        onClick=${load}>${T.retry}</button></p>`}
      ${state === "ready" && !list.length && html`<p class="nothing">${T.trash.nothing}</p>`}
      <ul class="kepts">${list.map((entry) => html`<${Entry} key=${entry.id} entry=${entry} onChanged=${load} />`)}</ul>
    </div>
    ${list.length > 0 && html`<div class="dialog-acts"><button class="btn btn--lg" type="button"
      onClick=${() => askEmpty(list)}><${Icon} name="trash" />${T.trash.emptyAsk}</button></div>`}`;
}
