/** Commands: popup and options may give them, nobody else can, and nothing but a command is one. */

import assert from "node:assert/strict";
import test, { beforeEach } from "node:test";

const OWN = "cbbjidhpddkbmnhlnldimfkcageanjdb";
const HOME = `chrome-extension://${OWN}/`;
/** What the extension keeps. @type {Record<string, any>} */
let local = {};
globalThis.chrome = /** @type {any} */ ({
  runtime: { id: OWN, getURL: (/** @type {string} */ path) => HOME + path },
  storage: {
    local: {
      get: async (/** @type {string} */ key) => ({ [key]: local[key] }),
      set: async (/** @type {any} */ changes) => void Object.assign(local, changes),
    },
  },
});
const { obey } = await import("../../extension/background/commands.js");

const POPUP = { id: OWN, url: `${HOME}popup/popup.html`, origin: HOME.slice(0, -1) };

/** @type {any[][]} what the worker was asked to do */
let asked = [];
const worker = /** @type {any} */ ({
  board: { now: {} },
  pause: async (/** @type {boolean} */ isPaused) => void asked.push(["pause", isPaused]),
  stir: () => void asked.push(["stir"]),
  selfTest: async () => {
    throw new Error("The page went away.");
  },
});

beforeEach(() => {
  local = {};
  asked = [];
});

/**
 * @param {unknown} message @param {any} [sender]
 * @returns {Promise<{isTaken: boolean, answer: any}>}
 */
async function send(message, sender = POPUP) {
  /** @type {any} */
  let answer = null;
  const isTaken = obey(worker, message, sender, (given) => (answer = given));
  await new Promise((resolve) => setImmediate(resolve));
  return { isTaken, answer };
}

test("the popup can pause and resume", async () => {
  assert.deepEqual(await send({ command: "pause" }), { isTaken: true, answer: { ok: true } });
  await send({ command: "resume" });
  assert.deepEqual(asked, [["pause", true], ["pause", false]]);
});

/** @type {Record<string, any>} */
const STRANGERS = {
  "our own script in a page of the site": { id: OWN, url: "https://grok.com/", origin: "https://grok.com", tab: { id: 1 } },
  "a page whose address looks like ours": { id: OWN, url: `https://grok.com/${HOME}popup/popup.html` },
  "a page of a host that begins as ours": { id: OWN, url: `chrome-extension://${OWN}x/popup/popup.html` },
  "another extension": { id: "a".repeat(32), url: `chrome-extension://${"a".repeat(32)}/popup.html` },
  "another extension under our address": { id: "a".repeat(32), url: POPUP.url },
  "nobody by name": { url: POPUP.url },
  "one without an address": { id: OWN },
};
for (const [who, sender] of Object.entries(STRANGERS))
  test(`${who} cannot command and gets no answer`, async () => {
    const settings = { brokerUrl: "http://evil.example" };
    for (const command of ["pause", "resume", "open_grok", "self_test", "test_connection", "save_settings", "pair", "unpair"])
      assert.deepEqual(await send({ command, settings }, sender), { isTaken: false, answer: null });

    assert.deepEqual([asked, local], [[], {}]);
  });

const NO_COMMANDS = [
  undefined, null, 0, "pause", [], ["pause"], {}, { command: null }, { command: 5 }, { command: ["pause"] },
  { command: "" }, { command: "Pause" }, { command: "constructor" }, { command: "__proto__" },
  { command: "toString" }, { command: "submit" }, { event: "here" },
];
for (const message of NO_COMMANDS)
  test(`${JSON.stringify(message)} is no command`, async () => {
    assert.deepEqual(await send(message), { isTaken: false, answer: null });
    assert.deepEqual(asked, []);
  });

test("settings are stored whole and cleaned, and the worker is told", async () => {
  const settings = { brokerUrl: " 192.168.1.20:8000/ ", name: "desk\n", kinds: { chat: false }, token: "more" };
  const { answer } = await send({ command: "save_settings", settings });

  assert.deepEqual(answer, { ok: true });
  const kinds = { video: true, image: true, chat: false };
  assert.deepEqual(local.settings, { brokerUrl: "http://192.168.1.20:8000", name: "desk", kinds });
  assert.deepEqual(asked, [["stir"]]);
});

for (const brokerUrl of ["", "file:///etc/passwd", "javascript:alert(1)", "http://*", { toString: "x" }, null])
  test(`the broker address ${JSON.stringify(brokerUrl)} is refused, and nothing is stored`, async () => {
    const { answer } = await send({ command: "save_settings", settings: { brokerUrl } });

    assert.equal(answer.ok, false);
    assert.ok(answer.error);
    assert.deepEqual([local, asked], [{}, []]);
  });

test("settings that are none are refused", async () => {
  const { answer } = await send({ command: "save_settings" });

  assert.equal(answer.ok, false);
  assert.deepEqual(local, {});
});

test("a command that fails says why", async () => {
  assert.deepEqual(await send({ command: "self_test" }), {
    isTaken: true,
    answer: { ok: false, error: "The page went away." },
  });
});
