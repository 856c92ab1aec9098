/**
 * Asks for the admin key where the broker wants one. The key stays in this tab and goes with the tab.
 */

import { hasKey, rememberKey } from "../api.js";
import { h } from "../dom.js";

/**
 * @param {HTMLElement} root
 * @param {{onReady: () => void}} params
 * @param {AbortSignal} _signal
 */
export function show(root, params, _signal) {
  const field = /** @type {HTMLInputElement} */ (
    h("input", { type: "password", name: "key", autocomplete: "off", required: true, id: "key" })
  );
  const enter = (/** @type {Event} */ event) => {
    event.preventDefault();
    rememberKey(field.value.trim());
    params.onReady();
  };
  const form = h(
    "form.key",
    { onsubmit: enter },
    h("h2", {}, "This broker asks for a key"),
    h(
      "p",
      {},
      hasKey()
        ? "The key that was entered is not accepted here."
        : "Enter a key with the admin scope.",
    ),
    h("label", { for: "key" }, "Key"),
    field,
    h("button", { type: "submit" }, "Enter"),
  );
  root.append(form);
  field.focus();
}
