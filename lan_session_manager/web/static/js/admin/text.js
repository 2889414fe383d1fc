/** Every word of the admin page, in its language. */

import { language } from "../language.js";

export const { A } = await import(`../text/${language}/admin.js`);
