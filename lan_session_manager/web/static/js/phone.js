/** Whether the page is laid out for a phone: one view at a time. The same width as in the stylesheets. */

import { useEffect, useState } from "./html.js";

export const PHONE = matchMedia("(max-width: 47.49rem)");

/** @returns {boolean} */
export function usePhone() {
  const [phone, setPhone] = useState(PHONE.matches);
  useEffect(() => {
    const change = () => setPhone(PHONE.matches);
    PHONE.addEventListener("change", change);
    return () => PHONE.removeEventListener("change", change);
  }, []);
  return phone;
}
