/** The bar at the bottom: text, pictures, options, and one button that sends it all once for each press. */
import { Attachments } from "./attachments.js";
import { config, has } from "./config.js";
import { el, icon } from "./dom.js";
import { textField } from "./editors.js";
import { say } from "./words.js";

/**
 * @typedef {import("./attachments.js").Uploaded} Uploaded
 *
 * @typedef {object} Wanted
 * @property {"chat" | "imagine"} place
 * @property {"plain" | "rich"} kind
 * @property {string | null} label of the text field, in English
 * @property {string} placeholder in English
 * @property {string} submitLabel in English
 * @property {Record<string, string>} [submitAttributes]
 * @property {boolean} [hidesSubmit] there is no button until there is something to send
 * @property {boolean} [asChips]
 * @property {HTMLElement | null} [options]
 * @property {HTMLElement | null} [idle] stands in the button's place while there is nothing to send
 * @property {HTMLElement | null} [stop] stands in the button's place while an answer is under way
 * @property {(text: string, images: Uploaded[]) => Promise<void>} onSubmit settles once it is accepted
 * @property {() => void} [onAttach]
 * @property {((files: File[]) => void) | null} [onFiles] takes the files instead of the composer
 * @property {() => void} [onEscape]
 */

export class Composer {
  /** @type {Wanted} */
  #wanted;
  #isBusy = false;
  #isGone = false;

  /** @param {Wanted} wanted */
  constructor(wanted) {
    this.#wanted = wanted;
    this.attachments = new Attachments(wanted.asChips ?? false, () => this.#refresh());
    this.field = textField(wanted.kind, {
      label: wanted.label && say(wanted.label),
      placeholder: say(wanted.placeholder),
      onChange: () => this.#refresh(),
      onEnter: () => this.#canSubmit() && this.element.requestSubmit(),
    });
    this.submit = el(
      "button",
      { type: "submit", "aria-label": say(wanted.submitLabel), class: "send", ...wanted.submitAttributes },
      icon("up"),
    );
    this.end = el("div", { class: "end" });
    this.notes = el("div", { class: "notes" });
    this.element = this.#form();
    this.#refresh();
  }

  /** @param {boolean} isBusy while an answer is under way nothing can be sent */
  set busy(isBusy) {
    this.#isBusy = isBusy;
    this.#refresh();
  }

  clear() {
    this.field.setText("");
    this.attachments.clear();
  }

  destroy() {
    this.#isGone = true;
    document.removeEventListener("keydown", this.#escape);
    this.field.destroy();
  }

  #form() {
    const { place, options } = this.#wanted;
    const input = el("input", {
      type: "file",
      name: "files",
      multiple: true,
      accept: "image/*",
      class: "hidden-input",
    });
    input.addEventListener("change", () => this.#take(input));
    const attach = el(
      "button",
      {
        type: "button",
        "aria-label": say("Attach"),
        class: "round group/attach-button",
        click: () => input.click(),
      },
      icon("clip"),
    );
    const canAttach = has(place === "chat" ? "chat.attach" : "imagine.files");
    const form = el(
      "form",
      { class: "composer" },
      this.attachments.element,
      has(`${place}.editor`) && this.field.element,
      el("div", { class: "row" }, canAttach && [attach, input], options, this.notes, this.end),
    );
    form.addEventListener("submit", (event) => this.#send(event));
    form.addEventListener("paste", (event) => this.#dropped(event, event.clipboardData));
    form.addEventListener("drop", (event) => this.#dropped(event, event.dataTransfer));
    form.addEventListener("dragover", (event) => event.preventDefault());
    document.addEventListener("keydown", this.#escape);
    return form;
  }

  /** Escape empties the composer of pictures and mode, whatever else it was meant for. */
  #escape = (/** @type {KeyboardEvent} */ event) => {
    if (event.key !== "Escape") return;
    this.attachments.clear();
    this.#wanted.onEscape?.();
  };

  /** @param {HTMLInputElement} input */
  #take(input) {
    const files = [...(input.files ?? [])];
    // So that the same file can be chosen again.
    input.value = "";
    this.#add(files);
  }

  /**
   * @param {Event} event
   * @param {DataTransfer | null} data
   */
  #dropped(event, data) {
    if (!data?.files.length) return;
    event.preventDefault();
    this.#add([...data.files]);
  }

  /** @param {File[]} files */
  #add(files) {
    if (this.#wanted.onFiles) return this.#wanted.onFiles(files);
    void this.attachments.add(files);
    return this.#wanted.onAttach?.();
  }

  #canSubmit() {
    return !this.#isBusy && this.field.text().trim() !== "";
  }

  #refresh() {
    // The attachments tell of themselves before the composer is whole, and the view may have moved on.
    if (!this.end || this.#isGone) return;
    const { place, hidesSubmit, idle, stop } = this.#wanted;
    this.submit.disabled = !this.#canSubmit();
    const isShown = has(`${place}.submit`) && !this.#isBusy && !(hidesSubmit && this.submit.disabled);
    const last = isShown ? this.submit : this.#isBusy ? stop : idle;
    if (this.end.lastChild !== last) this.end.replaceChildren(...(last ? [last] : []));
  }

  /** @param {SubmitEvent} event */
  async #send(event) {
    event.preventDefault();
    if (!this.#canSubmit() || config.ignores_press) return;
    const text = this.field.text();
    const images = this.attachments.uploaded;
    if (config.accepts_silently) {
      await this.#wanted.onSubmit(text, images).catch(() => {});
      return;
    }
    this.field.setText("");
    try {
      await this.#wanted.onSubmit(text, images);
      this.attachments.clear();
    } catch {
      // Nothing was taken, so nothing is lost: the person finds their words again.
      if (!this.#isGone) this.field.setText(text);
    }
  }
}
