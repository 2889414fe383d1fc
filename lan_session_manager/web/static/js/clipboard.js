/** Copying text, also where the clipboard's own interface is not to be had: on plain HTTP it never is. */

/**
 * @param {string} text
 * @param {HTMLElement} fallback shows the same text: it is selected when nothing else works
 * @returns {Promise<boolean>} whether the text is on the clipboard
 */
export async function copyText(text, fallback) {
  if (navigator.clipboard && isSecureContext) {
    try {
      await navigator.clipboard.writeText(text);
      return true;
    } catch {
      // Refused: the older way below may still be allowed.
    }
  }
  const selection = getSelection();
  const range = document.createRange();
  range.selectNodeContents(fallback);
  selection.removeAllRanges();
  selection.addRange(range);
  let copied = false;
  try {
    copied = document.execCommand("copy");
  } catch {
    copied = false;
  }
  if (copied) selection.removeAllRanges();
  return copied;
}
