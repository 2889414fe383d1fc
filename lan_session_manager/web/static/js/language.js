/** The language of the page: the server has chosen it. */

/** As in an address: "en". Its words are in text/, in the folder of that name. */
export const language = document.documentElement.lang;

/** All there are, in the order in which they are offered. @type {string[]} */
export const languages = document.documentElement.dataset.languages.split(" ");

/** Where numbers and dates are written as in that language; English ones as in Europe: "23 Nov". */
export const locale = language === "en" ? "en-GB" : language;

const YEAR_S = 365 * 24 * 3600;

/** Remembered in this browser, for the next time that the page is loaded. @param {string} chosen one of `languages` */
export function wish(chosen) {
  document.cookie = `lsm-language=${chosen}; path=/; max-age=${YEAR_S}; samesite=strict`;
}
