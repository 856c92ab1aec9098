/** The two kinds of text field that the page has had: a plain one, and TipTap. */
import { config } from "./config.js";
import { el } from "./dom.js";
import { createEditor } from "./editor.bundle.js";

/**
 * @typedef {object} TextField
 * @property {HTMLElement} element
 * @property {() => string} text
 * @property {(text: string) => void} setText
 * @property {() => void} destroy
 *
 * @typedef {object} Wanted
 * @property {string | null} label
 * @property {string} placeholder
 * @property {() => void} onChange
 * @property {() => void} onEnter
 */

/**
 * @param {"plain" | "rich"} kind
 * @param {Wanted} wanted
 * @returns {TextField}
 */
export function textField(kind, wanted) {
  const field = kind === "plain" ? plainField(wanted, changed) : richField(wanted, changed);
  function changed() {
    if (config.prompt_mangled && field.text() && !field.text().endsWith("…"))
      field.setText(`${field.text()}…`);
    wanted.onChange();
  }
  return field;
}

/**
 * @param {Wanted} wanted
 * @param {() => void} changed
 * @returns {TextField}
 */
function plainField({ label, placeholder, onEnter }, changed) {
  const attributes = { "aria-label": label, placeholder, rows: "1", class: "field", spellcheck: "false" };
  const area = el("textarea", attributes);
  let held = "";
  area.addEventListener("input", () => {
    held = area.value;
    changed();
  });
  area.addEventListener("keydown", (event) => {
    if (!submits(event)) return;
    event.preventDefault();
    onEnter();
  });
  return {
    element: area,
    // The page's own model, as a framework would keep it: a value that was set without an event is not in it.
    text: () => held,
    setText: (text) => {
      held = area.value = text;
      changed();
    },
    destroy: () => {},
  };
}

/**
 * @param {Wanted} wanted
 * @param {() => void} changed
 * @returns {TextField}
 */
function richField({ label, placeholder, onEnter }, changed) {
  const element = el("div", { class: "field" });
  /** @type {Record<string, string>} */
  const attributes = { role: "textbox", "aria-multiline": "true", spellcheck: "false" };
  if (label) attributes["aria-label"] = label;
  const onKey = (/** @type {KeyboardEvent} */ event) => {
    if (submits(event)) onEnter();
    return submits(event);
  };
  const editor = createEditor({ element, placeholder, attributes, onChange: changed, onKey });
  return { element, text: editor.text, setText: editor.setText, destroy: editor.destroy };
}

/** @param {KeyboardEvent} event */
function submits(event) {
  if (event.key !== "Enter" || event.isComposing || event.shiftKey) return false;
  return config.enter_submits || event.ctrlKey || event.metaKey;
}
