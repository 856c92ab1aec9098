// The options of the Imagine page: mode, duration, resolution, aspect. Each is set, then read back; what the page does
// not offer is refused by name, and what does not stay set is not submitted.

import { PageTrouble } from "../shared/troubles.js";
import { firstTextOf, nameOf } from "./locate.js";
import { offeredInMenu } from "./offered.js";
import { press, strike } from "./press.js";

/** @typedef {import("./context.js").Context} Context */
/** @typedef {import("./locate.js").Locator} Locator */

/** How a choice on the page is known to be the one wanted. */
const IS_SAME = {
  mode: (/** @type {Locator} */ locator, /** @type {string} */ name, /** @type {string} */ wanted) =>
    locator.phrases(`mode_${wanted}`).some((word) => word.toLowerCase() === name.toLowerCase()),
  duration: (/** @type {Locator} */ _, /** @type {string} */ name, /** @type {string} */ wanted) =>
    Number.parseInt(name, 10) === Number(wanted),
  resolution: (/** @type {Locator} */ _, /** @type {string} */ name, /** @type {string} */ wanted) =>
    Number.parseInt(name, 10) === Number.parseInt(wanted, 10),
  aspect: (/** @type {Locator} */ _, /** @type {string} */ name, /** @type {string} */ wanted) =>
    name.replaceAll(" ", "").toLowerCase().includes(wanted.toLowerCase()),
};

/** @typedef {keyof typeof IS_SAME} OptionName */
/** @typedef {import("./wanted.js").Wanted} Wanted */

/**
 * Sets every option that is wanted, and makes sure that all of them are set at the end: choosing one may change
 * another. Throws `option_refused` or `option_not_set`.
 * @param {Context} context @param {Wanted} wanted
 */
export async function setOptions(context, wanted) {
  for (const [name, value] of entries(wanted)) await setOption(context, name, value);
  for (const [name, value] of entries(wanted)) {
    if (isSet(context, name, value) === false) throw notSet(name, value);
  }
}

/** Of those wanted, the ones that the page shows as something else now. @param {Context} context @param {Wanted} wanted */
export function flippedOptions(context, wanted) {
  return entries(wanted).filter(([name, value]) => isSet(context, name, value) === false);
}

/** @param {Wanted} wanted */
const entries = (wanted) => /** @type {[OptionName, string][]} */ (Object.entries(wanted));

/** @param {Context} context @param {OptionName} name @param {string} value */
async function setOption(context, name, value) {
  const { locator } = context;
  const control = await context.until(
    () => controlOf(locator, name),
    locator.limit(name === "mode" ? "element_seconds" : "option_seconds"),
    () => (name === "mode" ? locator.missing("imagine.mode") : refused(name, value, [])),
  );
  if (control.kind === "radios") await chooseRadio(context, name, value, control.choices);
  else await chooseItem(context, name, value, control.button);
}

/**
 * Where the option is set: radios, a menu of its own, or the one menu with everything in it.
 * @param {Locator} locator @param {OptionName} name
 * @returns {{kind: "radios", choices: HTMLElement[]} | {kind: "menu", button: HTMLElement} | null}
 */
function controlOf(locator, name) {
  const choices = locator.all(`imagine.${name}`).filter((element) => element.matches("[role=radio]"));
  if (choices.length > 0) return { kind: "radios", choices };
  const button = locator.one(`imagine.${name}_menu`) ?? locator.one("imagine.options_menu");
  return button ? { kind: "menu", button } : null;
}

/** @param {Context} context @param {OptionName} name @param {string} value @param {HTMLElement[]} choices */
async function chooseRadio(context, name, value, choices) {
  const { locator } = context;
  const find = () => locator.all(`imagine.${name}`).find((choice) => IS_SAME[name](locator, nameOf(choice), value));
  const choice = find();
  if (!choice) throw refused(name, value, choices.map(nameOf));
  // Setting twice is harmless, so here a second way is tried where the first has no effect.
  for (const deed of [press, (/** @type {HTMLElement} */ radio) => strike(radio, " ")]) {
    if (isChecked(find())) return;
    deed(/** @type {HTMLElement} */ (find() ?? choice));
    const done = await context.settled(() => isChecked(find()));
    if (done) return;
  }
  throw notSet(name, value);
}

/** @param {Context} context @param {OptionName} name @param {string} value @param {HTMLElement} button */
async function chooseItem(context, name, value, button) {
  const { locator } = context;
  if (isSet(context, name, value)) return;
  const items = await openMenu(context, button);
  Object.assign(context.offered, offeredInMenu(items));
  const item = itemFor(locator, items, name, value);
  if (!item) {
    await closeMenu(context, button);
    throw refused(name, value, items.map(firstTextOf));
  }
  press(item);
  await context.settled(() => locator.all("menu.items").length === 0 || isChecked(item));
  if (locator.all("menu.items").length > 0) await closeMenu(context, button);
  if (isSet(context, name, value) || (await isCheckedInMenu(context, name, value, button))) return;
  throw notSet(name, value);
}

/** Opens the menu once more to see what it has kept. */
async function isCheckedInMenu(
  /** @type {Context} */ context,
  /** @type {OptionName} */ name,
  /** @type {string} */ value,
  /** @type {HTMLElement} */ button,
) {
  const items = await openMenu(context, button);
  const item = itemFor(context.locator, items, name, value);
  const kept = isChecked(item);
  await closeMenu(context, button);
  return kept;
}

/** A menu's item may show a hint or a mark behind its name. */
function itemFor(
  /** @type {Locator} */ locator,
  /** @type {HTMLElement[]} */ items,
  /** @type {OptionName} */ name,
  /** @type {string} */ value,
) {
  return items.find((item) => IS_SAME[name](locator, nameOf(item), value) || IS_SAME[name](locator, firstTextOf(item), value));
}

/** @param {Context} context @param {HTMLElement} button @returns {Promise<HTMLElement[]>} */
async function openMenu(context, button) {
  const { locator } = context;
  const shown = () => (locator.all("menu.items").length > 0 ? locator.all("menu.items") : null);
  const open = shown();
  if (open) return open;
  for (const deed of [press, (/** @type {HTMLElement} */ element) => strike(element, "Enter")]) {
    deed(button);
    if (await context.settled(() => shown() !== null)) return shown() ?? [];
  }
  throw locator.missing("menu.items");
}

/** By the button again: Escape would also clear the composer. @param {Context} context @param {HTMLElement} button */
async function closeMenu(context, button) {
  const isOpen = () => context.locator.all("menu.items").length > 0;
  if (!isOpen()) return;
  press(button);
  if (await context.settled(() => !isOpen())) return;
  const elsewhere = button.ownerDocument.body;
  elsewhere.dispatchEvent(new PointerEvent("pointerdown", { bubbles: true, button: 0 }));
  await context.settled(() => !isOpen());
}

/** True or false where the page shows it, null where it does not. */
function isSet(/** @type {Context} */ { locator }, /** @type {OptionName} */ name, /** @type {string} */ value) {
  const control = controlOf(locator, name);
  if (control?.kind === "radios") {
    const checked = control.choices.find(isChecked);
    return checked ? IS_SAME[name](locator, nameOf(checked), value) : false;
  }
  const own = locator.one(`imagine.${name}_menu`);
  if (!own) return null;
  const shown = own.textContent ?? "";
  return /\d/.test(shown) ? IS_SAME[name](locator, shown, value) : null;
}

/** @param {Element | undefined} element */
function isChecked(element) {
  return element?.getAttribute("aria-checked") === "true" || element?.getAttribute("data-state") === "checked";
}

/** @param {string} name @param {string} value @param {string[]} offered */
function refused(name, value, offered) {
  const choice = offered.length > 0 ? `It offers: ${offered.join(", ")}.` : "It has no such control.";
  return new PageTrouble("option_refused", `The page does not offer ${name} ${value}. ${choice}`);
}

/** @param {string} name @param {string} value */
function notSet(name, value) {
  return new PageTrouble("option_not_set", `${name} did not stay set to ${value}; nothing was submitted.`);
}
