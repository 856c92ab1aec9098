/**
 * Finds, makes and renews elements for popup and options. Text is always text: nothing here parses HTML.
 */

/** @typedef {Node | string | false | null | undefined} Child */

/**
 * A new element.
 * @param {string} tag name, with classes behind dots: "p.note.small"
 * @param {Record<string, string>} [attributes]
 * @param {...Child} children
 * @returns {HTMLElement}
 */
export function h(tag, attributes = {}, ...children) {
  const [name, ...classes] = tag.split(".");
  const element = document.createElement(name);
  element.classList.add(...classes);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  for (const child of children) if (child) element.append(child);
  return element;
}

/**
 * The page's own element of that id and type.
 * @template {HTMLElement} T
 * @param {string} id
 * @param {new () => T} type
 * @returns {T}
 */
export function byId(id, type) {
  const found = document.getElementById(id);
  if (found instanceof type) return found;
  throw new Error(`This page has no ${type.name} #${id}.`);
}

/**
 * Writes a text, and hides the element while there is none. An equal text is left alone, so that a screen
 * reader hears changes only.
 * @param {HTMLElement} element
 * @param {string} text
 */
export function setText(element, text) {
  if (element.textContent !== text) element.textContent = text;
  element.hidden = text === "";
}

/**
 * Makes `parent` show one element for each item, in order. An element stays the same as long as its key does,
 * so that what is open or focused stays so; `update` may change it.
 * @template T
 * @param {Element} parent
 * @param {T[]} items
 * @param {(item: T) => string} keyOf
 * @param {(item: T) => HTMLElement} make
 * @param {(element: HTMLElement, item: T) => void} [update]
 */
export function keyed(parent, items, keyOf, make, update = () => {}) {
  const old = new Map([...parent.children].map((child) => [keys.get(child), child]));
  items.forEach((item, place) => {
    const key = keyOf(item);
    const kept = old.get(key);
    const element = kept instanceof HTMLElement ? kept : make(item);
    keys.set(element, key);
    old.delete(key);
    update(element, item);
    if (parent.children[place] !== element) parent.insertBefore(element, parent.children[place] ?? null);
  });
  for (const gone of old.values()) gone.remove();
}

/** @type {WeakMap<Element, string>} */
const keys = new WeakMap();
