/** The manifest is the one that was reviewed, and the extension runs nothing that is not in its folder. */

import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { existsSync, readFileSync, readdirSync } from "node:fs";
import test from "node:test";

const ROOT = new URL("../../extension/", import.meta.url);
const manifest = JSON.parse(readFileSync(new URL("manifest.json", ROOT), "utf8"));

/**
 * Everything that gives the extension a right, or somebody else a way in. A change of the manifest has to be made here
 * too, so that it is looked at twice, and told in docs/extension.md.
 */
const REVIEWED = {
  manifest_version: 3,
  minimum_chrome_version: "120",
  permissions: ["storage", "alarms"],
  host_permissions: [
    "https://grok.com/*",
    "https://assets.grok.com/*",
    "https://imagine-public.x.ai/*",
    "http://127.0.0.1/*",
    "http://localhost/*",
  ],
  optional_host_permissions: ["http://*/*", "https://*/*"],
  externally_connectable: { ids: [] },
  content_security_policy: {
    extension_pages: "script-src 'self'; object-src 'none'; base-uri 'none'; form-action 'none'",
  },
  background: { service_worker: "background/main.js", type: "module" },
  content_scripts: [
    {
      matches: ["https://grok.com/*"],
      js: ["page/observer.js"],
      run_at: "document_start",
      world: "MAIN",
    },
    { matches: ["https://grok.com/*"], js: ["page/loader.js"], run_at: "document_start" },
  ],
  web_accessible_resources: [{ resources: ["page/*.js", "shared/*.js"], matches: ["https://grok.com/*"] }],
  action: { default_title: "Grok Broker", default_popup: "popup/popup.html" },
  options_ui: { page: "options/options.html", open_in_tab: true },
};
/** What only describes. */
const DESCRIBING = ["name", "description", "version", "key", "icons"];

for (const [field, value] of Object.entries(REVIEWED))
  test(`${field} is as it was reviewed`, () => {
    assert.deepEqual(manifest[field], value);
  });

test("the manifest has no field that was not reviewed", () => {
  assert.deepEqual(Object.keys(manifest).sort(), [...Object.keys(REVIEWED), ...DESCRIBING].sort());
});

test("the key comes to the id that the broker lets in", () => {
  const digest = createHash("sha256").update(Buffer.from(manifest.key, "base64")).digest("hex");
  // Chromium writes the first 16 bytes in the letters a to p.
  const id = [...digest.slice(0, 32)].map((digit) => "abcdefghijklmnop"[parseInt(digit, 16)]).join("");

  assert.equal(id, "cbbjidhpddkbmnhlnldimfkcageanjdb");
});

test("every file that the manifest names is there", () => {
  const scripts = manifest.content_scripts.flatMap((/** @type {{js: string[]}} */ { js }) => js);
  const pages = [manifest.action.default_popup, manifest.options_ui.page];
  const icons = /** @type {string[]} */ (Object.values(manifest.icons));
  const named = [manifest.background.service_worker, ...scripts, ...pages, ...icons];

  for (const path of named) assert.ok(existsSync(new URL(path, ROOT)), path);
  for (const pattern of manifest.web_accessible_resources[0].resources) {
    const [folder, ending] = pattern.split("*");
    const found = readdirSync(new URL(folder, ROOT)).filter((name) => name.endsWith(ending));
    assert.ok(found.length > 0, pattern);
  }
});

const files = readdirSync(ROOT, { recursive: true }).map(String);
const read = (/** @type {string} */ path) => readFileSync(new URL(path, ROOT), "utf8");
const scripts = files.filter((path) => path.endsWith(".js"));
const pages = files.filter((path) => path.endsWith(".html"));

/** Ways for text to become code or mark-up, in whatever spelling. @type {Record<string, RegExp>} */
const FORBIDDEN = {
  eval: /\beval\b/,
  "new Function": /\bFunction\s*\(/,
  "a timer that is told a text": /\bset(?:Timeout|Interval)\(\s*["'`]/,
  innerHTML: /\b(?:inner|outer)HTML\b/,
  insertAdjacentHTML: /insertAdjacentHTML/,
  setHTML: /setHTML|parseHTMLUnsafe|createContextualFragment|DOMParser|srcdoc/,
  "document.write": /document\s*\.\s*write/,
  "an element for a script": /createElement\(\s*["'`]script/i,
  "an import from elsewhere": /(?:import|from|importScripts)\s*\(?\s*["'`](?:https?:|\/\/|data:|blob:)/,
  executeScript: /executeScript|chrome\.(?:scripting|debugger|userScripts)/,
};

for (const [name, pattern] of Object.entries(FORBIDDEN))
  test(`no script of the extension has ${name}`, () => {
    const found = scripts.filter((path) => pattern.test(read(path)));
    assert.deepEqual(found, []);
  });

test("the patterns find what they are for", () => {
  const guilty = [
    'eval("1")', "new Function('1')", 'setTimeout("f()", 1)', "a.innerHTML = b", "a.insertAdjacentHTML('x', b)",
    "new DOMParser()", "document.write(b)", 'createElement("script")', 'import("https://x.example/a.js")',
    "chrome.scripting.executeScript({})",
  ];
  Object.values(FORBIDDEN).forEach((pattern, index) => assert.match(guilty[index], pattern));
  assert.ok(scripts.length > 30);
});

test("the one import whose address is made is of a file of the extension's own", () => {
  const madeIn = (/** @type {string} */ path) => [...read(path).matchAll(/import\((?!["'])[^)]*\)/g)];
  const made = scripts.flatMap((path) => madeIn(path).map(([call]) => [path, call]));
  const outsideComments = made.filter(([, call]) => call !== "import()");

  assert.deepEqual(outsideComments, [["page/loader.js", "import(main)"]]);
  assert.match(read("page/loader.js"), /const main = chrome\.runtime\.getURL\("page\/main\.js"\);/);
});

test("no page of the extension has a script in its text, or loads anything from elsewhere", () => {
  assert.ok(pages.length > 1);
  for (const path of pages) {
    const text = read(path);
    assert.doesNotMatch(text, /<script(?![^>]*\ssrc=)[^>]*>/i, path);
    assert.doesNotMatch(text, /\s(?:src|href|action)=["']?(?:https?:|\/\/|data:|javascript:)/i, path);
    assert.doesNotMatch(text, /\son\w+=/i, path);
  }
});
