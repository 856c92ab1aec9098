// A rendered answer back to the Markdown it came from, as nearly as the page allows. Used only where the page's own
// traffic could not be seen.

/** The whole answer. @param {Element} block */
export function toMarkdown(block) {
  return blocksOf(block).map(blockText).filter(Boolean).join("\n\n").trim();
}

/** Everything but the last block, which may still grow or be rendered anew. @param {Element} block */
export function settledMarkdown(block) {
  const settled = blocksOf(block).slice(0, -1).map(blockText).filter(Boolean);
  return settled.length > 0 ? `${settled.join("\n\n")}\n\n` : "";
}

/** @param {Element} block @returns {Node[]} */
function blocksOf(block) {
  const inner = [...block.childNodes].filter((node) => node.nodeType === 1 || node.textContent?.trim());
  // The page may wrap all of it once more.
  const only = inner.length === 1 && inner[0] instanceof Element && inner[0].matches("div") ? inner[0] : null;
  return only && only.children.length > 0 && !only.matches("pre, .chat-code-block") ? blocksOf(only) : inner;
}

/** @param {Node} node @returns {string} */
function blockText(node) {
  if (!(node instanceof Element)) return (node.textContent ?? "").trim();
  const code = node.matches("pre") ? node : node.querySelector("pre");
  if (code) return fenced(code);
  const heading = /^H([1-6])$/.exec(node.tagName);
  if (heading) return `${"#".repeat(Number(heading[1]))} ${inline(node)}`;
  if (node.matches("ul, ol")) return list(node, "");
  if (node.matches("blockquote")) return toMarkdown(node).replace(/^/gm, "> ");
  if (node.matches("table")) return table(node);
  if (node.matches("hr")) return "---";
  if (node.matches("div") && node.querySelector("p, ul, ol, table, h1, h2, h3")) return toMarkdown(node);
  return inline(node);
}

/** @param {Element} pre */
function fenced(pre) {
  const code = pre.querySelector("code") ?? pre;
  const language = /language-([\w+#-]+)/.exec(code.className)?.[1] ?? pre.getAttribute("data-language") ?? "";
  return `\`\`\`${language}\n${(code.textContent ?? "").replace(/\n$/, "")}\n\`\`\``;
}

/** @param {Element} element @param {string} indent @returns {string} */
function list(element, indent) {
  const first = Number(element.getAttribute("start") ?? 1);
  return [...element.children]
    .map((item, index) => {
      const mark = element.matches("ol") ? `${first + index}.` : "-";
      const nested = [...item.querySelectorAll(":scope > ul, :scope > ol")];
      const below = nested.map((inner) => `\n${list(inner, `${indent}  `)}`).join("");
      return `${indent}${mark} ${inline(item, "ul, ol").trim()}${below}`;
    })
    .join("\n");
}

/** @param {Element} element */
function table(element) {
  const rows = [...element.querySelectorAll("tr")].map((row) => [...row.children].map((cell) => inline(cell)));
  const [head = [], ...body] = rows;
  const lines = [head, head.map(() => "---"), ...body];
  return lines.map((cells) => `| ${cells.join(" | ")} |`).join("\n");
}

/** @type {Record<string, string>} */
const MARKS = { STRONG: "**", B: "**", EM: "*", I: "*", DEL: "~~", CODE: "`" };

/** @param {Node} node @param {string} [without] @returns {string} */
function inline(node, without) {
  return [...node.childNodes]
    .map((child) => {
      if (!(child instanceof Element)) return (child.textContent ?? "").replace(/\s+/g, " ");
      if (without && child.matches(without)) return "";
      if (child.tagName === "BR") return "\n";
      const text = inline(child, without);
      if (child.tagName === "A" && child.getAttribute("href")) return `[${text}](${child.getAttribute("href")})`;
      const mark = MARKS[child.tagName] ?? "";
      return `${mark}${text}${mark}`;
    })
    .join("");
}
