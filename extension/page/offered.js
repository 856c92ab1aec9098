// What the page offers to choose from, in the words of the worker protocol. Reads what is shown; opens no menu.

import { nameOf } from "./locate.js";

/** @typedef {import("./locate.js").Locator} Locator */
/** @typedef {{durations?: number[], resolutions?: string[], aspects?: string[], max_images?: number}} Offered */

/** What a label says; null where it says something else. */
const SAYS = /** @type {Record<"duration" | "resolution" | "aspect", (label: string) => number | string | null>} */ ({
  duration: (label) => Number.parseInt(label, 10) || null,
  resolution: (label) => /^\d{3,4}p\b/i.exec(label)?.[0].toLowerCase() ?? null,
  aspect: (label) => /\d+(?:\.\d+)? ?: ?\d+(?:\.\d+)?/.exec(label)?.[0].replaceAll(" ", "") ?? null,
});
const NAMES = /** @type {(keyof typeof SAYS)[]} */ (Object.keys(SAYS));

/** What is shown just now. @param {Locator} locator @returns {Offered} */
export function offeredOnPage(locator) {
  const offered = Object.assign({}, ...NAMES.map((name) => said(name, locator.all(`imagine.${name}`))));
  return { ...offered, ...mostImages(locator) };
}

/** What a menu that is open has. A number in one may mean anything, so lengths are not read there. */
export function offeredInMenu(/** @type {HTMLElement[]} */ items) {
  return { ...said("resolution", items), ...said("aspect", items) };
}

/** @param {keyof typeof SAYS} name @param {HTMLElement[]} choices @returns {Offered} */
function said(name, choices) {
  const values = choices.map((choice) => SAYS[name](nameOf(choice))).filter((value) => value !== null);
  return values.length > 0 ? { [`${name}s`]: [...new Set(values)] } : {};
}

/** An input for several files has no number; the chat page has an input that looks alike. @returns {Offered} */
function mostImages(/** @type {Locator} */ locator) {
  const { pathname } = new URL(locator.pack.addresses.imagine);
  if (locator.document.location.pathname !== pathname) return {};
  const input = /** @type {HTMLInputElement | null} */ (locator.one("imagine.files"));
  return input && !input.multiple ? { max_images: 1 } : {};
}
