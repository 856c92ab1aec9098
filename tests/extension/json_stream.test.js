/** JsonStream: objects come out whole, however they are separated and however the text is cut. */

import assert from "node:assert/strict";
import test from "node:test";

import { JsonStream } from "../../extension/page/json_stream.js";

const OBJECTS = [{ a: 1 }, { text: 'a "quoted" } brace { and \\ slash' }, { deep: { er: [{ x: "}" }] } }, { u: "日本🎹" }];

/** @param {string} text @param {number} size */
function cut(text, size) {
  const stream = new JsonStream();
  const found = [];
  for (let at = 0; at < text.length; at += size) found.push(...stream.take(text.slice(at, at + size)));
  return found;
}

for (const [name, glue] of [["lines", "\n"], ["nothing", ""], ["server-sent events", "\n\nevent: x\ndata: "]]) {
  for (const size of [1, 2, 7, 1000]) {
    test(`objects separated by ${name} come out whole from pieces of ${size}`, () => {
      assert.deepEqual(cut(OBJECTS.map((object) => JSON.stringify(object)).join(glue), size), OBJECTS);
    });
  }
}

test("what is no JSON between two objects is dropped", () => {
  assert.deepEqual(cut('garbage {"a":1} } ] {bad json} {"b":2}', 3), [{ a: 1 }, { b: 2 }]);
});

test("an object that is not whole yet is waited for", () => {
  const stream = new JsonStream();
  assert.deepEqual(stream.take('{"a":'), []);
  assert.deepEqual(stream.take("1}"), [{ a: 1 }]);
});
