/** The two forms that a counted word has. */

import { count } from "../../format.js";

export const plural = (n, one, many) => `${count(n)} ${n === 1 ? one : many}`;
