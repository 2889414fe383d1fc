/** Where files are dropped or chosen, and how their uploads stand. */

import { useDragOver } from "../drag.js";
import { html, useRef } from "../html.js";
import { T } from "../text.js";
import { upload } from "../uploads.js";
import { Icon } from "./icons.js";
import { Sends } from "./sends.js";

/** "choose files" or "a folder", a real file field behind a link. */
export function ChooseFiles({ lost, folder = false }) {
  const picker = useRef(null);
  const choose = (event) => {
    upload([...event.target.files]);
    event.target.value = "";
  };
  return html`<button class="linkbtn" type="button" disabled=${lost}
    onClick=${() => picker.current.click()}>${folder ? T.workspace.chooseFolder : T.workspace.choose}</button>
      <input type="file" multiple hidden webkitdirectory=${folder} ref=${picker} onChange=${choose} />`;
}

/** @param {{lost: boolean}} props */
export function DropZone({ lost }) {
  const [over, handlers] = useDragOver();
  return html`<div class=${`drop${over ? " drop--over" : ""}`} data-dropzone="inputs" ...${handlers}>
    <div class="drop-row"><${Icon} name="ul" />
      <span>${over ? T.workspace.dropNow : html`${T.workspace.drop}<${ChooseFiles}
        lost=${lost} />${T.workspace.or}<${ChooseFiles} lost=${lost} folder />`}</span>
    </div>
    <${Sends} lost=${lost} />
  </div>`;
}
