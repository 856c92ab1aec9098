/** Turns an answer's Markdown into elements: the parts of it that answers use. Makes no HTML from text. */
import { el, icon } from "./dom.js";

const FENCE = /^\s*```(\S*)\s*$/;
const ITEM = /^(\s*)([-*+]|\d+[.)])\s+(.*)$/;
const TABLE_RULE = /^\s*\|?\s*:?-+:?\s*(\|\s*:?-+:?\s*)*\|?\s*$/;
const INLINE =
  /(`+)(.+?)\1|\*\*(.+?)\*\*|\[([^\]]+)\]\((https?:[^)\s]+)\)|\*(\S(?:.*?\S)?)\*|(https?:\/\/[^\s<>)]+)/s;

/**
 * @param {string} text
 * @returns {Node[]}
 */
export function markdown(text) {
  const lines = text.split("\n");
  const blocks = [];
  for (let place = 0; place < lines.length;) {
    const [block, next] = blockAt(lines, place);
    if (block) blocks.push(block);
    place = next;
  }
  return blocks;
}

/**
 * @param {string[]} lines
 * @param {number} place
 * @returns {[Node | null, number]} the block that begins here, and where the next one does
 */
function blockAt(lines, place) {
  const line = lines[place] ?? "";
  const heading = /^(#{1,6})\s+(.*)$/.exec(line);
  if (!line.trim()) return [null, place + 1];
  if (FENCE.test(line)) return codeAt(lines, place);
  if (heading)
    return [el(/** @type {"h1"} */ (`h${heading[1]?.length}`), {}, inline(heading[2] ?? "")), place + 1];
  if (/^\s*(---+|\*\*\*+)\s*$/.test(line)) return [el("hr"), place + 1];
  if (line.startsWith(">")) return quoteAt(lines, place);
  if (ITEM.test(line)) return listAt(lines, place);
  if (line.includes("|") && TABLE_RULE.test(lines[place + 1] ?? "")) return tableAt(lines, place);
  return paragraphAt(lines, place);
}

/**
 * @param {string[]} lines
 * @param {number} place
 * @param {(line: string) => boolean} goesOn
 */
function endOf(lines, place, goesOn) {
  let end = place;
  while (end < lines.length && goesOn(lines[end] ?? "")) end += 1;
  return end;
}

/**
 * @param {string[]} lines
 * @param {number} place
 * @returns {[Node, number]}
 */
function codeAt(lines, place) {
  const language = FENCE.exec(lines[place] ?? "")?.[1] ?? "";
  const end = endOf(lines, place + 1, (line) => !/^\s*```\s*$/.test(line));
  const code = lines.slice(place + 1, end).join("\n");
  const copy = el(
    "button",
    { type: "button", "aria-label": "Copy", click: () => void navigator.clipboard?.writeText(code) },
    icon("copy"),
    "Copy",
  );
  const head = el("div", { class: "code-head" }, el("span", {}, language || "text"), copy);
  const body = el("pre", {}, el("code", { class: `language-${language || "text"}` }, code));
  return [el("div", { class: "chat-code-block" }, head, body), end + 1];
}

/**
 * @param {string[]} lines
 * @param {number} place
 * @returns {[Node, number]}
 */
function quoteAt(lines, place) {
  const end = endOf(lines, place, (line) => line.startsWith(">"));
  const inner = lines.slice(place, end).map((line) => line.replace(/^>\s?/, ""));
  return [el("blockquote", {}, markdown(inner.join("\n"))), end];
}

/**
 * @param {string[]} lines
 * @param {number} place
 * @returns {[Node, number]}
 */
function listAt(lines, place) {
  const first = ITEM.exec(lines[place] ?? "");
  const indent = first?.[1]?.length ?? 0;
  const isOrdered = /\d/.test(first?.[2] ?? "");
  const items = [];
  while (place < lines.length) {
    const found = ITEM.exec(lines[place] ?? "");
    if (!found || found[1]?.length !== indent) break;
    const end = endOf(lines, place + 1, (line) => /^\s/.test(line) && line.search(/\S/) > indent);
    const nested = lines.slice(place + 1, end).join("\n");
    items.push(el("li", {}, inline(found[3] ?? ""), nested ? markdown(nested) : null));
    place = end;
  }
  return [
    el(isOrdered ? "ol" : "ul", { start: isOrdered ? parseInt(first?.[2] ?? "1", 10) : null }, items),
    place,
  ];
}

/**
 * @param {string[]} lines
 * @param {number} place
 * @returns {[Node, number]}
 */
function tableAt(lines, place) {
  const end = endOf(lines, place + 2, (line) => line.includes("|"));
  const row = (/** @type {string} */ line, /** @type {"th" | "td"} */ tag) =>
    el(
      "tr",
      {},
      cells(line).map((cell) => el(tag, {}, inline(cell))),
    );
  const head = el("thead", {}, row(lines[place] ?? "", "th"));
  const body = el(
    "tbody",
    {},
    lines.slice(place + 2, end).map((line) => row(line, "td")),
  );
  return [el("div", { class: "table" }, el("table", {}, head, body)), end];
}

/** @param {string} line */
function cells(line) {
  const inner = line.trim().replace(/^\||\|$/g, "");
  return inner.split("|").map((cell) => cell.trim());
}

/**
 * @param {string[]} lines
 * @param {number} place
 * @returns {[Node, number]}
 */
function paragraphAt(lines, place) {
  const isPlain = (/** @type {string} */ line) =>
    Boolean(line.trim()) && !FENCE.test(line) && !ITEM.test(line);
  const end = Math.max(
    place + 1,
    endOf(lines, place, (line) => isPlain(line) && !/^(#{1,6}\s|>)/.test(line)),
  );
  const parts = lines.slice(place, end).map((line, number) => [number ? el("br") : null, ...inline(line)]);
  return [el("p", {}, parts.flat()), end];
}

/**
 * @param {string} text
 * @returns {(Node | string)[]}
 */
function inline(text) {
  const found = INLINE.exec(text);
  if (!found) return [text];
  const [all, , code, bold, name, address, italic, bare] = found;
  const before = text.slice(0, found.index);
  const after = inline(text.slice(found.index + all.length));
  return [before, marked({ code, bold, name, address, italic, bare }), ...after];
}

/** @param {Record<string, string | undefined>} found */
function marked({ code, bold, name, address, italic, bare }) {
  if (code !== undefined) return el("code", {}, code);
  if (bold !== undefined) return el("strong", {}, inline(bold));
  if (italic !== undefined) return el("em", {}, inline(italic));
  return el("a", { href: address ?? bare, target: "_blank", rel: "noopener" }, name ?? bare ?? "");
}
