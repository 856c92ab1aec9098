/** The options page: what it shows of the connection test, of the page self-test, and of an address being typed. */

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import test from "node:test";

import {
  addressNote,
  connectionSteps,
  connectionVerdict,
  needsPermission,
  packView,
  pairingView,
  purposeWords,
  readForm,
  selfTestView,
} from "../../extension/options/view.js";
import { DEFAULTS } from "../../extension/shared/settings.js";

const NAMES = ["address", "permission", "reach", "identity", "hello", "page"];
const passed = NAMES.map((name) => ({ name, ok: true, detail: `${name} is fine` }));
const failedAtReach = {
  ok: false,
  steps: [...passed.slice(0, 2), { name: "reach", ok: false, detail: "Failed to fetch" }],
};

/** @param {Parameters<typeof connectionSteps>[0]} answer */
const states = (answer) => connectionSteps(answer).map(({ state }) => state);

test("the six steps are shown in their order before anything is tested", () => {
  assert.deepEqual(
    connectionSteps(null).map(({ name }) => name),
    NAMES,
  );
  assert.deepEqual(new Set(states(null)), new Set(["idle"]));
  assert.equal(connectionVerdict(null).text, "");
});

test("while the test runs it claims nothing", () => {
  assert.deepEqual(new Set(states("running")), new Set(["running"]));
  assert.equal(connectionVerdict("running").severity, "quiet");
});

test("a test that passed shows each step's detail and no advice", () => {
  const answer = { ok: true, steps: passed };

  assert.deepEqual(new Set(states(answer)), new Set(["pass"]));
  for (const { name, detail, advice } of connectionSteps(answer))
    assert.deepEqual([detail, advice], [`${name} is fine`, ""]);
  assert.equal(connectionVerdict(answer).severity, "good");
});

test("a step that failed says what failed and what to do, and those behind it were not reached", () => {
  const steps = connectionSteps(failedAtReach);

  assert.deepEqual(states(failedAtReach), [
    "pass",
    "pass",
    "fail",
    "not_reached",
    "not_reached",
    "not_reached",
  ]);
  assert.equal(steps[2].detail, "Failed to fetch");
  assert.match(steps[2].advice, /Start the broker/);
  assert.equal(steps[3].word, "Not reached");
  assert.deepEqual(connectionVerdict(failedAtReach), {
    severity: "act",
    text: "Step 3 of 6 failed. See there what to do.",
  });
});

for (const [place, name] of NAMES.entries())
  test(`a failed step "${name}" has advice of its own`, () => {
    const answer = { ok: false, steps: [...passed.slice(0, place), { name, ok: false, detail: "no" }] };
    const advice = connectionSteps(answer).map((step) => step.advice);

    assert.equal(advice.filter(Boolean).length, 1);
    assert.match(advice[place], /^[A-Z].{20,}\.$/);
  });

test("a test that could not be run at all says why, and no step counts as passed", () => {
  const answer = { ok: false, error: "The extension's background does not answer." };

  assert.deepEqual(new Set(states(answer)), new Set(["not_reached"]));
  assert.deepEqual(connectionVerdict(answer), { severity: "act", text: answer.error });
});

test("a step that this page does not know is left out, and the order of the answer does not matter", () => {
  const answer = { ok: true, steps: [{ name: "moon", ok: true, detail: "" }, ...passed].reverse() };

  assert.deepEqual(
    connectionSteps(answer).map(({ name }) => name),
    NAMES,
  );
});

test("a self-test names every element that is missing, in words and as the page pack calls it", () => {
  const view = selfTestView({
    ok: false,
    missing: ["imagine.submit", "chat.stop_button"],
    detail: "Looked at /imagine.",
  });

  assert.equal(view.title, "2 elements were not found:");
  assert.equal(view.severity, "act");
  assert.deepEqual(view.missing, [
    { purpose: "imagine.submit", words: "Imagine page: submit" },
    { purpose: "chat.stop_button", words: "Chat page: stop button" },
  ]);
  assert.equal(view.text, "Looked at /imagine.");
});

test("one missing element is told as one", () => {
  assert.equal(selfTestView({ ok: false, missing: ["chat.editor"] }).title, "One element was not found:");
});

test("a self-test that found everything says so, one that could not be run does not", () => {
  assert.equal(selfTestView({ ok: true, missing: [], detail: "" }).severity, "good");
  const failed = selfTestView({ ok: false, error: "No Grok page is open." });
  assert.deepEqual([failed.severity, failed.text], ["fault", "No Grok page is open."]);
});

test("a purpose that belongs to no page is shown as it is", () => {
  assert.equal(purposeWords("state.login"), "state.login");
  assert.equal(purposeWords("chat"), "chat");
});

test("the page pack shows version and source, and says when it has not been read", () => {
  assert.deepEqual(packView({ version: "7", source: "broker", missing: [] }), {
    version: "7",
    source: "Fetched from the broker",
  });
  assert.deepEqual(packView({ version: "7", source: "bundled", missing: [] }), {
    version: "7",
    source: "Bundled with the extension",
  });
  assert.deepEqual(packView(undefined), { version: "Not read yet", source: "" });
});

test("the form is read as settings, cleaned", () => {
  const typed = {
    brokerUrl: " localhost:8000/ ",
    name: "  Desk ",
    kinds: { video: true, image: false, chat: true },
  };

  assert.deepEqual(readForm(typed), {
    ok: true,
    settings: { brokerUrl: "http://localhost:8000", name: "Desk", kinds: typed.kinds },
  });
});

test("a form with an address that cannot be used is not read", () => {
  assert.equal(readForm({ ...DEFAULTS, brokerUrl: "http://127.0.0.1/v1" }).ok, false);
});

test("an address on this machine, or one not finished, is not remarked upon", () => {
  for (const text of ["http://127.0.0.1:8000", "localhost:8000", "http://", ""])
    assert.equal(addressNote(text).text, "");
});

test("an address elsewhere says who will use the account, and more so without encryption", () => {
  const plain = addressNote("http://192.168.1.20:8000").text;
  const encrypted = addressNote("https://broker.example").text;

  assert.match(encrypted, /uses your Grok account/);
  assert.ok(plain.startsWith(encrypted));
  assert.match(plain, /network between/);
});

const manifest = JSON.parse(readFileSync(new URL("../../extension/manifest.json", import.meta.url), "utf8"));

for (const url of [DEFAULTS.brokerUrl, "http://127.0.0.1:9123", "http://localhost:8000", "http://localhost"])
  test(`Chrome need not be asked for ${url}`, () => {
    assert.equal(needsPermission(url, manifest.host_permissions), false);
  });

for (const url of [
  "http://192.168.1.20:8000",
  "https://127.0.0.1:8000",
  "http://[::1]:8000",
  "http://localhost.example",
])
  test(`Chrome is asked for ${url}`, () => {
    assert.equal(needsPermission(url, manifest.host_permissions), true);
  });

test("a pattern with a port stands for that port alone, one with any scheme for both", () => {
  assert.equal(needsPermission("http://a.example:1", ["http://a.example:1/*"]), false);
  assert.equal(needsPermission("http://a.example:2", ["http://a.example:1/*"]), true);
  assert.equal(needsPermission("https://a.example", ["*://a.example/*"]), false);
});

test("what may be asked of Chrome is in the manifest", () => {
  assert.deepEqual(manifest.optional_host_permissions, ["http://*/*", "https://*/*"]);
});

/** @type {import("../../extension/shared/states.js").PairingShown} */
const NONE = { isPaired: false, state: "none", code: "", words: [], until: 0, detail: "" };

/** @param {Partial<typeof NONE>} pairing @param {string} [connection] */
const pairing = (pairing, connection = "connected") =>
  pairingView(
    /** @type {any} */ ({ connection: { state: connection, detail: "", at: 0 }, pairing: { ...NONE, ...pairing } }),
  );

test("where no key is asked for, nothing is asked of the person", () => {
  assert.deepEqual([pairing({}).severity, pairing({}).canUnpair], ["quiet", false]);
  assert.deepEqual(pairingView(undefined), pairing({}));
});

test("a code is shown in two groups, with its words and the command that does the same", () => {
  const view = pairing({ state: "waiting", code: "01234567", words: ["amber", "lake", "zebra"] }, "pairing_needed");

  assert.deepEqual([view.code, view.words, view.canPair], ["0123 4567", "amber lake zebra", false]);
  assert.equal(view.command, "python -m broker pair 01234567");
});

test("a broker that asks for a key asks for pairing, and says why the last one came to nothing", () => {
  assert.equal(pairing({}, "pairing_needed").title, "Pairing needed");
  assert.match(pairing({ state: "refused" }, "pairing_needed").text, /said no/);
  assert.match(pairing({ state: "failed", detail: "It is full." }, "pairing_needed").text, /full/);
});

test("a paired browser can be unpaired, and one whose key is lost can do either", () => {
  const [well, lost] = [pairing({ isPaired: true }), pairing({ isPaired: true }, "pairing_needed")];

  assert.deepEqual([well.severity, well.canPair, well.canUnpair], ["good", false, true]);
  assert.deepEqual([lost.severity, lost.canPair, lost.canUnpair], ["act", true, true]);
});

for (const state of ["refused", "wrong_codes", "expired", "lost"])
  test(`a pairing that ended as ${state} says so and shows no code any more`, () => {
    const { text, code, canPair } = pairing({ state });

    assert.match(text, /^[A-Z].*\.$/);
    assert.deepEqual([code, canPair], ["", true]);
  });
