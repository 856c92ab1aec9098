/** Makes elements. */

/** @typedef {Node | string | null | undefined | false} Child */

/**
 * @template {keyof HTMLElementTagNameMap} Tag
 * @param {Tag} tag
 * @param {Record<string, unknown>} [attributes] a function is a listener, null no attribute
 * @param {...(Child | Child[])} children
 * @returns {HTMLElementTagNameMap[Tag]}
 */
export function el(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (typeof value === "function") {
      element.addEventListener(name, /** @type {EventListener} */ (value));
    } else if (value !== null && value !== undefined && value !== false) {
      element.setAttribute(name, value === true ? "" : String(value));
    }
  }
  element.append(...present(children));
  return element;
}

/**
 * Puts these children in place of whatever was there.
 * @param {Element} element
 * @param {...(Child | Child[])} children
 */
export function fill(element, ...children) {
  element.replaceChildren(...present(children));
}

/**
 * @param {(Child | Child[])[]} children
 * @returns {(Node | string)[]}
 */
function present(children) {
  return /** @type {(Node | string)[]} */ (
    children.flat().filter((child) => child !== null && child !== undefined && child !== false)
  );
}

/** Outlines in a box of 24. @type {Record<string, string>} */
const OUTLINES = {
  up: "M6 11L12 5M12 5L18 11M12 5V19",
  stop: "M7 7h10v10H7z",
  clip: "M10 9v5a2 2 0 0 0 4 0V8a4 4 0 0 0-8 0v6a6 6 0 0 0 12 0V7",
  close: "M6 6l12 12M18 6L6 18",
  back: "M15 5l-7 7 7 7",
  chevron: "M7 10l5 5 5-5",
  plus: "M12 5v14M5 12h14",
  copy: "M9 9h10v10H9zM5 15V5h10",
  redo: "M19 8a8 8 0 1 0 1 6M19 3v5h-5",
  download: "M12 4v11M7 11l5 5 5-5M5 20h14",
  wave: "M4 10v4M8 7v10M12 4v16M16 7v10M20 10v4",
  image: "M4 5h16v14H4zM4 16l5-5 4 4 3-3 4 4",
  chat: "M4 5h16v11H9l-5 4z",
  ghost: "M5 20V11a7 7 0 0 1 14 0v9l-3-2-2 2-2-2-2 2-2-2z",
  thumb: "M7 11v8H4v-8zM7 11l4-7c2 0 2 2 1 6h6l-2 9H7",
  "eye-off": "M3 3l18 18M10 6a9 9 0 0 1 11 6 14 14 0 0 1-3 4M6 8a14 14 0 0 0-3 4 9 9 0 0 0 12 5",
  alert: "M12 4l9 16H3zM12 10v4M12 17v1",
  logo: "M5 19L19 5M9 5a8 8 0 0 0-3 12M15 19a8 8 0 0 0 3-12",
};

/**
 * @param {string} name
 * @param {string} [className]
 */
export function icon(name, className = "icon") {
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  const attributes = { viewBox: "0 0 24 24", class: className, "aria-hidden": "true" };
  for (const [key, value] of Object.entries(attributes)) svg.setAttribute(key, value);
  const path = document.createElementNS("http://www.w3.org/2000/svg", "path");
  path.setAttribute("d", OUTLINES[name] ?? "");
  svg.append(path);
  return svg;
}

/** @param {number} milliseconds */
export const pause = (milliseconds) => new Promise((resolve) => setTimeout(resolve, milliseconds));
