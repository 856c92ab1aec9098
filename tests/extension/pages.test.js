/** The pages that are open: only our own script at the site's top frame is heard, and only well-formed events of it. */

import assert from "node:assert/strict";
import test from "node:test";

const OWN = "cbbjidhpddkbmnhlnldimfkcageanjdb";
globalThis.chrome = /** @type {any} */ ({ runtime: { id: OWN, lastError: undefined } });
const { Pages } = await import("../../extension/background/pages.js");

/** @typedef {import("../../extension/background/pages.js").Page} Page */
/** @typedef {import("../../extension/background/pages.js").PageEvent} PageEvent */

const SENDER = {
  id: OWN,
  origin: "https://grok.com",
  url: "https://grok.com/imagine",
  frameId: 0,
  tab: /** @type {any} */ ({ id: 7 }),
};

/** One end of a line, as Chromium gives it to the background. */
class FakePort {
  name = "page";
  /** @type {any[]} */
  told = [];
  isOpen = true;
  /** @type {((message: any) => void)[]} */
  #hearers = [];
  /** @type {(() => void)[]} */
  #leavers = [];
  onMessage = { addListener: (/** @type {(message: any) => void} */ hearer) => void this.#hearers.push(hearer) };
  onDisconnect = { addListener: (/** @type {() => void} */ leaver) => void this.#leavers.push(leaver) };

  constructor(/** @type {any} */ changes = {}) {
    this.sender = { ...SENDER, ...changes };
  }

  postMessage(/** @type {any} */ order) {
    if (!this.isOpen) throw new Error("Attempting to use a disconnected port object");
    this.told.push(order);
  }

  disconnect() {
    this.isOpen = false;
  }

  /** What the script at the other end says. */
  says(/** @type {any[]} */ ...messages) {
    for (const message of messages) for (const hear of this.#hearers) hear(message);
  }

  /** The other end goes away. */
  breaks() {
    this.isOpen = false;
    for (const leave of this.#leavers) leave();
  }
}

/** A background without anything but its list of pages. */
function opened() {
  /** @type {Page[]} */
  const here = [];
  /** @type {PageEvent[]} */
  const standings = [];
  const pages = new Pages({
    onHere: (page) => void here.push(page),
    onStanding: (_, event) => void standings.push(event),
  });
  /** @param {any} [changes] of who sends @param {any} [about] */
  const call = (changes, about = {}) => {
    const port = new FakePort(changes);
    pages.take(/** @type {any} */ (port));
    port.says({ event: "here", page: "page-1", running: null, did: [], ...about });
    return port;
  };
  return { pages, here, standings, call };
}

/** Everything a listener hears. @param {Page} page */
function heardBy(page) {
  /** @type {PageEvent[]} */
  const heard = [];
  page.listen((event) => void heard.push(event));
  return heard;
}

test("our script in the top frame of the site is taken in", () => {
  const { pages, here, call } = opened();
  const port = call();

  assert.ok(port.isOpen);
  assert.deepEqual([here.length, pages.all().length, pages.inTab(7).length, pages.inTab(8).length], [1, 1, 1, 0]);
});

/** @type {Record<string, any>} */
const STRANGERS = {
  "another extension": { id: "a".repeat(32) },
  "nobody by name": { id: undefined },
  "another site": { origin: "https://grok.com.evil.example" },
  "the site without encryption": { origin: "http://grok.com" },
  "the site at another port": { origin: "https://grok.com:8443" },
  "a part of the site": { origin: "https://assets.grok.com" },
  "the sign-in page": { origin: "https://accounts.x.ai" },
  "a page without an origin": { origin: "null" },
  "an address that only looks so": { origin: undefined, url: "https://evil.example/https://grok.com/" },
  "no address at all": { origin: undefined, url: undefined },
  "a frame within the site": { frameId: 3 },
  "no frame": { frameId: undefined },
  "no tab": { tab: undefined },
};
for (const [who, changes] of Object.entries(STRANGERS))
  test(`${who} is sent away and not heard`, () => {
    const { pages, here, standings, call } = opened();
    const port = call(changes);
    port.says({ event: "standing", state: "ready" });

    assert.ok(!port.isOpen);
    assert.deepEqual([here, standings, pages.all()], [[], [], []]);
  });

test("a line of another name is closed", () => {
  const { pages } = opened();
  const port = new FakePort();
  port.name = "command";
  pages.take(/** @type {any} */ (port));

  assert.ok(!port.isOpen);
});

test("whoever has not said who it is is not heard", () => {
  const { pages, standings } = opened();
  const port = new FakePort();
  pages.take(/** @type {any} */ (port));
  port.says({ event: "standing", state: "ready" }, { event: "media", media: [] });

  assert.deepEqual(standings, []);
});

const MISSHAPEN = [
  undefined, null, 0, 7, true, "here", "", [], [{ event: "media" }], {}, { event: null }, { event: 5 },
  { event: ["here"] }, { event: { toString: "here" } }, { event: "delta", delta: 5 }, { event: "failed", detail: {} },
  { event: "answer", content: ["text"] }, { event: "delta", delta: { length: 1 } },
];
for (const message of MISSHAPEN)
  test(`${JSON.stringify(message)} is no event`, () => {
    const { here, standings, call } = opened();
    const port = call();
    const heard = heardBy(here[0]);
    port.says(message);

    assert.deepEqual([heard, standings, here.length], [[], [], 1]);
  });

for (const field of ["delta", "detail", "content"])
  test(`a ${field} that is longer than any is dropped, one that just fits is heard`, () => {
    const { here, call } = opened();
    const port = call();
    const heard = heardBy(here[0]);
    port.says({ event: "x", [field]: "x".repeat(4_000_001) }, { event: "x", [field]: "x".repeat(4_000_000) });

    assert.equal(heard.length, 1);
    assert.equal(heard[0][field].length, 4_000_000);
  });

test("what a page says of itself is cut to size and cleaned of what is no job", () => {
  const { here, call } = opened();
  call({}, { page: "p".repeat(1000), running: { key: 1 }, did: ["job_1", 5, null, ...Array(500).fill("job_2")] });
  const [page] = here;

  assert.equal(page.id.length, 64);
  assert.equal(page.running, null);
  assert.ok(page.did.length <= 200 && page.did.every((job) => typeof job === "string"));
});

test("events are kept until somebody listens, and then come in their order", () => {
  const { here, call } = opened();
  const port = call();
  port.says({ event: "phase", n: 1 }, { event: "progress", n: 2 });

  const heard = heardBy(here[0]);
  port.says({ event: "media", n: 3 });

  assert.deepEqual(heard.map(({ n }) => n), [1, 2, 3]);
});

test("what comes while nobody listens any more waits for the next who does", () => {
  const { here, call } = opened();
  const port = call();
  const before = heardBy(here[0]);
  here[0].listen(null);
  port.says({ event: "media", n: 1 });

  assert.deepEqual(before, []);
  assert.deepEqual(heardBy(here[0]).map(({ n }) => n), [1]);
});

test("only so many events are kept: a page cannot fill the memory", () => {
  const { here, call } = opened();
  const port = call();
  for (let n = 1; n <= 25_000; n++) port.says({ event: "progress", n });

  assert.equal(heardBy(here[0]).length, 20_000);
});

test("a number that came before is dropped, also over a new line", () => {
  const { here, call } = opened();
  const first = call();
  const heard = heardBy(here[0]);
  first.says({ event: "phase", n: 1 }, { event: "delta", delta: "a", n: 2 }, { event: "delta", delta: "a", n: 2 });
  first.breaks();
  const second = call();
  second.says({ event: "phase", n: 1 }, { event: "delta", delta: "a", n: 2 }, { event: "delta", delta: "b", n: 3 });

  assert.deepEqual(heard.map(({ n }) => n), [1, 2, 3]);
  assert.equal(here[0], here[1]);
});

test("an event without a number is heard each time", () => {
  const { here, call } = opened();
  const port = call();
  const heard = heardBy(here[0]);
  port.says({ event: "piece", n: 5 }, { event: "piece" }, { event: "piece" });

  assert.equal(heard.length, 3);
});

test("how a page stands goes its own way", () => {
  const { here, standings, call } = opened();
  const port = call();
  const heard = heardBy(here[0]);
  port.says({ event: "standing", state: "needs_login" });

  assert.deepEqual([heard.length, standings.length], [0, 1]);
});

test("a page cannot take another tab's place by its name", () => {
  const { pages, call } = opened();
  const own = call();
  const other = call({ tab: { id: 8 } });
  other.says({ event: "media", n: 1 });
  const [page] = pages.inTab(7);
  page.tell({ do: "tick" });

  assert.deepEqual([pages.all().length, pages.inTab(8).length], [1, 0]);
  assert.deepEqual(heardBy(page), []);
  assert.deepEqual([own.told.length, other.told.length], [1, 0]);
});

test("a new document in a tab means that the one before is gone", () => {
  const { pages, here, call } = opened();
  call();
  call({}, { page: "page-2" });

  assert.equal(here[0].isGone, true);
  assert.deepEqual(pages.inTab(7).map(({ id }) => id), ["page-2"]);
});

test("a page whose tab is closed is gone at once, and whoever waits for it is told", () => {
  const { pages, here, call } = opened();
  call();
  let isTold = false;
  here[0].onGone = () => (isTold = true);
  pages.forgetTab(7);

  assert.ok(isTold);
  assert.deepEqual(pages.all(), []);
});

test("a page whose line breaks may call again; one that does not is gone", (context) => {
  context.mock.timers.enable({ apis: ["setTimeout"] });
  const { here, call } = opened();
  call().breaks();
  const again = call();
  context.mock.timers.tick(10_000);
  assert.equal(here[0].isGone, false);

  again.breaks();
  context.mock.timers.tick(2_999);
  assert.equal(here[0].isGone, false);
  context.mock.timers.tick(1);
  assert.equal(here[0].isGone, true);
});

test("a line that is down takes an order without complaint", () => {
  const { here, call } = opened();
  call().disconnect();

  here[0].tell({ do: "tick" });
});

test("whoever waits for a page gets the first that is as wanted, and null when the time is over", async (context) => {
  context.mock.timers.enable({ apis: ["setTimeout"] });
  const { pages, here, call } = opened();
  const isSecond = (/** @type {Page} */ page) => page.id === "page-2";
  const wanted = pages.waitFor(7, isSecond, 30);
  const elsewhere = pages.waitFor(8, isSecond, 30);
  call();
  call({}, { page: "page-2" });
  context.mock.timers.tick(30_000);

  assert.equal(await wanted, here[1]);
  assert.equal(await elsewhere, null);
});
