/**
 * Makes and renews elements. Text is always text: nothing here, and nothing that uses this, parses HTML.
 */

/** @typedef {Node | string | number | false | null | undefined} Child */

/**
 * A new element. Properties that start with "on" are listeners, the rest attributes; false and null leave one out.
 * @param {string} tag name, with classes behind dots: "p.note.small"
 * @param {Record<string, any>} [properties]
 * @param {...Child} children
 * @returns {HTMLElement}
 */
export function h(tag, properties = {}, ...children) {
  const [name, ...classes] = tag.split(".");
  const element = document.createElement(name);
  element.classList.add(...classes);
  for (const [key, value] of Object.entries(properties)) setProperty(element, key, value);
  element.append(...children.filter(isShown).map(asText));
  return element;
}

/**
 * Makes `parent` show one element for each item, in order. An element whose item has not changed stays as
 * it is, so that a film goes on playing and what has the focus keeps it.
 * @template T
 * @param {Element} parent
 * @param {T[]} items
 * @param {(item: T) => string} keyOf
 * @param {(item: T) => HTMLElement} make
 */
export function keyed(parent, items, keyOf, make) {
  const old = new Map([...parent.children].map((child) => [keys.get(child), child]));
  items.forEach((item, place) => {
    const key = keyOf(item);
    const element = renewed(old.get(key), item, make);
    keys.set(element, key);
    old.delete(key);
    if (parent.children[place] !== element) parent.insertBefore(element, parent.children[place]);
  });
  for (const gone of old.values()) gone.remove();
}

/**
 * The page's own element of that id.
 * @param {string} id
 * @returns {HTMLElement}
 */
export function byId(id) {
  const found = document.getElementById(id);
  if (!found) throw new Error(`This page has no #${id}.`);
  return found;
}

/** @type {WeakMap<Element, string | undefined>} */
const keys = new WeakMap();
/** What each element was made of. @type {WeakMap<Element, string>} */
const prints = new WeakMap();

/**
 * @template T
 * @param {Element | undefined} old
 * @param {T} item
 * @param {(item: T) => HTMLElement} make
 */
function renewed(old, item, make) {
  const print = JSON.stringify(item);
  if (old && prints.get(old) === print) return old;
  const element = make(item);
  prints.set(element, print);
  if (old) replaceKeepingFocus(old, element);
  return element;
}

/**
 * @param {Element} old
 * @param {HTMLElement} element
 */
function replaceKeepingFocus(old, element) {
  const hadFocus = old.contains(document.activeElement);
  old.replaceWith(element);
  if (!hadFocus) return;
  /** @type {HTMLElement | null} */
  const target = element.matches("a, button") ? element : element.querySelector("a, button");
  target?.focus({ preventScroll: true });
}

/**
 * @param {HTMLElement} element
 * @param {string} key
 * @param {any} value
 */
function setProperty(element, key, value) {
  if (value === false || value === null || value === undefined) return;
  if (key.startsWith("on")) element.addEventListener(key.slice(2), value);
  else element.setAttribute(key, value === true ? "" : String(value));
}

/** @param {Child} child */
const isShown = (child) => child !== false && child !== null && child !== undefined;

/** @param {any} child */
const asText = (child) => (child instanceof Node ? child : String(child));
