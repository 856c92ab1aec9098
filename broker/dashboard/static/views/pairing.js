/**
 * A worker that asks to be let in: its name, its three words, and the place for the code that it shows.
 */

import { confirmPairing, refusePairing } from "../api.js";
import { h } from "../dom.js";

/**
 * @param {any} pairing
 * @param {() => void} refresh
 */
export function pairingCard(pairing, refresh) {
  const id = `code-${pairing.id}`;
  const field = /** @type {HTMLInputElement} */ (
    h("input", { id, name: "code", inputmode: "numeric", autocomplete: "off", maxlength: 20, required: true })
  );
  const said = h("p.said", { role: "alert" });
  /** @param {Promise<any>} deed */
  const done = async (deed) => {
    try {
      await deed;
      said.textContent = "";
    } catch (error) {
      said.textContent = error instanceof Error ? error.message : String(error);
      field.select();
    }
    refresh();
  };
  const enter = (/** @type {Event} */ event) => {
    event.preventDefault();
    done(confirmPairing(pairing.id, field.value));
  };
  const refuse = () => done(refusePairing(pairing.id));
  return h(
    "li.pairing",
    {},
    h("h3", {}, "A worker wants to pair"),
    h("p", {}, h("strong", {}, pairing.name || "Without a name"), ` at ${pairing.address}`),
    h("p.words", {}, pairing.words.join(" ")),
    h("p", {}, "Let it in only if it shows you these three words. The code stands beside them."),
    h(
      "form",
      { onsubmit: enter },
      h("label", { for: id }, "Code"),
      field,
      h("button", { type: "submit" }, "Confirm"),
      h("button", { type: "button", onclick: refuse }, "Refuse"),
    ),
    said,
  );
}
