/** Menus as Radix makes them: they open on pointerdown, not on a bare click, at the end of the body. */
import { el, icon } from "./dom.js";

/**
 * @typedef {object} Item
 * @property {string} name
 * @property {string} value
 * @property {string} [hint]
 *
 * @typedef {object} Group
 * @property {string} [label]
 * @property {Item[]} items
 * @property {() => string} [value] the chosen one; a group with it has radios
 * @property {(value: string) => void} choose
 */

/** @type {(() => void) | null} */
let closeOpen = null;

/**
 * Makes a button open a menu.
 * @param {HTMLButtonElement} trigger
 * @param {() => Group[]} groups
 */
export function menu(trigger, groups) {
  trigger.type = "button";
  trigger.setAttribute("aria-haspopup", "menu");
  trigger.setAttribute("aria-expanded", "false");
  trigger.dataset.state = "closed";
  trigger.addEventListener("pointerdown", (event) => {
    if (event.button !== 0) return;
    event.preventDefault();
    toggle(trigger, groups);
  });
  trigger.addEventListener("keydown", (event) => {
    if (!["Enter", " ", "ArrowDown"].includes(event.key)) return;
    event.preventDefault();
    toggle(trigger, groups);
  });
}

/**
 * @param {HTMLButtonElement} trigger
 * @param {() => Group[]} groups
 */
function toggle(trigger, groups) {
  const wasOpen = trigger.dataset.state === "open";
  closeOpen?.();
  if (!wasOpen) open(trigger, groups());
}

/**
 * @param {HTMLButtonElement} trigger
 * @param {Group[]} groups
 */
function open(trigger, groups) {
  const box = el("div", { role: "menu", class: "menu", tabindex: "-1", "data-state": "open" });
  const portal = el("div", { "data-radix-popper-content-wrapper": "", class: "portal" }, box);
  box.append(...groups.map((group) => groupElement(group, close)));

  function close() {
    portal.remove();
    document.removeEventListener("pointerdown", outside, true);
    document.removeEventListener("keydown", escape);
    trigger.setAttribute("aria-expanded", "false");
    trigger.dataset.state = "closed";
    closeOpen = null;
  }
  /** @param {Event} event */
  function outside(event) {
    const target = /** @type {Node} */ (event.target);
    if (!portal.contains(target) && !trigger.contains(target)) close();
  }
  /** @param {KeyboardEvent} event */
  function escape(event) {
    if (event.key === "Escape") close();
  }

  document.addEventListener("pointerdown", outside, true);
  document.addEventListener("keydown", escape);
  box.addEventListener("keydown", (event) => walk(box, event));
  trigger.setAttribute("aria-expanded", "true");
  trigger.dataset.state = "open";
  closeOpen = close;
  document.body.append(portal);
  place(portal, trigger);
  /** @type {HTMLElement | null} */ (box.querySelector('[role^="menuitem"]'))?.focus();
}

/**
 * @param {Group} group
 * @param {() => void} close
 */
function groupElement(group, close) {
  const items = group.items.map((item) => itemElement(group, item, close));
  if (!group.label) return el("div", {}, items);
  const label = el("div", { class: "menu-label" }, group.label);
  return el("div", { role: "group", "aria-label": group.label }, label, items);
}

/**
 * @param {Group} group
 * @param {Item} item
 * @param {() => void} close
 */
function itemElement(group, item, close) {
  const chosen = group.value?.() === item.value;
  const isRadio = group.value !== undefined;
  const select = () => {
    close();
    group.choose(item.value);
  };
  const names = el("span", {}, item.name);
  const attributes = {
    role: isRadio ? "menuitemradio" : "menuitem",
    "aria-checked": isRadio ? String(chosen) : null,
    class: "menu-item",
    tabindex: "-1",
    click: select,
  };
  const hint = item.hint ? el("span", { class: "menu-hint" }, item.hint) : null;
  return el("div", attributes, names, hint, chosen && el("span", { class: "menu-mark" }, "✓"));
}

/**
 * @param {HTMLElement} box
 * @param {KeyboardEvent} event
 */
function walk(box, event) {
  const items = /** @type {HTMLElement[]} */ ([...box.querySelectorAll('[role^="menuitem"]')]);
  const here = items.indexOf(/** @type {HTMLElement} */ (document.activeElement));
  if (event.key === "ArrowDown") items[(here + 1) % items.length]?.focus();
  else if (event.key === "ArrowUp") items[(here - 1 + items.length) % items.length]?.focus();
  else if (event.key === "Enter" || event.key === " ") items[here]?.click();
  else return;
  event.preventDefault();
}

/**
 * @param {HTMLElement} portal
 * @param {HTMLElement} trigger
 */
function place(portal, trigger) {
  const at = trigger.getBoundingClientRect();
  const { width, height } = portal.getBoundingClientRect();
  const above = at.top - height - 8;
  portal.style.left = `${Math.max(8, Math.min(at.left, innerWidth - width - 8))}px`;
  portal.style.top = `${above > 8 ? above : Math.min(at.bottom + 8, innerHeight - height - 8)}px`;
}

/**
 * A button that shows what is chosen in its menu.
 * @param {Record<string, unknown>} attributes
 * @param {() => string} text
 * @param {() => Group[]} groups
 */
export function menuButton(attributes, text, groups) {
  const shown = el("span", { class: "shown" }, text());
  const button = el("button", { class: "pill", ...attributes }, shown, icon("chevron"));
  menu(button, groups);
  return { element: button, refresh: () => (shown.textContent = text()) };
}
