/** A look into one file. Text stays text; the rest is shown as `previews.js` says. */

import { fileUrl, previewUrl } from "../api.js";
import { visible, visibleText } from "../format.js";
import { html, useEffect, useMemo, useState } from "../html.js";
import { drawing, hasMore, image, neatJson, table, text } from "../previews.js";
import { store } from "../store.js";
import { T } from "../text.js";
import { Markdown } from "./markdown.js";
import { Icon } from "./icons.js";

const NUMBER = /^\s*-?[\d.,\s]+%?\s*$/;
const FIRST_ROWS = 8;
const MORE_ROWS = 200;

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

function Table({ rows, rest, onMore }) {
  const [shown, setShown] = useState(FIRST_ROWS);
  const [head = [], ...body] = rows;
  const seen = body.slice(0, shown);
  const right = useMemo(
    () => head.map((_, i) => body.length > 0 && body.slice(0, MORE_ROWS).every((row) => !row[i] || NUMBER.test(row[i]))),
    [rows],
  );
  const cls = (i) => (right[i] ? "r-al num" : "");
  const more = () => {
    if (shown >= body.length) onMore();
    setShown(shown + MORE_ROWS);
  };
  return html`<div class="xscroll yscroll" tabindex="0" role="region" aria-label=${T.outputs.rowsName}><table>
    <thead><tr>${head.map((cell, i) => html`<th scope="col" class=${cls(i)}>${visible(cell)}</th>`)}</tr></thead>
    <tbody>${seen.map((row) => html`<tr>
      ${row.map((cell, i) => html`<td class=${cls(i)} title=${visible(cell)}>${visible(cell)}</td>`)}
    </tr>`)}</tbody>
  </table></div>
  ${(shown < body.length || rest) && html`<p class="cutnote"><button class="linkbtn" type="button" onClick=${more}>
    ${T.outputs.moreRows}</button></p>`}`;
}

/** Markdown; its library is fetched when it is needed. */
function Formatted({ source }) {
  const [lexer, setLexer] = useState(null);
  useEffect(() => {
    import("../../vendor/marked.js").then(
      (marked) => setLexer(() => marked.lexer),
      () => setLexer(() => null),
    );
  }, []);
  if (!lexer) return html`<pre class="textview" tabindex="0">${visibleText(source)}</pre>`;
  return html`<${Markdown} source=${source} lexer=${lexer} />`;
}

function Text({ path, bytes, kind, onAbout }) {
  const [step, setStep] = useState(0);
  const [tries, setTries] = useState(0);
  const [found, setFound] = useState(null);
  const [error, setError] = useState("");
  useEffect(() => {
    let gone = false;
    setError("");
    text(path, bytes, step).then(
      (answer) => {
        if (gone) return;
        const parsed = kind === "table" ? table(answer.text, answer.whole, path) : null;
        const neat = kind === "json" && answer.whole ? neatJson(answer.text) : answer.text;
        setFound({ ...answer, parsed, neat, rest: hasMore(bytes, step) });
        const rows = parsed && (parsed.total ?? parsed.rows.length - 1);
        if (parsed) onAbout(T.outputs.table(rows, parsed.columns, parsed.total !== null));
      },
      (failure) => !gone && setError(T.outputs.failed(failure.message)),
    );
    return () => {
      gone = true;
    };
  }, [path, bytes, step, tries]);
  if (error && !found) return html`<p class="nothing">${error}</p>`;
  if (!found) return html`<p class="nothing">${T.reading}</p>`;
  if (!found.text) return html`<p class="nothing">${T.outputs.blank}</p>`;
  const { rest } = found; // of what is shown, while more of it is on its way
  const onMore = () => (error ? setTries(tries + 1) : setStep(step + 1));
  const failed = error && html`<p class="nothing" role="alert">${error}</p>`;
  if (found.parsed) return html`<${Table} rows=${found.parsed.rows} rest=${rest} onMore=${onMore} />${failed}`;
  return html`${kind === "markdown"
      ? html`<${Formatted} source=${found.text} />`
      : html`<pre class="textview" tabindex="0">${visibleText(found.neat)}</pre>`}
    ${!found.whole && html`<p class="fine cutnote">${rest
      ? html`<button class="linkbtn" type="button" onClick=${onMore}>${T.outputs.moreText}</button>`
      : T.outputs.cut}</p>`}${failed}`;
}

function Page({ url, name }) {
  // Without a single permission: no script, no form, no other page, no origin. The answer's own policy says the same.
  return html`<iframe class="pageview" sandbox="" src=${url} title=${T.outputs.page(name)} referrerpolicy="no-referrer"
      loading="lazy"></iframe>
    <p class="fine cutnote">${T.outputs.pageNote}</p>`;
}

function Media({ kind, url, name }) {
  const [failed, setFailed] = useState(false);
  if (failed) return html`<p class="nothing">${T.outputs.noMedia}</p>`;
  const face = { src: url, controls: true, preload: "metadata", "aria-label": name, onError: () => setFailed(true) };
  return kind === "audio" ? html`<audio ...${face}></audio>` : html`<video ...${face} playsinline></video>`;
}

/** A browser runs its viewer for PDF in no sandbox: so the file opens on its own, away from this page. */
function Pdf({ url, path }) {
  return html`<p class="nothing pdfnote"><span>${T.outputs.pdf}</span>
    <a class="btn" href=${url} target="_blank" rel="noopener noreferrer"><${Icon} name="file" />${T.outputs.openPdf}</a>
    <a class="btn" href=${fileUrl(store.get().ip, path)} download><${Icon} name="dl" />${T.outputs.download}</a></p>`;
}

function Drawing({ path, name }) {
  const [url, setUrl] = useState("");
  const [failed, setFailed] = useState(false);
  useEffect(() => {
    let gone = false;
    drawing(path).then(
      (found) => !gone && setUrl(found),
      () => setFailed(true),
    );
    return () => {
      gone = true;
    };
  }, [path]);
  if (failed) return html`<p class="nothing">${T.outputs.noImage}</p>`;
  if (!url) return html`<p class="nothing">${T.reading}</p>`;
  return html`<img class="drawing" src=${url} alt=${T.outputs.alt(name)} onError=${() => setFailed(true)} />`;
}

const VIEWS = { image: Image, drawing: Drawing, page: Page, pdf: Pdf, audio: Media, video: Media };

/** @param {{path: string, name: string, bytes: number, kind: string, onAbout: (words: string) => void}} props */
export function Preview(props) {
  const View = VIEWS[props.kind] ?? Text;
  return html`<div class="out-body"><${View} ...${props} url=${previewUrl(store.get().ip, props.path)} /></div>`;
}
