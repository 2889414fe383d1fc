/** A button with a card that opens below it; Escape, a click elsewhere or leaving it by keyboard closes it. */

import { html, useEffect, useId, useRef, useState } from "../html.js";

/**
 * @param {{name?: string, title: string, face: unknown, buttonClass?: string, className?: string, cardClass?: string,
 *   children: unknown}} props `face`: what the button shows; `name`: its accessible name if `face` does not say it;
 *   `title`: the name of the card; `children`: the card, as a function so that it is made only when it is open; it is
 *   given what closes the card, with the focus back on the button
 */
export function Popover({ name, title, face, buttonClass = "btn", className = "", cardClass = "", children }) {
  const [open, setOpen] = useState(false);
  const root = useRef(null);
  const button = useRef(null);
  const id = useId();

  useEffect(() => {
    if (!open) return undefined;
    const outside = (event) => {
      if (!root.current.contains(event.target)) setOpen(false);
    };
    document.addEventListener("pointerdown", outside);
    return () => document.removeEventListener("pointerdown", outside);
  }, [open]);

  const close = () => {
    button.current.focus();
    setOpen(false);
  };
  const onKeyDown = (event) => {
    if (event.key !== "Escape" || !open) return;
    event.stopPropagation();
    close();
  };
  const onFocusOut = (event) => {
    if (event.relatedTarget && !root.current.contains(event.relatedTarget)) setOpen(false);
  };

  return html`<div class=${`pop ${className}`} ref=${root} onKeyDown=${onKeyDown} onFocusOut=${onFocusOut}>
    <button type="button" class=${buttonClass} ref=${button} aria-label=${name} aria-expanded=${open}
      aria-controls=${open ? id : undefined}
      onClick=${() => setOpen(!open)}>${face}</button>
    ${open && html`<div class=${`pop-card ${cardClass}`} id=${id} role="dialog" aria-label=${title}>
      ${children(close)}
    </div>`}
  </div>`;
}
