// From a purpose in the page pack to an element: its rungs are tried in order, the first that finds something counts.

import { PageTrouble } from "../shared/troubles.js";

/**
 * @typedef {object} Rung
 * @property {string} css
 * @property {string[]} [names]  the element's accessible name must be one of these, in any case
 * @property {string[]} [starts]  or begin with one of these
 * @property {string[]} [contains]  its text must hold one of these
 * @property {string[]} [outside]  it must not lie within any of these
 * @property {boolean} [hidden]  elements that are not shown count too
 */
/** @typedef {{rungs: Rung[], note?: string, self_test?: "chat" | "imagine", after_typing?: boolean, or_else?: string}} Purpose */
/** @typedef {{version: string, addresses: Record<string, string>, purposes: Record<string, Purpose>,
 *   phrases: Record<string, string[]>, limits: Record<string, number>, media: {base: string, hosts: string[]},
 *   press: "pointer" | "click" | "request_submit"}} Pack */

export class Locator {
  /** @param {Pack} pack @param {Document} document */
  constructor(pack, document) {
    this.pack = pack;
    this.document = document;
  }

  /**
   * All elements of the first rung that finds any.
   * @param {string} purpose @param {ParentNode} [within]
   * @returns {HTMLElement[]}
   */
  all(purpose, within = this.document) {
    for (const rung of this.rungs(purpose)) {
      const found = matches(rung, within);
      if (found.length > 0) return found;
    }
    return [];
  }

  /** @param {string} purpose @param {ParentNode} [within] @returns {HTMLElement | null} */
  one(purpose, within) {
    return this.all(purpose, within)[0] ?? null;
  }

  /** @param {string} purpose @param {ParentNode} [within] @returns {HTMLElement | null} */
  last(purpose, within) {
    return this.all(purpose, within).at(-1) ?? null;
  }

  /** @param {string} purpose @returns {Rung[]} */
  rungs(purpose) {
    return this.pack.purposes[purpose]?.rungs ?? [];
  }

  /** @param {string} name */
  phrases(name) {
    return this.pack.phrases[name] ?? [];
  }

  /** Whether one of the named phrases is in the text. @param {string} name @param {string} text */
  says(name, text) {
    const lowered = text.toLowerCase();
    return this.phrases(name).some((phrase) => lowered.includes(phrase.toLowerCase()));
  }

  /** Seconds. @param {string} name */
  limit(name) {
    return this.pack.limits[name];
  }

  /** The trouble of not finding it. @param {string} purpose */
  missing(purpose) {
    return new PageTrouble("selector_missing", `${purpose}: none of its ${this.rungs(purpose).length} rungs matches.`);
  }
}

/** @param {Rung} rung @param {ParentNode} within @returns {HTMLElement[]} */
function matches(rung, within) {
  return query(rung.css, within)
    .filter((element) => rung.hidden || isShown(element))
    .filter((element) => !rung.outside?.some((css) => element.closest(css)))
    .filter((element) => isNamed(element, rung))
    .filter((element) => rung.contains?.some((text) => element.textContent?.includes(text)) ?? true);
}

/** A selector that Chromium cannot read finds nothing: the next rung has its turn. */
function query(/** @type {string} */ css, /** @type {ParentNode} */ within) {
  try {
    return [...within.querySelectorAll(css)].filter((element) => element instanceof HTMLElement);
  } catch {
    return [];
  }
}

/** @param {Element} element @param {Rung} rung */
function isNamed(element, { names, starts }) {
  if (!names && !starts) return true;
  const name = nameOf(element).toLowerCase();
  return Boolean(
    names?.some((wanted) => name === wanted.toLowerCase()) || starts?.some((start) => name.startsWith(start.toLowerCase())),
  );
}

/** What a person with a screen reader would hear, nearly. @param {Element} element */
export function nameOf(element) {
  const labelled = element.getAttribute("aria-labelledby");
  const label = labelled ? element.ownerDocument.getElementById(labelled)?.textContent : null;
  const name = element.getAttribute("aria-label") || label || element.textContent || element.getAttribute("title");
  return (name ?? "").replace(/\s+/g, " ").trim().slice(0, 200);
}

/** The first words in an element, without what stands behind them. @param {Element} element */
export function firstTextOf(element) {
  const walker = element.ownerDocument.createTreeWalker(element, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const text = (walker.currentNode.textContent ?? "").trim();
    if (text) return text;
  }
  return nameOf(element);
}

/** @param {Element} element */
export function isShown(element) {
  return element.checkVisibility({ visibilityProperty: true });
}
