/** Tasks as they are named to who listens. */

import { padded, visible } from "./format.js";
import { T } from "./text.js";

/** @param {import("./types.js").Task} task @returns {string} "task 007", as it is said */
export const spokenId = (task) => T.spoken(task.number === null ? visible(task.task_id) : padded(task.number));
