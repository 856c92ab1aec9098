/** Who may know whom in the extension. Only what is said between its parts joins them: messages, and the words for them. */

import assert from "node:assert/strict";
import { readFileSync, readdirSync } from "node:fs";
import { dirname, join, relative } from "node:path";
import test from "node:test";
import { fileURLToPath } from "node:url";

const ROOT = fileURLToPath(new URL("../../extension", import.meta.url));
/** Chromium starts these two as classic scripts, which cannot import. */
const CLASSIC = ["page/loader.js", "page/observer.js"];

/** Folder → the other folders that its code may import from. @type {Record<string, string[]>} */
const CODE = {
  background: ["shared"],
  page: ["shared"],
  popup: ["shared"],
  options: ["shared"],
  shared: [],
};
/** The same for types: the background speaks with pages in words that are defined there. */
const TYPES = { ...CODE, background: ["shared", "page"] };

const files = Object.keys(CODE).flatMap((folder) =>
  readdirSync(join(ROOT, folder))
    .filter((name) => name.endsWith(".js"))
    .map((name) => `${folder}/${name}`),
);
const COMMENT = /\/\*[\s\S]*?\*\/|(?<=^|\s)\/\/.*$/gm;

/** @param {string} file */
const read = (file) => readFileSync(join(ROOT, file), "utf8");
/** @param {string} file */
const codeOf = (file) => read(file).replace(COMMENT, "");
/** @param {string} file */
const commentsOf = (file) => (read(file).match(COMMENT) ?? []).join("\n");

/** Where an import leads, from the extension's root. @param {string} file @param {string} path */
const target = (file, path) => relative(ROOT, join(ROOT, dirname(file), path));
/** @param {string} path */
const folderOf = (path) => path.split("/")[0];

/** @param {string} file @param {string} text @param {RegExp} pattern */
const targets = (file, text, pattern) => [...text.matchAll(pattern)].map((found) => target(file, found[1]));
/** @param {string} file */
const imports = (file) => targets(file, codeOf(file), /^\s*(?:import|export)\b(?:[^;"]*\bfrom)?\s*"([^"]+)"/gm);
/** @param {string} file */
const types = (file) => targets(file, commentsOf(file), /\bimport\("([^"]+)"\)/g);

/** @param {Record<string, string[]>} allowed @param {(file: string) => string[]} leads */
function wrong(allowed, leads) {
  return files.flatMap((file) =>
    leads(file)
      .filter((path) => folderOf(path) !== folderOf(file) && !allowed[folderOf(file)].includes(folderOf(path)))
      .map((path) => `${file} → ${path}`),
  );
}

test("code imports its own folder and what is shared, and nothing else", () => {
  assert.ok(files.flatMap(imports).length > 60);
  assert.deepEqual(wrong(CODE, imports), []);
});

test("types come from no further, but that the background knows the words of pages", () => {
  assert.ok(files.flatMap(types).length > 30);
  assert.deepEqual(wrong(TYPES, types), []);
});

test("every import leads to a file that is there", () => {
  for (const file of files) for (const path of [...imports(file), ...types(file)]) assert.ok(files.includes(path), `${file} → ${path}`);
});

test("nothing is imported by name while it runs, but the page's modules by their loader", () => {
  assert.deepEqual(
    files.filter((file) => /\bimport\s*\(/.test(codeOf(file))),
    ["page/loader.js"],
  );
});

test("what Chromium starts as a classic script imports nothing", () => {
  for (const file of CLASSIC) assert.deepEqual(imports(file), [], file);
});

test("popup and options act by message alone: neither calls the broker or the site, nor touches tabs", () => {
  for (const file of files.filter((name) => ["popup", "options"].includes(folderOf(name)))) {
    assert.doesNotMatch(codeOf(file), /\bfetch\(|XMLHttpRequest|chrome\.(tabs|windows|storage\.\w+\.set)\b/, file);
  }
});
