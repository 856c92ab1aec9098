// Writing into the page's editors and attaching files, as a person would; everything is read back.

import { PageTrouble } from "../shared/troubles.js";
import { strike } from "./press.js";

/**
 * Typed behind a text and taken away again. An editor's own rules, which make a list of `- ` and drop the stars of
 * `**bold**`, look at the end of what is typed; a letter is the end of none of them.
 */
const END = "x";

/** Whether it comes true soon; an editor takes changes in a moment after they are made. @typedef {(look: () => boolean) => Promise<boolean>} Settled */

/**
 * Puts exactly this text into the editor, instead of what is there. Throws `PageTrouble` where the page makes
 * something else of it.
 * @param {HTMLElement} editor @param {string} text @param {Settled} settled
 */
export async function write(editor, text, settled) {
  const ways = editor instanceof HTMLTextAreaElement ? [writeTextarea] : [writeAtOnce, writeByLine];
  for (const way of ways) {
    await clear(editor, settled);
    await way(/** @type {any} */ (editor), text.replace(/\r\n?/g, "\n"));
    if (await settled(() => holds(editor, text))) return;
  }
  await clear(editor, settled);
  throw new PageTrouble("selector_missing", "The editor did not keep the text as it was typed.");
}

/** Whether the editor holds just this text. @param {HTMLElement} editor @param {string} text */
export function holds(editor, text) {
  return read(editor) === comparable(text);
}

/** The editor's text, one line a block. @param {HTMLElement} editor @returns {string} */
export function read(editor) {
  if (editor instanceof HTMLTextAreaElement) return comparable(editor.value);
  const blocks = [...editor.children];
  return comparable(blocks.length > 0 ? blocks.map(readBlock).join("\n") : (editor.textContent ?? ""));
}

/** Line ends and no-break spaces differ between editors; nothing else may. @param {string} text */
function comparable(text) {
  return text.replace(/\r\n?/g, "\n").replace(/\u00a0/g, " ");
}

/** @param {Node} node @returns {string} */
function readBlock(node) {
  if (node.nodeType === Node.TEXT_NODE) return node.textContent ?? "";
  if (!(node instanceof Element)) return "";
  if (node.tagName === "BR") return node.classList.contains("ProseMirror-trailingBreak") ? "" : "\n";
  return [...node.childNodes].map(readBlock).join("");
}

/** @param {HTMLElement} editor @param {string} text */
async function writeAtOnce(editor, text) {
  const document = editor.ownerDocument;
  document.execCommand("insertText", false, text + END);
  // An editor hears of a change after the script that made it.
  await null;
  document.execCommand("delete");
  await null;
}

/** For builds that drop line ends. Never by a paragraph: editors read that as Enter, and Enter submits. */
async function writeByLine(/** @type {HTMLElement} */ editor, /** @type {string} */ text) {
  for (const [index, line] of text.split("\n").entries()) {
    if (index > 0) strike(editor, "Enter", { shiftKey: true });
    if (line) await writeAtOnce(editor, line);
  }
}

/** @param {HTMLElement} editor @param {Settled} settled */
export async function clear(editor, settled) {
  if (editor instanceof HTMLTextAreaElement) return writeTextarea(editor, "");
  const document = editor.ownerDocument;
  editor.focus();
  if (read(editor) === "") return;
  const range = document.createRange();
  range.selectNodeContents(editor);
  const selection = document.getSelection();
  selection?.removeAllRanges();
  selection?.addRange(range);
  document.execCommand("delete");
  await settled(() => read(editor) === "");
}

/** The page's framework listens to the prototype's setter, not to the element's. */
function writeTextarea(/** @type {HTMLTextAreaElement} */ editor, /** @type {string} */ text) {
  const setter = Object.getOwnPropertyDescriptor(HTMLTextAreaElement.prototype, "value")?.set;
  editor.focus();
  setter?.call(editor, text);
  editor.dispatchEvent(new Event("input", { bubbles: true }));
  editor.dispatchEvent(new Event("change", { bubbles: true }));
}

/**
 * Hands files to a file input.
 * @param {HTMLInputElement} input @param {File[]} files
 */
export function attach(input, files) {
  const transfer = new DataTransfer();
  for (const file of files) transfer.items.add(file);
  input.files = transfer.files;
  input.dispatchEvent(new Event("input", { bubbles: true }));
  input.dispatchEvent(new Event("change", { bubbles: true }));
}

/** Files out of base64, typed by their first bytes. @param {string[]} images @returns {File[]} */
export function filesOf(images) {
  return images.map((image, index) => {
    const bytes = Uint8Array.from(atob(image), (char) => char.charCodeAt(0));
    const type = typeOf(bytes);
    return new File([bytes], `image-${index + 1}.${type.split("/")[1].replace("jpeg", "jpg")}`, { type });
  });
}

/** @param {Uint8Array} bytes */
function typeOf(bytes) {
  if (bytes[0] === 0x89 && bytes[1] === 0x50) return "image/png";
  if (bytes[0] === 0x47 && bytes[1] === 0x49) return "image/gif";
  if (bytes[0] === 0x52 && bytes[8] === 0x57) return "image/webp";
  return "image/jpeg";
}
