/** Shows the view that belongs to the address; moving inside the site loads no document. */

/** Fills the page; returns what to do when it goes. @typedef {(id: string) => (() => void) | void} View */

/** @type {{ pattern: RegExp, view: View }[]} */
const routes = [];

/** @type {(() => void) | void} */
let leave;

/** @type {() => void} */
let onMove = () => {};

/**
 * @param {RegExp} pattern its first group is the id
 * @param {View} view
 */
export function route(pattern, view) {
  routes.push({ pattern, view });
}

/** @param {() => void} listener called whenever the address changes */
export function start(listener) {
  onMove = listener;
  addEventListener("popstate", show);
  document.addEventListener("click", follow);
  show();
}

/** @param {string} address */
export function go(address) {
  history.pushState({}, "", address);
  show();
}

/**
 * The view that is shown has got an address of its own, and stays.
 * @param {string} address
 */
export function adopt(address) {
  history.pushState({}, "", address);
  onMove();
}

function show() {
  leave?.();
  leave = undefined;
  const found = routes.find(({ pattern }) => pattern.test(location.pathname));
  if (found) leave = found.view(found.pattern.exec(location.pathname)?.[1] ?? "");
  onMove();
}

/** @param {MouseEvent} event */
function follow(event) {
  const link = event.target instanceof Element ? event.target.closest("a") : null;
  if (!link || event.defaultPrevented || event.ctrlKey || event.metaKey || event.shiftKey) return;
  if (link.origin !== location.origin || link.hasAttribute("download")) return;
  event.preventDefault();
  go(link.pathname + link.search + link.hash);
}
