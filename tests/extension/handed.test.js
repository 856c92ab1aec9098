/** The images of a job: wherever a client put them, they reach the page, in their order. */

import assert from "node:assert/strict";
import test from "node:test";

import { imagesOf } from "../../extension/background/handed.js";

const url = (/** @type {string} */ data, type = "image/png") => `data:${type};base64,${data}`;

/** @param {unknown[]} parts @returns {string[]} */
const inChat = (...parts) =>
  imagesOf({ job_type: "chat", image: null, images: [], request: { messages: [{ role: "user", content: parts }] } });

/** @type {Record<string, any>} */
const SHAPES = {
  "as an object with its address": { type: "image_url", image_url: { url: url("AAAA"), detail: "high" } },
  "as an address alone": { type: "image_url", image_url: url("AAAA") },
  "as a file": { type: "file", file: { filename: "cat.png", file_data: url("AAAA") } },
};
for (const [shape, part] of Object.entries(SHAPES)) {
  test(`an image in a chat may come ${shape}`, () => {
    assert.deepEqual(inChat({ type: "text", text: "What is it?" }, part), ["AAAA"]);
  });
}

test("images of several messages come in their order", () => {
  const messages = [
    { role: "system", content: "Be brief." },
    { role: "user", content: [SHAPES["as a file"], { type: "image_url", image_url: { url: url("BBBB", "image/jpeg") } }] },
    { role: "assistant", content: null },
    { role: "user", content: [{ type: "image_url", image_url: url("CCCC") }] },
  ];

  assert.deepEqual(imagesOf({ job_type: "chat", image: null, request: { messages } }), ["AAAA", "BBBB", "CCCC"]);
});

test("what is no image is not attached", () => {
  const parts = [
    null,
    "text",
    { type: "text", text: url("AAAA") },
    { type: "image_url", image_url: { url: "https://example.com/cat.png" } },
    { type: "file", file: { file_data: url("AAAA", "application/pdf") } },
    { type: "file", file: { file_id: "file-1" } },
    { type: "input_audio", input_audio: { data: "AAAA" } },
  ];

  assert.deepEqual(inChat(...parts), []);
});

test("a chat without a request, or with one of another shape, has no images", () => {
  for (const request of [null, {}, { messages: "none" }, { messages: [null, { content: 5 }] }]) {
    assert.deepEqual(imagesOf({ job_type: "chat", image: null, request }), []);
  }
});

test("films and pictures have theirs beside them, from an old broker only one", () => {
  assert.deepEqual(imagesOf({ job_type: "video", image: "AAAA", images: ["AAAA", "BBBB"], request: null }), ["AAAA", "BBBB"]);
  assert.deepEqual(imagesOf({ job_type: "image", image: "AAAA", request: null }), ["AAAA"]);
  assert.deepEqual(imagesOf({ job_type: "video", image: null, request: null }), []);
});
