/** How another device joins: the address, as text and as a QR code. */

import { join, qrUrl } from "../api.js";
import { copyText } from "../clipboard.js";
import { html, useEffect, useRef, useState } from "../html.js";
import { T } from "../text.js";
import { Icon } from "./icons.js";
import { Popover } from "./popover.js";

function JoinCard() {
  const [url, setUrl] = useState("");
  const [local, setLocal] = useState("");
  const [trust, setTrust] = useState(null);
  const [notice, setNotice] = useState("");
  const [error, setError] = useState("");
  const [said, setSaid] = useState("");
  const address = useRef(null);

  useEffect(() => {
    join().then(
      (answer) => {
        if (answer.notice) return setNotice(answer.notice);
        setUrl(answer.url);
        setLocal(answer.local_url ?? "");
        if (answer.ca_url) setTrust({ url: answer.ca_url, fingerprint: answer.ca_fingerprint });
      },
      (failure) => setError(failure.message),
    );
  }, []);

  const copy = async () => setSaid((await copyText(url, address.current)) ? T.join.copied : T.join.byHand);

  return html`<h2>${T.join.title}</h2>
    ${error && html`<p role="alert">${error}</p>`}
    ${notice && html`<p>${notice}</p><p class="fine">${T.join.closed}</p>`}
    ${!url && !error && !notice && html`<p class="fine">${T.join.loading}</p>`}
    ${url && html`
      <img class="qr" src=${qrUrl} alt=${T.join.qr(url)} width="136" height="136" />
      <p>${T.join.scan}<span class="mono strong join-url" ref=${address}>${url}</span>${T.join.scanEnd}</p>
      ${local && html`<p>${T.join.byName}<span class="mono strong join-url">${local}</span></p>`}
      <p class="fine">${T.join.fine}</p>
      ${trust && html`<p class="fine">${T.join.trust}<a href=${trust.url} target="_blank" rel="noopener">${T.join.trustLink}</a>${T.join.trustEnd}
        <span class="mono join-fingerprint">${trust.fingerprint.split(":").map((pair, n) => html`${n ? ":" : ""}<wbr />${pair}`)}</span></p>`}
      <button class="btn" type="button" onClick=${copy}><${Icon} name="copy" />${T.join.copy}</button>
      <p class="fine" role="status">${said}</p>`}`;
}

/** The button in the bar with its card. */
export function Join() {
  const face = html`<${Icon} name="qr" /><span class="phone-hide">${T.join.button}</span>`;
  return html`<${Popover} name=${T.join.name} title=${T.join.title} face=${face}
    cardClass="join-card">${() => html`<${JoinCard} />`}<//>`;
}
