/** JobRun: one job against a broker and a page that are played here, and a service worker that may die in between. */

import assert from "node:assert/strict";
import { beforeEach, test } from "node:test";

import { BrokerRefusal, BrokerUnreachable } from "../../extension/background/broker.js";
import { JobRun } from "../../extension/background/job_run.js";
import { Pages } from "../../extension/background/pages.js";
import { loadWork } from "../../extension/background/session.js";

/** @type {Record<string, Record<string, any>>} */
let stored;
/** Addresses that were loaded in the worker's tab. @type {string[]} */
let loaded;
/** Called when a page is loaded. @type {(address: string) => void} */
let onLoad;

const TAB = 5;
const area = (/** @type {string} */ name) => ({
  get: async (/** @type {string} */ key) => ({ [key]: stored[name][key] }),
  set: async (/** @type {Record<string, any>} */ values) => void Object.assign(stored[name], structuredClone(values)),
  remove: async (/** @type {string} */ key) => void delete stored[name][key],
});

beforeEach(() => {
  stored = { local: {}, session: { tab: TAB } };
  loaded = [];
  onLoad = () => {};
  globalThis.chrome = /** @type {any} */ ({
    storage: { local: area("local"), session: area("session") },
    tabs: {
      get: async () => ({ id: TAB, url: "https://grok.com/elsewhere" }),
      update: async (/** @type {number} */ _, /** @type {{url: string}} */ { url }) => {
        loaded.push(url);
        onLoad(url);
      },
    },
  });
});

const pack = /** @type {any} */ ({
  addresses: { chat: "https://grok.com/", conversation: "https://grok.com/c/", imagine: "https://grok.com/imagine",
    post: "https://grok.com/imagine/post/", saved: "https://grok.com/imagine/saved" },
  limits: { page_seconds: 1 },
});

/** @param {Partial<import("../../extension/background/session.js").Work>} [changes] @returns {any} */
const workOf = (changes) => ({
  id: "job_1", kind: "chat", action: "submit", attempt: 1, token: "lt_secret", prompt: "Who?", imageCount: 0, options: {},
  evidence: {}, phase: "assigned", progress: 0, permitted: false, media: null,
  already: { seq: 0, text: 0, reasoning: 0 }, starts: 0, since: 0, ...changes,
});

/** A broker that answers as told, and writes down what it was asked. */
function playedBroker() {
  const calls = /** @type {any[][]} */ ([]);
  const answers = /** @type {Record<string, (...args: any[]) => any>} */ ({
    beat: () => ({ cancel: false, directives: [] }),
    chunks: (_, /** @type {any[]} */ chunks) => chunks.at(-1).seq,
  });
  const names = ["beat", "chunks", "completeChat", "error", "release"];
  const act = (/** @type {string} */ name) => async (/** @type {any[]} */ ...args) => {
    calls.push([name, ...args.slice(1)]);
    return answers[name]?.(...args);
  };
  return { calls, answers, ...Object.fromEntries(names.map((name) => [name, act(name)])) };
}

/** A page that a test plays: what it is told, and a way to say things. */
function playedPage(/** @type {Pages} */ pages, id = "page-1", /** @type {any} */ about = {}) {
  const told = /** @type {any[]} */ ([]);
  const heard = /** @type {{message: any, gone: any}} */ ({ message: null, gone: null });
  const port = /** @type {any} */ ({
    name: "page",
    sender: { id: "own", frameId: 0, origin: "https://grok.com", tab: { id: TAB } },
    postMessage: (/** @type {any} */ message) => {
      told.push(message);
      waiting.splice(0).forEach((look) => look());
    },
    onMessage: { addListener: (/** @type {any} */ listener) => (heard.message = listener) },
    onDisconnect: { addListener: (/** @type {any} */ listener) => (heard.gone = listener) },
    disconnect: () => {},
  });
  /** @type {(() => void)[]} */
  const waiting = [];
  chrome.runtime = /** @type {any} */ ({ id: "own" });
  pages.take(port);
  let count = 0;
  const say = (/** @type {any} */ message) => heard.message({ key: "job_1/1", n: ++count, ...message });
  say({ event: "here", page: id, running: null, did: [], ...about });
  const until = async (/** @type {string} */ order) => {
    while (!told.some((message) => message.do === order)) await new Promise((resolve) => waiting.push(() => resolve(undefined)));
    return told.find((message) => message.do === order);
  };
  return { told, say, until };
}

/** @param {any} work */
function run(work) {
  const broker = playedBroker();
  const pages = new Pages({ onHere: () => {}, onStanding: () => {} });
  const board = /** @type {any} */ ({ show: () => {}, connection: () => {} });
  const parts = /** @type {any} */ ({ broker, pages, pack, board, obey: () => {}, beatSeconds: 1000 });
  const job = new JobRun(parts, work, []);
  return { broker, pages, end: () => job.carryOut() };
}

const names = (/** @type {any} */ broker) => broker.calls.map((/** @type {any[]} */ [name]) => name);

test("the page may press only once the broker has answered the beat that says submitted", async () => {
  const { broker, pages, end } = run(workOf());
  /** @type {(answer: any) => void} */
  let answer = () => {};
  broker.answers.beat = (_, news) => (news.phase === "submitted" ? new Promise((resolve) => (answer = resolve)) : {});
  let page = /** @type {any} */ (null);
  onLoad = () => (page = playedPage(pages));
  const ended = end();
  while (!page) await new Promise(setImmediate);
  await page.until("run");
  page.say({ event: "ready", evidence: { baseline: [] } });
  while (!broker.calls.some(([, news]) => news?.phase === "submitted")) await new Promise(setImmediate);
  assert.ok(!page.told.some((/** @type {any} */ order) => order.do === "press"));
  assert.equal((await loadWork())?.permitted, false);

  answer({ cancel: false });
  await page.until("press");
  assert.equal((await loadWork())?.permitted, true);
  page.say({ event: "answer", content: "Grok", reasoning: null });
  assert.equal((await ended).outcome, "completed");
  assert.equal(await loadWork(), null);
});

for (const [what, beat] of /** @type {[string, () => any][]} */ ([
  ["cancels", () => ({ cancel: true })],
  ["refuses", () => { throw new BrokerRefusal(409, { error: { code: "lease_lost" } }); }],
])) {
  test(`where the broker ${what} at that beat, nothing is pressed and the page is told to stop`, async () => {
    const { broker, pages, end } = run(workOf());
    broker.answers.beat = (_, news) => (news.phase === "submitted" ? beat() : {});
    let page = /** @type {any} */ (null);
    onLoad = () => {
      page = playedPage(pages);
      setImmediate(() => page.say({ event: "ready", evidence: {} }));
    };
    const { outcome } = await end();
    assert.ok(["cancelled", "lost"].includes(outcome), outcome);
    const orders = page.told.map((/** @type {any} */ order) => order.do);
    assert.ok(!orders.includes("press"));
    assert.ok(orders.includes("cancel"));
  });
}

test("whatever a page says before it may press, the broker is told of no phase from which a job is only recovered", async () => {
  const { broker, pages, end } = run(workOf());
  onLoad = () => {
    const page = playedPage(pages);
    setImmediate(() => {
      page.say({ event: "phase", phase: "preparing" });
      page.say({ event: "evidence", evidence: { post_id: "post-of-an-image" } });
      page.say({ event: "progress", progress: 50 });
      page.say({ event: "phase", phase: "uploading" });
      page.say({ event: "failed", code: "option_not_set", detail: "mode" });
    });
  };
  await end();
  const told = broker.calls.filter(([name]) => name === "beat").map(([, news]) => news.phase);
  assert.deepEqual(new Set(told), new Set(["assigned", "preparing"]));
});

test("a page that is lost after the press is followed by one that only looks", async () => {
  const { pages, end } = run(workOf({ permitted: true, evidence: { conversation_id: "conversation-1" } }));
  let page = /** @type {any} */ (null);
  onLoad = () => {
    page = playedPage(pages, `page-${loaded.length}`);
    setImmediate(() => page.say({ event: "answer", content: "Grok", reasoning: null }));
  };
  await end();
  assert.deepEqual(loaded, ["https://grok.com/c/conversation-1"]);
  assert.equal(page.told[0].job.action, "recover");
});

test("a page that submitted and is still there is not loaded again", async () => {
  const { pages, end } = run(workOf({ permitted: true }));
  const page = playedPage(pages, "page-1", { did: ["job_1"] });
  const ended = end();
  assert.equal((await page.until("run")).job.action, "recover");
  page.say({ event: "answer", content: "Grok", reasoning: null });
  await ended;
  assert.deepEqual(loaded, []);
});

test("a page that works on it already is only listened to, also to what it said before", async () => {
  const { pages, end } = run(workOf({ permitted: true }));
  const page = playedPage(pages, "page-1", { running: "job_1/1" });
  page.say({ event: "answer", content: "Grok", reasoning: null });
  assert.equal((await end()).outcome, "completed");
  assert.ok(!page.told.some((order) => order.do === "run"));
});

test("text that the broker has is not sent again, and what it has not is sent until it has", async () => {
  const { broker, pages, end } = run(workOf({ permitted: true, already: { seq: 2, text: 4, reasoning: 0 } }));
  let tries = 0;
  broker.answers.chunks = () => {
    if (++tries === 1) throw new BrokerUnreachable("gone");
    return 3;
  };
  const page = playedPage(pages, "page-1", { running: "job_1/1" });
  page.say({ event: "delta", seq: 1, kind: "text", delta: "old" });
  page.say({ event: "delta", seq: 2, kind: "text", delta: "new" });
  page.say({ event: "delta", seq: 3, kind: "reasoning", delta: "why" });
  page.say({ event: "answer", content: "oldnew", reasoning: "why" });
  await end();
  const sent = broker.calls.filter(([name]) => name === "chunks").map(([, chunks]) => chunks.map((/** @type {any} */ chunk) => chunk.seq));
  assert.deepEqual(sent, [[2, 3], [2, 3]]);
});

test("a failure on the page is told with its class and its moment", async () => {
  const { broker, pages, end } = run(workOf());
  onLoad = () => {
    const page = playedPage(pages);
    setImmediate(() => page.say({ event: "failed", code: "rate_limited", detail: "Try again later", retry_after: 60 }));
  };
  const { outcome, code } = await end();
  assert.deepEqual([outcome, code], ["failed", "rate_limited"]);
  const [, failure] = /** @type {any[]} */ (broker.calls.find(([name]) => name === "error"));
  assert.ok(Math.abs(failure.retry_at - Date.now() / 1000 - 60) < 5);
});

test("images that were lost with the service worker give the job back before submit", async () => {
  const { broker, end } = run(workOf({ imageCount: 1 }));
  assert.equal((await end()).outcome, "handed_back");
  assert.ok(names(broker).includes("release"));
});

test("a page that does not come is the site's fault, and told so", async () => {
  const { broker, end } = run(workOf());
  assert.equal((await end()).code, "site_down");
  assert.ok(names(broker).includes("error"));
});

test("the lease token goes to the broker and to nobody else", async () => {
  const { pages, end } = run(workOf());
  let page = /** @type {any} */ (null);
  onLoad = () => {
    page = playedPage(pages);
    setImmediate(() => page.say({ event: "answer", content: "Grok", reasoning: null }));
  };
  await end();
  assert.ok(!JSON.stringify(page.told).includes("lt_secret"));
});
