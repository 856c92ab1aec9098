/** The page's clock counts what the page lived through, and neither a sleeping machine nor a clock that is set. */

import assert from "node:assert/strict";
import test from "node:test";

import { awakeMs } from "../../extension/page/awake.js";

/** What the page's clock says has passed, looked at after each of these spans. @param {import("node:test").TestContext} t @param {number[]} spans */
function counted(t, spans) {
  let now = Date.now();
  t.mock.method(Date, "now", () => now);
  const began = awakeMs();
  for (const span of spans) {
    now += span;
    awakeMs();
  }
  return awakeMs() - began;
}

test("seconds that are looked at as they pass count in full", (t) => {
  assert.equal(counted(t, [1000, 1000, 4000]), 6000);
});

test("an hour in which nobody looked counts as no more than a moment", (t) => {
  assert.ok(counted(t, [1000, 3_600_000, 1000]) <= 7000);
});

test("a clock that is set back takes nothing away", (t) => {
  assert.equal(counted(t, [1000, -86_400_000, 1000]), 2000);
});
