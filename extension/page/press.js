// Pressing things on the page. Radix opens its menus on pointerdown, so a press is the whole chain of a mouse.

const CHAIN = [
  ["pointerdown", PointerEvent],
  ["mousedown", MouseEvent],
  ["pointerup", PointerEvent],
  ["mouseup", MouseEvent],
];

/**
 * One press, once: nothing here tries a second way.
 * @param {HTMLElement} element @param {"pointer" | "click" | "request_submit"} [how]
 */
export function press(element, how = "pointer") {
  if (how === "request_submit" && element instanceof HTMLButtonElement && element.form) {
    element.form.requestSubmit(element);
    return;
  }
  if (how === "pointer") {
    for (const [type, Kind] of CHAIN) element.dispatchEvent(eventOf(type, Kind, element));
  }
  element.click();
}

/** @param {any} type @param {any} Kind @param {HTMLElement} element */
function eventOf(type, Kind, element) {
  const box = element.getBoundingClientRect();
  return new Kind(type, {
    bubbles: true,
    cancelable: true,
    composed: true,
    button: 0,
    buttons: type.endsWith("down") ? 1 : 0,
    clientX: box.left + box.width / 2,
    clientY: box.top + box.height / 2,
    pointerType: "mouse",
    isPrimary: true,
  });
}

/**
 * A key, down and up, for menus that open no other way.
 * @param {HTMLElement} element @param {string} key @param {KeyboardEventInit} [held]
 */
export function strike(element, key, held = {}) {
  element.focus();
  for (const type of ["keydown", "keyup"]) {
    element.dispatchEvent(new KeyboardEvent(type, { key, code: key, bubbles: true, cancelable: true, ...held }));
  }
}
