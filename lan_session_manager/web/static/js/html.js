/** The view library as the rest of the page uses it: one tagged template, the hooks, and `memo`. */

import { Component, h, render } from "../vendor/preact.js";
import htm from "../vendor/htm.js";

export { Component, h, render };
export { useEffect, useId, useLayoutEffect, useMemo, useRef, useState, useCallback } from "../vendor/preact-hooks.js";

export const html = htm.bind(h);

/**
 * A component that is drawn again only when one of its props is another value.
 * @template {object} P
 * @param {(props: P) => unknown} view
 */
export function memo(view) {
  return class extends Component {
    shouldComponentUpdate(next) {
      const now = this.props;
      const keys = Object.keys(next);
      return keys.length !== Object.keys(now).length || keys.some((key) => next[key] !== now[key]);
    }

    render() {
      // Through h(), so that the view may use hooks of its own.
      return h(view, this.props);
    }
  };
}
