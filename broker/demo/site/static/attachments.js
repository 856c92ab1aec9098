/** Pictures that are to go along with a prompt: uploaded at once, shown as chips or thumbnails. */
import { isAutumn } from "./config.js";
import { el, icon } from "./dom.js";
import { refusal } from "./traffic.js";
import { tell } from "./troubles.js";
import { say } from "./words.js";

/** @typedef {{ id: string, uri: string, name: string, url: string }} Uploaded */

export class Attachments {
  /** @type {{ file: File, url: string, uploaded: Uploaded | null, hasFailed: boolean }[]} */
  #items = [];
  #asChips;
  #onChange;

  /**
   * @param {boolean} asChips
   * @param {() => void} onChange
   */
  constructor(asChips, onChange) {
    this.#asChips = asChips;
    this.#onChange = onChange;
    this.element = el("div", { class: "attachments" });
    if (asChips) this.element.setAttribute("role", "list");
    this.#show();
  }

  /** What has arrived at the server; a picture that is still on its way does not go along. */
  get uploaded() {
    return this.#items.flatMap((item) => (item.uploaded ? [item.uploaded] : []));
  }

  /** @param {Iterable<File>} files */
  async add(files) {
    const items = [...files]
      .filter((file) => file.type.startsWith("image/"))
      .map((file) => ({
        file,
        url: URL.createObjectURL(file),
        uploaded: /** @type {Uploaded | null} */ (null),
        hasFailed: false,
      }));
    this.#items.push(...items);
    this.#show();
    await Promise.all(items.map((item) => this.#upload(item)));
  }

  clear() {
    this.#items = [];
    this.#show();
  }

  /** @param {{ file: File, url: string, uploaded: Uploaded | null, hasFailed: boolean }} item */
  async #upload(item) {
    try {
      item.uploaded = { ...(await upload(item.file)), url: item.url };
    } catch (error) {
      item.hasFailed = true;
      tell(error);
    }
    this.#show();
  }

  #show() {
    const shown = this.#items.map((item) => this.#element(item, this.#asChips));
    this.element.replaceChildren(...shown);
    this.element.hidden = shown.length === 0;
    this.#onChange();
  }

  /**
   * @param {{ file: File, url: string, uploaded: Uploaded | null, hasFailed: boolean }} item
   * @param {boolean} asChip
   */
  #element(item, asChip) {
    const isBusy = !item.uploaded && !item.hasFailed;
    const remove = el(
      "button",
      {
        type: "button",
        "aria-label": say("Remove image"),
        class: "remove",
        click: () => {
          this.#items = this.#items.filter((other) => other !== item);
          this.#show();
        },
      },
      icon("close"),
    );
    return el(
      "div",
      { role: asChip ? "listitem" : null, class: asChip ? "chip" : "thumbnail" },
      el("img", { src: item.url, alt: asChip ? "" : item.file.name }),
      asChip && el("span", { class: "truncate" }, item.file.name),
      item.hasFailed && icon("alert", "icon lucide lucide-triangle-alert"),
      isBusy ? el("span", { class: "animate-pulse" }) : remove,
    );
  }
}

/**
 * @param {File} file
 * @returns {Promise<Uploaded>}
 */
export async function upload(file) {
  const response = await (isAutumn ? uploadAsIs(file) : uploadAsText(file));
  if (!response.ok) throw await refusal(response);
  const told = await response.json();
  const { fileMetadataId, fileUri, fileName } = told.fileMetadata ?? told;
  return { id: fileMetadataId, uri: fileUri, name: fileName, url: "" };
}

/** @param {File} file */
function uploadAsIs(file) {
  const headers = { "Content-Type": file.type, "X-File-Name": encodeURIComponent(file.name) };
  return fetch("/http/upload-file-v2/direct", { method: "POST", headers, body: file });
}

/** @param {File} file */
async function uploadAsText(file) {
  const bytes = new Uint8Array(await file.arrayBuffer());
  const letters = Array.from(bytes, (byte) => String.fromCharCode(byte)).join("");
  const body = { fileName: file.name, fileMimeType: file.type, content: btoa(letters) };
  const headers = { "Content-Type": "application/json" };
  return fetch("/rest/app-chat/upload-file", { method: "POST", headers, body: JSON.stringify(body) });
}
