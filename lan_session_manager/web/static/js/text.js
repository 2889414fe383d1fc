/** Every word of the page, in its language. */

import { language } from "./language.js";

export const { T, O, SIGNALS } = await import(`./text/${language}/index.js`);
