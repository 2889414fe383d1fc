/** Light or dark: follows the system until somebody chooses, then the choice is remembered. */

import { remember } from "./storage.js";

/** Switches from what is seen now to the other theme, and remembers that. */
export function toggleTheme() {
  const root = document.documentElement;
  const systemIsDark = matchMedia("(prefers-color-scheme: dark)").matches;
  const isDark = root.dataset.theme ? root.dataset.theme === "dark" : systemIsDark;
  root.dataset.theme = isDark ? "light" : "dark";
  remember("theme", root.dataset.theme);
}
