/** Pairing: code and words are shown, the key is kept once, told to its own broker alone, and forgotten when asked. */

import assert from "node:assert/strict";
import test, { beforeEach } from "node:test";

const HERE = "http://127.0.0.1:8000";
/** What the extension keeps, by area. @type {Record<string, Record<string, any>>} */
let kept = {};
/** What happened to the storage, in order. @type {string[]} */
let deeds = [];
const area = (/** @type {string} */ name) => ({
  get: async (/** @type {string} */ key) => ({ [key]: kept[name][key] }),
  set: async (/** @type {any} */ changes) => {
    deeds.push(`${name} ${Object.keys(changes)}`);
    Object.assign(kept[name], changes);
  },
  remove: async (/** @type {string} */ key) => void delete kept[name][key],
  setAccessLevel: async (/** @type {any} */ { accessLevel }) => void deeds.push(`${name} ${accessLevel}`),
});
globalThis.chrome = /** @type {any} */ ({
  storage: { local: area("local"), session: area("session") },
});
const { Pairing, brokerAt } = await import("../../extension/background/pairing.js");

const BEGUN = { pairing_id: "pair_1", code: "01234567", words: ["amber", "lake", "zebra"], expires_seconds: 120 };
const PAIRED = { state: "paired", key: "gbw_secret" };
/** @type {{path: string, headers: Record<string, string>, body: any}[]} */
let calls = [];
/** What the broker answers, by path without its query; the last one stays. @type {Record<string, any[]>} */
let answers = {};
globalThis.fetch = /** @type {any} */ (
  async (/** @type {string} */ url, /** @type {any} */ options) => {
    const { pathname, origin } = new URL(url);
    const { headers, body } = options;
    calls.push({ path: origin === HERE ? pathname : url, headers, body: body && JSON.parse(body) });
    const all = answers[pathname] ?? [{}];
    const answer = all.length > 1 ? all.shift() : all[0];
    if (answer instanceof Promise) return Response.json(await answer);
    return Response.json(answer, { status: answer.status ?? 200 });
  }
);

/** @type {any[]} */
let shown = [];
let changes = 0;
/** Wakes who waits for the next thing that is shown. */
let wake = () => {};
const board = /** @type {any} */ ({
  show: (/** @type {any} */ { pairing }) => {
    shown.push(pairing);
    wake();
  },
});
const newPairing = () =>
  new Pairing(board, () => {
    changes++;
    wake();
  });

beforeEach(() => {
  kept = { local: { workerId: "chrome-1", settings: { brokerUrl: HERE, name: "desk" } }, session: {} };
  answers = { "/extension/pair": [BEGUN], "/extension/pair/pair_1": [PAIRED] };
  [deeds, calls, shown, changes] = [[], [], [], 0];
});

/** @param {string} state */
async function until(state) {
  while (shown.at(-1)?.state !== state) await new Promise((resolve) => (wake = () => resolve(undefined)));
  return shown.at(-1);
}

test("code and words are shown while the owner is waited for, and then the key is kept", async () => {
  answers["/extension/pair/pair_1"] = [{ state: "pending", key: null }, PAIRED];
  assert.deepEqual(await newPairing().start(), { ok: true });
  const { code, words } = shown[0];
  const { isPaired } = await until("paired");

  assert.deepEqual([code, words], ["01234567", ["amber", "lake", "zebra"]]);
  assert.equal(isPaired, true);
  assert.deepEqual(kept.local.workerKey, { url: HERE, key: "gbw_secret" });
  await new Promise((resolve) => (changes ? resolve(undefined) : (wake = () => resolve(undefined))));
  assert.equal(changes, 1);
});

test("the key is written only after content scripts have been shut out", async () => {
  await newPairing().start();
  await until("paired");

  const places = ["local TRUSTED_CONTEXTS", "local workerKey"].map((deed) => deeds.indexOf(deed));
  assert.ok(places[0] >= 0 && places[0] < places[1], deeds.join());
});

test("neither key nor nonce is shown", async () => {
  await newPairing().start();
  await until("paired");

  assert.doesNotMatch(JSON.stringify(shown), new RegExp(`gbw_secret|${calls[0].body.nonce}`));
});

test("the nonce is new each time, kept before it is sent, and goes in a header afterwards", async () => {
  for (let times = 0; times < 2; times++) {
    await newPairing().start();
    await until("paired");
    shown = [];
  }
  const [first, look, second] = calls;

  assert.match(first.body.nonce, /^[0-9a-f]{64}$/);
  assert.equal(look.headers["X-Pairing-Nonce"], first.body.nonce);
  assert.notEqual(first.body.nonce, second.body.nonce);
  assert.equal(deeds[0], "session pairing");
});

test("a key goes with every call to the broker that gave it, and to no other", async () => {
  kept.local.workerKey = { url: HERE, key: "gbw_secret" };
  await (await brokerAt(HERE)).pack();
  for (const url of ["http://127.0.0.1:8001", "http://localhost:8000", "https://127.0.0.1:8000"])
    await (await brokerAt(url)).pack();

  assert.deepEqual(
    calls.map(({ headers }) => headers.Authorization),
    ["Bearer gbw_secret", undefined, undefined, undefined],
  );
});

for (const state of ["refused", "wrong_codes", "expired"])
  test(`a pairing that is ${state} ends, and leaves no key`, async () => {
    answers["/extension/pair/pair_1"] = [{ state, key: null }];
    await newPairing().start();
    const { isPaired, code } = await until(state);

    assert.deepEqual([isPaired, code], [false, ""]);
    assert.deepEqual([kept.local.workerKey, kept.session.pairing, changes], [undefined, undefined, 0]);
  });

test("a key that went to a call that did not live is lost, and said to be", async () => {
  answers["/extension/pair/pair_1"] = [{ state: "paired", key: null }];
  await newPairing().start();

  assert.equal((await until("lost")).isPaired, false);
});

for (const key of ["two\nlines", "", 5, { toString: null }, "x".repeat(201), "with blank", "ключ"])
  test(`${JSON.stringify(key).slice(0, 20)} is not kept as a key`, async () => {
    answers["/extension/pair/pair_1"] = [{ state: "paired", key }];
    await newPairing().start();
    while (!shown.at(-1) || shown.at(-1).state === "waiting") await new Promise((resolve) => setImmediate(resolve));

    assert.equal(kept.local.workerKey, undefined);
  });

test("a broker that answers nonsense ends nothing but its pairing", async () => {
  answers["/extension/pair"] = [{ pairing_id: "p".repeat(1e6), code: {}, words: [1, null], expires_seconds: "never" }];
  answers[`/extension/pair/${"p".repeat(100)}`] = [{ state: ["odd"] }];
  assert.equal((await newPairing().start()).ok, true);
  while (shown.at(-1).state === "waiting") await new Promise((resolve) => setImmediate(resolve));

  assert.deepEqual([shown.at(-1).state, shown.at(-1).isPaired], ["failed", false]);
});

test("a pairing that the broker has forgotten has expired", async () => {
  answers["/extension/pair/pair_1"] = [{ status: 404, error: { code: "not_found" } }];
  await newPairing().start();

  await until("expired");
});

test("a broker that takes none says why", async () => {
  const message = "No key is asked for here: a worker needs no pairing.";
  answers["/extension/pair"] = [{ status: 409, error: { code: "conflict", message } }];

  assert.deepEqual(await newPairing().start(), { ok: false, error: message });
  assert.deepEqual([shown.at(-1).state, shown.at(-1).detail], ["failed", message]);
});

test("a pairing goes on after the service worker was ended", async () => {
  const nonce = "a".repeat(64);
  const asked = { url: HERE, nonce, name: "", id: "pair_1", code: "01234567", words: [], until: Date.now() + 60_000 };
  kept.session.pairing = asked;
  await newPairing().resume();
  await until("paired");

  assert.deepEqual(calls.map(({ path }) => path), ["/extension/pair/pair_1"]);
  assert.equal(calls[0].headers["X-Pairing-Nonce"], nonce);
});

test("one that was ended before the broker answered asks again with the same nonce", async () => {
  const nonce = "a".repeat(64);
  kept.session.pairing = { url: HERE, nonce, name: "", id: "", code: "", words: [], until: 0 };
  await newPairing().resume();
  await until("paired");

  assert.equal(calls[0].body.nonce, nonce);
});

test("a second press while one waits begins no other", async () => {
  /** @type {(answer: any) => void} */
  let confirm = () => {};
  answers["/extension/pair/pair_1"] = [new Promise((resolve) => (confirm = resolve))];
  const pairing = newPairing();
  await pairing.start();
  await pairing.start();
  confirm(PAIRED);
  await until("paired");

  assert.equal(calls.filter(({ path }) => path === "/extension/pair").length, 1);
});

test("unpairing ends the key at the broker and here", async () => {
  kept.local.workerKey = { url: HERE, key: "gbw_secret" };
  assert.deepEqual(await newPairing().unpair(), { ok: true, detail: "" });

  assert.deepEqual([calls[0].path, calls[0].headers.Authorization], ["/extension/unpair", "Bearer gbw_secret"]);
  assert.equal(kept.local.workerKey, undefined);
  assert.deepEqual([shown.at(-1).isPaired, changes], [false, 1]);
});

test("a broker that cannot be told of it is no reason to keep the key", async () => {
  kept.local.workerKey = { url: HERE, key: "gbw_secret" };
  answers["/extension/unpair"] = [{ status: 500 }];
  const { detail } = await newPairing().unpair();

  assert.match(detail ?? "", /end the key there/);
  assert.equal(kept.local.workerKey, undefined);
});

test("a confirmation that comes after unpairing is not taken", async () => {
  /** @type {(answer: any) => void} */
  let confirm = () => {};
  answers["/extension/pair/pair_1"] = [new Promise((resolve) => (confirm = resolve))];
  const pairing = newPairing();
  await pairing.start();
  await pairing.unpair();
  confirm(PAIRED);
  await new Promise((resolve) => setImmediate(resolve));

  assert.equal(kept.local.workerKey, undefined);
});
