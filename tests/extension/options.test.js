/** What a job may ask for, what the page is said to offer, and what the broker is told of it. */

import assert from "node:assert/strict";
import { beforeEach, test } from "node:test";

import { StandingKeeper } from "../../extension/background/standing.js";
import { offeredInMenu, offeredOnPage } from "../../extension/page/offered.js";
import { refuseUnknown, wantedOptions } from "../../extension/page/wanted.js";

/** @typedef {"video" | "image" | "chat"} Kind */

/** An element that reads so. @param {string} name @returns {any} */
const choice = (name) => ({ getAttribute: (/** @type {string} */ attribute) => (attribute === "aria-label" ? name : null) });

/**
 * A page with these elements, by purpose.
 * @param {Record<string, any[]>} shown @returns {any}
 */
const page = (shown, pathname = "/imagine") => ({
  all: (/** @type {string} */ purpose) => shown[purpose] ?? [],
  one: (/** @type {string} */ purpose) => shown[purpose]?.[0] ?? null,
  document: { location: { pathname } },
  pack: { addresses: { imagine: "https://grok.com/imagine" } },
});

/** @type {[Kind, Record<string, any>, string][]} */
const UNKNOWN = [
  ["video", { source: { job_id: "job_1" }, operation: "extend", duration_seconds: 6 }, 'operation "extend"'],
  ["video", { operation: "edit" }, 'operation "edit"'],
  ["video", { operation: "remix" }, 'operation "remix"'],
  ["video", { source: { job_id: "job_1" } }, "source"],
  ["video", { n: 2 }, "n 2"],
  ["video", { audio: false }, "audio false"],
  ["image", { n: 2, duration_seconds: 6 }, "duration_seconds 6"],
  ["image", { resolution: "720p" }, 'resolution "720p"'],
  ["chat", { aspect: "16:9" }, 'aspect "16:9"'],
];
for (const [kind, options, named] of UNKNOWN) {
  test(`a job of the kind ${kind} that asks for ${named} is refused, and told what for`, () => {
    assert.throws(
      () => refuseUnknown({ kind, options }),
      (/** @type {any} */ trouble) => trouble.code === "option_refused" && trouble.message.includes(named),
    );
  });
}

/** @type {[Kind, Record<string, any>][]} */
const KNOWN = [
  ["video", { duration_seconds: 6, aspect: "16:9", resolution: "720p" }],
  ["video", { duration_seconds: 6, operation: null, source: null }],
  ["image", { n: 2, aspect: "1:1" }],
  ["chat", {}],
];
for (const [kind, options] of KNOWN) {
  test(`a job of the kind ${kind} with ${JSON.stringify(options)} is done`, () => {
    assert.equal(refuseUnknown({ kind, options }), undefined);
  });
}

test("what is set on the page is the kind of the job and what it asks for", () => {
  const options = { duration_seconds: 10, aspect: "16:9", resolution: null };

  assert.deepEqual(wantedOptions({ kind: "video", options }), { mode: "video", duration: "10", aspect: "16:9" });
  assert.deepEqual(wantedOptions({ kind: "image", options: { n: 2 } }), { mode: "image" });
});

test("what the page shows is told in the words of the protocol, whatever the language", () => {
  const shown = page({
    "imagine.mode": ["Image", "Video"].map(choice),
    "imagine.duration": ["6s", "10 sn", "15초"].map(choice),
    "imagine.resolution": ["480p", "720P", "480p"].map(choice),
    "imagine.aspect": ["Wide 16:9", "2 : 3", "Auto"].map(choice),
  });

  assert.deepEqual(offeredOnPage(shown), {
    durations: [6, 10, 15],
    resolutions: ["480p", "720p"],
    aspects: ["16:9", "2:3"],
  });
});

test("a word for which the page shows nothing is left out", () => {
  assert.deepEqual(offeredOnPage(page({ "imagine.duration": [choice("Short")] })), {});
});

test("of a menu with everything in it only shapes and resolutions are read", () => {
  const items = ["Video", "3 Fast", "6s", "480p", "16:9", "9:16 Portrait"].map(choice);

  assert.deepEqual(offeredInMenu(items), { resolutions: ["480p"], aspects: ["16:9", "9:16"] });
});

test("how many images the page takes is told where its input says it: one, or no number", () => {
  assert.deepEqual(offeredOnPage(page({ "imagine.files": [{ multiple: false }] })), { max_images: 1 });
  assert.deepEqual(offeredOnPage(page({ "imagine.files": [{ multiple: true }] })), {});
  assert.deepEqual(offeredOnPage(page({ "imagine.files": [{ multiple: false }] }, "/")), {}, "on the chat page");
});

// What the background makes of it.

beforeEach(() => {
  const session = { get: async () => ({}), set: async () => {} };
  globalThis.chrome = /** @type {any} */ ({ storage: { session, local: session } });
});

const PAGE = /** @type {any} */ ({ id: "page-1" });
const says = (/** @type {any} */ told) => ({ event: "standing", state: "unknown", detail: "", ...told });

test("a worker that has seen no page says that it can make nothing of a film that is there", () => {
  assert.deepEqual(new StandingKeeper().capabilities, { operations: [] });
});

test("what one page offers stays while another shows something else", async () => {
  const keeper = new StandingKeeper();
  await keeper.hear(PAGE, says({ offered: { durations: [6, 10], max_images: 1 }, quota: { "/quota_info": { video: 3 } } }));
  await keeper.hear(PAGE, says({ offered: {}, quota: { "/rate-limits": { left: 7 } } }));
  await keeper.hear(PAGE, says({ offered: { aspects: ["16:9"], durations: [6] } }));

  assert.deepEqual(keeper.capabilities, { operations: [], durations: [6], max_images: 1, aspects: ["16:9"] });
  assert.deepEqual(keeper.quota, { "/quota_info": { video: 3 }, "/rate-limits": { left: 7 } });
});

test("the same words again are no news", async () => {
  const keeper = new StandingKeeper();
  const [, isNews] = await keeper.hear(PAGE, says({ offered: { durations: [6], aspects: ["1:1"] } }));
  const [, isNewsAgain] = await keeper.hear(PAGE, says({ offered: { aspects: ["1:1"] } }));
  const [, isNewsAfterAll] = await keeper.hear(PAGE, says({ offered: { aspects: ["16:9"] } }));

  assert.deepEqual([isNews, isNewsAgain, isNewsAfterAll], [true, false, true]);
});

test("a page does not say what the worker can do, nor fill it up", async () => {
  const keeper = new StandingKeeper();
  await keeper.hear(PAGE, says({ offered: { operations: ["extend"], anything: 1 } }));
  await keeper.hear(PAGE, says({ offered: { aspects: ["x".repeat(30_000)] } }));

  assert.deepEqual(keeper.capabilities, { operations: [] });
});
