/** The page pack: the one that ships is sound, and one that was tampered with is refused or harmless. */

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import test from "node:test";

import { isNewer } from "../../extension/background/pack.js";
import { fault } from "../../extension/shared/schema.js";

const read = (/** @type {string} */ name) =>
  JSON.parse(readFileSync(new URL(`../../extension/sites/${name}`, import.meta.url), "utf8"));
const schema = read("site.schema.json");
const pack = read("grok.json");

test("the pack that ships is as its schema says", () => {
  assert.equal(fault(schema, pack), null);
});

test("every purpose that the page's code asks for is in the pack, and the other way round", () => {
  const files = ["chat", "imagine", "image", "video", "options", "offered", "inspect", "attachments", "context", "self_test"];
  const code = files.map((name) => readFileSync(new URL(`../../extension/page/${name}.js`, import.meta.url), "utf8")).join("");
  const options = ["mode", "duration", "resolution", "aspect"].flatMap((name) => [`imagine.${name}`, `imagine.${name}_menu`]);
  const places = ["chat", "imagine"].flatMap((place) =>
    ["files", "attachment", "attachment_busy", "editor", "submit"].map((part) => `${place}.${part}`),
  );
  const named = new Set([...code.matchAll(/"((?:chat|imagine|menu|state)\.\w+)"/g)].map((found) => found[1]));
  for (const purpose of named) assert.ok(pack.purposes[purpose], `${purpose} is asked for and not in the pack`);
  const asked = new Set([...named, ...options, ...places]);
  for (const purpose of Object.keys(pack.purposes)) assert.ok(asked.has(purpose), `${purpose} is in the pack and not asked for`);
});

/** A number that repeats itself from run to run. @param {number} seed */
function rolls(seed) {
  let state = seed;
  return (/** @type {number} */ sides) => {
    state = (state * 1103515245 + 12345) % 2147483648;
    return state % sides;
  };
}

const POISON = /** @type {any[]} */ ([
  "<script>alert(1)</script>", "javascript:alert(1)", "https://evil.example/", "http://127.0.0.1:8000/", null, -1, 1e12, {},
  [], true, "x".repeat(100_000), { toString: "x" }, { rungs: [] }, { css: "a", onclick: "alert(1)" }, "__proto__",
]);

/** Every place in a value, as a path. @param {any} value @param {(string | number)[]} path @returns {(string | number)[][]} */
function places(value, path = []) {
  if (typeof value !== "object" || value === null) return [path];
  const keys = Array.isArray(value) ? [...value.keys()] : Object.keys(value);
  return [path, ...keys.flatMap((key) => places(value[key], [...path, key]))];
}

/** What a pack can make the extension do: where it goes, whom it asks for bytes, which code runs. @param {any} tampered */
function isHarmless(tampered) {
  const addresses = Object.values(tampered.addresses);
  const isAtHome = addresses.every((address) => new URL(String(address)).origin === "https://grok.com");
  const hosts = ["assets.grok.com", "imagine-public.x.ai"];
  const isFromHome = tampered.media.hosts.every((/** @type {string} */ host) => hosts.includes(host));
  return isAtHome && isFromHome && tampered.media.base === "https://assets.grok.com/";
}

test("300 packs that were tampered with are refused or harmless", () => {
  const roll = rolls(20261120);
  const everywhere = places(pack).filter((path) => path.length > 0);
  let refused = 0;
  for (let round = 0; round < 300; round++) {
    const tampered = structuredClone(pack);
    const path = everywhere[roll(everywhere.length)];
    const holder = path.slice(0, -1).reduce((/** @type {any} */ inner, key) => inner[key], tampered);
    const poison = POISON[roll(POISON.length)];
    if (roll(3) === 0) holder[`new_${round}`] = poison;
    else holder[/** @type {string} */ (path.at(-1))] = poison;
    const wrong = fault(schema, tampered);
    if (wrong) refused++;
    else assert.ok(isHarmless(tampered), `${path.join(".")} = ${JSON.stringify(poison)?.slice(0, 60)} was taken`);
  }
  assert.ok(refused > 200, `only ${refused} were refused`);
});

for (const [place, value] of /** @type {[string, any][]} */ ([
  ["addresses.chat", "https://grok.com.evil.example/"], ["addresses.chat", "https://grok.com@evil.example/"],
  ["addresses.post", "https://grok.com/../../x?y"], ["media.hosts", ["127.0.0.1"]], ["media.base", "https://evil.example/"],
  ["press", "eval"], ["limits.page_seconds", -1], ["site", "other"],
])) {
  test(`a pack whose ${place} is ${JSON.stringify(value)} is refused`, () => {
    const tampered = structuredClone(pack);
    const keys = place.split(".");
    const last = /** @type {string} */ (keys.pop());
    keys.reduce((/** @type {any} */ inner, key) => inner[key], tampered)[last] = value;
    assert.notEqual(fault(schema, tampered), null);
  });
}

test("a schema may not say what is not checked", () => {
  assert.throws(() => fault({ type: "string", format: "uri" }, "x"), /format/);
});

test("the newer of two versions is told by number, not by letter", () => {
  assert.ok(isNewer("2026.11.10", "2026.11.9"));
  assert.ok(isNewer("2027.1.1", "2026.12.9"));
  assert.ok(!isNewer("2026.11.1", "2026.11.1"));
  assert.ok(!isNewer("2026.2.9", "2026.11.1"));
});
