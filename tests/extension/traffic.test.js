/** Traffic: what the page receives becomes one exchange a prompt; nothing that is not of the right type counts. */

import assert from "node:assert/strict";
import test from "node:test";

import { Traffic, mentions } from "../../extension/page/traffic.js";

const NEW = "/rest/app-chat/conversations/new";

/** A page's HTTP exchange, told as the observer tells it. */
function fetched(/** @type {Traffic} */ traffic, /** @type {number} */ id, /** @type {any} */ body, /** @type {any[]} */ lines, status = 200) {
  const say = (/** @type {any} */ event) => traffic.take(JSON.stringify({ id, ...event }));
  say({ type: "request", address: NEW, body: JSON.stringify(body) });
  say({ type: "answer", status, headers: {} });
  for (const line of lines) say({ type: "data", text: JSON.stringify(line) + "\n" });
  return { say, exchange: /** @type {import("../../extension/page/traffic.js").Exchange} */ (traffic.exchanges.at(-1)) };
}

const response = (/** @type {any} */ fields) => ({ result: { response: fields } });

test("a chat's tokens become text, thinking goes apart, markup of tools is dropped", () => {
  const { exchange } = fetched(new Traffic(), 1, { message: "Who?" }, [
    { result: { conversation: { conversationId: "conv-1" } } },
    response({ token: "Hm", isThinking: true }),
    response({ token: "<card/>", messageTag: "tool_usage_card" }),
    response({ token: "I am", messageTag: "final" }),
    response({ token: " Grok" }),
  ]);
  assert.equal(exchange.conversationId, "conv-1");
  assert.equal(exchange.text, "I am Grok");
  assert.equal(exchange.reasoning, "Hm");
  assert.equal(exchange.end, "open");
});

test("the closing object ends a chat with the whole text", () => {
  const { exchange } = fetched(new Traffic(), 1, { message: "Who?" }, [
    response({ token: "I" }),
    response({ modelResponse: { message: "I am Grok." } }),
  ]);
  assert.equal(exchange.finalText, "I am Grok.");
  assert.equal(exchange.end, "finished");
});

test("fields directly under result are read too", () => {
  const { exchange } = fetched(new Traffic(), 1, { message: "Who?" }, [{ result: { token: "I" } }]);
  assert.equal(exchange.text, "I");
});

test("a stream that ends without its closing object is cut off", () => {
  const { exchange, say } = fetched(new Traffic(), 1, { message: "Who?" }, [response({ token: "I" })]);
  say({ type: "end" });
  assert.equal(exchange.end, "cut_off");
});

test("a film's address counts only with its last line", () => {
  const video = (/** @type {any} */ fields) => response({ streamingVideoGenerationResponse: fields });
  const traffic = new Traffic();
  const { exchange, say } = fetched(traffic, 1, { message: "A cat --mode=custom" }, [
    video({ progress: 10, videoPostId: "post-1", videoId: "video-1", videoUrl: "users/u/generated/early.mp4" }),
  ]);
  assert.equal(exchange.videoUrl, null);
  say({ type: "data", text: JSON.stringify(video({ progress: 100, videoUrl: "users/u/generated/video-1/generated_video.mp4" })) });
  assert.equal(exchange.videoUrl, "users/u/generated/video-1/generated_video.mp4");
  assert.deepEqual([exchange.postId, exchange.videoId, exchange.progress], ["post-1", "video-1", 100]);
});

test("a prompt is known again whatever the white space and behind the page's own mode", () => {
  const { exchange } = fetched(new Traffic(), 1, { message: "A cat\n\nplaying  piano --mode=custom" }, []);
  assert.ok(mentions(exchange, "A cat playing piano"));
  assert.ok(!mentions(exchange, "A cat"));
  assert.ok(!mentions(exchange, "A cat playing piano well"));
});

test("an error in the stream is kept with its code and its moment", () => {
  const { exchange } = fetched(new Traffic(), 1, { message: "x" }, [
    { error: { code: 8, message: "Too many requests", availableAt: "2026-11-20T12:00:00Z" } },
  ], 429);
  assert.deepEqual(exchange.error, { code: "8", message: "Too many requests", availableAt: Date.parse("2026-11-20T12:00:00Z") / 1000 });
  assert.equal(exchange.status, 429);
});

/** A socket, told as the observer tells it. */
function socket(/** @type {Traffic} */ traffic, /** @type {string} */ path) {
  const say = (/** @type {any} */ event) => traffic.take(JSON.stringify({ id: 7, ...event }));
  say({ type: "socket", address: path });
  return {
    sent: (/** @type {any} */ frame) => say({ type: "sent", text: JSON.stringify(frame) }),
    got: (/** @type {any} */ frame) => say({ type: "frame", text: JSON.stringify(frame) }),
    closed: () => say({ type: "closed" }),
  };
}

const item = { event: { type: "conversation.item.create", item: { content: [{ type: "input_text", text: "Who?" }] } } };
const chunk = (/** @type {string} */ text, channel = "CHANNEL_ASSISTANT_RESPONSE") => ({
  event: { type: "response.chunk", chunk: { text: { text, channel } } },
});

test("a chat over the socket gives the same as over HTTP", () => {
  const traffic = new Traffic();
  const line = socket(traffic, "/ws/mgw/");
  line.sent({ event: { type: "ping" } });
  line.sent(item);
  line.sent({ event: { type: "response.create" } });
  line.got({ event: { type: "conversation.attached", conversation: { id: "conv-2" } } });
  line.got(chunk("Hm", "CHANNEL_ANALYSIS"));
  line.got(chunk("I am"));
  line.got({ event: { type: "response.output_text.delta", delta: "I am" } });
  line.got(chunk(" Grok"));
  line.got({ event: { type: "response.done", response: { status: "completed" } } });
  const [exchange] = traffic.exchanges;
  assert.equal(traffic.exchanges.length, 1);
  assert.ok(mentions(exchange, "Who?"));
  assert.deepEqual([exchange.text, exchange.reasoning, exchange.finalText, exchange.end], ["I am Grok", "Hm", "I am Grok", "finished"]);
  assert.equal(exchange.conversationId, "conv-2");
});

test("a socket's answer that is incomplete, or whose line closes, is cut off", () => {
  for (const end of ["incomplete", "closed"]) {
    const traffic = new Traffic();
    const line = socket(traffic, "/ws/mgw/");
    line.sent(item);
    line.got(chunk("I am"));
    if (end === "closed") line.closed();
    else line.got({ event: { type: "response.done", response: { status: "incomplete" } } });
    assert.equal(traffic.exchanges[0].end, "cut_off");
  }
});

test("a picture is done when its frame says completed, and a preview is none", () => {
  const traffic = new Traffic();
  const line = socket(traffic, "/ws/imagine/listen");
  line.sent({ type: "conversation.item.create", item: { content: [{ text: "A cat" }] } });
  line.got({ type: "image", image_id: "one", url: "https://x/preview.jpg", percentage_complete: 50 });
  const [exchange] = traffic.exchanges;
  assert.equal(exchange.pictures.get("one")?.url, null);
  line.got({ type: "image", image_id: "one", url: "https://x/one.jpg", percentage_complete: 100 });
  assert.equal(exchange.pictures.get("one")?.done, false);
  line.got({ type: "json", image_id: "one", current_status: "completed", moderated: false });
  line.got({ type: "json", image_id: "two", current_status: "completed", moderated: true });
  assert.deepEqual(exchange.pictures.get("one"), { url: "https://x/one.jpg", done: true, moderated: false, order: 0 });
  assert.equal(exchange.pictures.get("two")?.moderated, true);
});

test("a conversation that is read again shows its last answer, unless that is partial", () => {
  const turns = [{ sender: "human", message: "Who?" }, { sender: "ASSISTANT", message: "I am Grok." }];
  const { exchange } = fetched(new Traffic(), 1, {}, [{ responses: turns }]);
  assert.ok(mentions(exchange, "Who?"));
  assert.equal(exchange.finalText, "I am Grok.");
  const partial = fetched(new Traffic(), 1, {}, [{ responses: [turns[0], { ...turns[1], partial: true }] }]);
  assert.equal(partial.exchange.finalText, null);
});

const NONSENSE = ["", "null", "[]", "7", "{", "{}", '{"id":1}', '{"id":"1","type":"data"}', '{"id":9,"type":"data","text":"{}"}'];
for (const text of NONSENSE) {
  test(`an event that reads ${JSON.stringify(text)} changes nothing`, () => {
    const traffic = new Traffic();
    assert.equal(traffic.take(text), false);
    assert.equal(traffic.exchanges.length, 0);
  });
}

test("fields of another type change nothing", () => {
  const { exchange } = fetched(new Traffic(), 1, { message: "x" }, [
    { result: { conversation: { conversationId: 7 } } },
    response({ token: { a: 1 } }),
    response({ streamingVideoGenerationResponse: { progress: "100", videoUrl: ["x"], moderated: "yes", videoPostId: {} } }),
    response({ streamingVideoGenerationResponse: "x" }),
    { result: "x" },
    { responses: [null, 7] },
  ]);
  assert.deepEqual([exchange.conversationId, exchange.text, exchange.progress, exchange.videoUrl, exchange.moderated, exchange.postId],
    [null, "", -1, null, false, null]);
});

test("exchanges since a mark are those that began after it, however many there were before", () => {
  const traffic = new Traffic();
  for (let id = 1; id <= 60; id++) fetched(traffic, id, { message: `old ${id}` }, []);
  const { mark } = traffic;
  fetched(traffic, 61, { message: "new" }, []);
  assert.deepEqual(traffic.since(mark).map((exchange) => exchange.said), [["new"]]);
  assert.ok(traffic.exchanges.length <= 40);
});
