/** What the owner of the server has to say: to everybody, or by pausing this session. */

import { ms, visible } from "../format.js";
import { html, useState } from "../html.js";
import { recall, remember } from "../storage.js";
import { T } from "../text.js";
import { useStore } from "../use-store.js";
import { useServerNow } from "./elapsed.js";
import { Icon } from "./icons.js";

const HIDDEN = "message";

function Told({ message }) {
  const [hidden, setHidden] = useState(() => recall(HIDDEN));
  const now = useServerNow();
  if (hidden === String(message.id) || (message.until && ms(message.until) <= now)) return null;
  const hide = () => {
    remember(HIDDEN, String(message.id));
    setHidden(String(message.id));
  };
  return html`<div class="banner banner--calm" data-message><${Icon} name="pen" />
    <p class="grow any"><b>${T.message.from}</b> <bdi>${visible(message.text)}</bdi></p>
    <button class="ib ib--lg" type="button" aria-label=${T.message.hide} title=${T.message.hide}
      onClick=${hide}><${Icon} name="x" /></button></div>`;
}

/** Two lines above the page, each there while there is a reason. */
export function OwnerMessage() {
  const message = useStore((state) => state.dash.message);
  const paused = useStore((state) => state.dash.paused);
  // The region stands before its words come: only then are they read aloud.
  return html`<div role="status">
    ${paused && html`<div class="banner banner--calm" data-paused><${Icon} name="pause" />
      <p class="grow"><b>${T.message.paused}</b>${T.message.pausedBody}</p></div>`}
    ${message && html`<${Told} key=${message.id} message=${message} />`}
  </div>`;
}
