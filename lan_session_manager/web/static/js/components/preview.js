/** A look into one file. Text stays text; a picture is decoded from bytes, never loaded by its address. */

import { visible, visibleText } from "../format.js";
import { html, useEffect, useState } from "../html.js";
import { image, table, text } from "../previews.js";
import { T } from "../text.js";

const NUMBER = /^\s*-?[\d.,\s]+%?\s*$/;

function Image({ path, name, onAbout }) {
  const [url, setUrl] = useState("");
  const [error, setError] = useState("");
  useEffect(() => {
    let made = "";
    let gone = false;
    image(path).then(
      (blob) => {
        if (gone) return;
        made = URL.createObjectURL(blob);
        setUrl(made);
      },
      (failure) => setError(T.outputs.failed(failure.message)),
    );
    return () => {
      gone = true;
      if (made) URL.revokeObjectURL(made);
    };
  }, [path]);
  if (error) return html`<p class="nothing">${error}</p>`;
  if (!url) return html`<p class="nothing">${T.reading}</p>`;
  return html`<img src=${url} alt=${T.outputs.alt(name)}
    onLoad=${(event) => onAbout(T.outputs.image(event.target.naturalWidth, event.target.naturalHeight))}
    onError=${() => setError(T.outputs.noImage)} />`;
}

function Table({ rows }) {
  const [head = [], ...body] = rows;
  const right = head.map((_, i) => body.length > 0 && body.every((row) => !row[i] || NUMBER.test(row[i])));
  const cls = (i) => (right[i] ? "r-al num" : "");
  return html`<div class="xscroll" tabindex="0"><table>
    <thead><tr>${head.map((cell, i) => html`<th class=${cls(i)}>${visible(cell)}</th>`)}</tr></thead>
    <tbody>${body.map((row) => html`<tr>
      ${row.map((cell, i) => html`<td class=${cls(i)}>${visible(cell)}</td>`)}
    </tr>`)}</tbody>
  </table></div>`;
}

function Text({ path, bytes, kind, onAbout }) {
  const [found, setFound] = useState(null);
  const [error, setError] = useState("");
  useEffect(() => {
    let gone = false;
    text(path, bytes).then(
      (answer) => {
        if (gone) return;
        const parsed = kind === "table" ? table(answer.text, answer.whole, path) : null;
        setFound({ ...answer, parsed });
        const rows = parsed && (parsed.total ?? parsed.rows.length - 1);
        if (parsed) onAbout(T.outputs.table(rows, parsed.columns, parsed.total !== null));
      },
      (failure) => setError(T.outputs.failed(failure.message)),
    );
    return () => {
      gone = true;
    };
  }, [path, bytes]);
  if (error) return html`<p class="nothing">${error}</p>`;
  if (!found) return html`<p class="nothing">${T.reading}</p>`;
  if (!found.text) return html`<p class="nothing">${T.outputs.blank}</p>`;
  if (found.parsed) return html`<${Table} rows=${found.parsed.rows} />`;
  return html`<pre class="textview" tabindex="0">${visibleText(found.text)}</pre>
    ${!found.whole && html`<p class="fine cutnote">${T.outputs.cut}</p>`}`;
}

/** @param {{path: string, name: string, bytes: number, kind: string, onAbout: (words: string) => void}} props */
export function Preview(props) {
  const View = props.kind === "image" ? Image : Text;
  return html`<div class="out-body"><${View} ...${props} /></div>`;
}
