/** OpenAI's client and the AI SDK use the Responses API. */

import assert from "node:assert/strict";
import { test } from "node:test";
import { zodTextFormat } from "openai/helpers/zod";
import { z } from "zod";

import { PNG, aiSdks, handed, openAIs, tell } from "./support.js";

const MODEL = "grok-4";
const City = z.object({ name: z.string(), people: z.number() });
const OSLO = { name: "Oslo", people: 717710 };

for (const { name, OpenAI, connect } of openAIs) {
  test(`${name}: a response comes back with its text and usage`, async () => {
    const response = await connect().responses.create({ model: MODEL, input: "say Hello there" });

    assert.equal(response.status, "completed");
    assert.equal(response.output_text, "Hello there");
    assert.ok(response.usage.total_tokens > 0);
  });

  test(`${name}: a stream ends with the whole response`, async () => {
    const runner = connect().responses.stream({ model: MODEL, input: "think Hello there" });

    let streamed = "";
    for await (const event of runner)
      if (event.type === "response.output_text.delta") streamed += event.delta;
    const response = await runner.finalResponse();
    assert.equal(streamed, "Hello there");
    assert.equal(response.output_text, "Hello there");
    assert.deepEqual(
      response.output.map((item) => item.type),
      ["reasoning", "message"],
    );
  });

  test(`${name}: a response is parsed into the type that is asked for`, async () => {
    const response = await connect().responses.parse({
      model: MODEL,
      input: `json ${JSON.stringify(OSLO)}`,
      text: { format: zodTextFormat(City, "city") },
    });

    assert.deepEqual(response.output_parsed, OSLO);
  });

  test(`${name}: a response in the background, waited for, cancelled, deleted`, async () => {
    const client = connect();
    const word = name.replace(" ", "-");
    let response = await client.responses.create({
      model: MODEL,
      input: `wait ${word} say Hello`,
      background: true,
    });
    const other = await client.responses.create({ model: MODEL, input: "wait for-ever", background: true });

    assert.ok(["queued", "in_progress"].includes(response.status));
    await tell(`release ${word}`);
    while (["queued", "in_progress"].includes(response.status)) {
      response = await client.responses.retrieve(response.id, {}, { query: { wait: "5" } });
    }
    assert.equal(response.output_text, "Hello");
    assert.equal((await client.responses.cancel(other.id)).status, "cancelled");
    await client.responses.delete(response.id);
    await assert.rejects(client.responses.retrieve(response.id), OpenAI.NotFoundError);
  });
}

for (const { name, ai, openai, xai } of aiSdks) {
  test(`${name}: the providers' own choice of an API, and chat`, async () => {
    for (const model of [openai()(MODEL), openai().chat(MODEL), xai()(MODEL)]) {
      assert.equal((await ai.generateText({ model, prompt: "say Hello there" })).text, "Hello there");
    }
  });

  const models = { openai: () => openai().responses(MODEL), xai: () => xai().responses(MODEL) };
  for (const [provider, model] of Object.entries(models)) {
    test(`${name}, ${provider}: generateText with usage`, async () => {
      const told = await ai.generateText({ model: model(), prompt: "say Hello there" });

      assert.equal(told.text, "Hello there");
      assert.equal(told.finishReason, "stop");
      assert.ok(told.usage.totalTokens > 0);
    });

    test(`${name}, ${provider}: streamText with reasoning`, async () => {
      const told = ai.streamText({ model: model(), prompt: "think One two three four five" });

      const pieces = [];
      for await (const piece of told.textStream) pieces.push(piece);
      assert.equal(pieces.join(""), "One two three four five");
      assert.ok(pieces.length > 1);
      assert.equal(await told.reasoningText, "Let me think.");
      assert.equal(await told.finishReason, "stop");
    });

    test(`${name}, ${provider}: an object of the type that is asked for`, async () => {
      const told = await ai.generateText({
        model: model(),
        prompt: `json ${JSON.stringify(OSLO)}`,
        output: ai.Output.object({ schema: City }),
      });

      assert.deepEqual(told.output, OSLO);
    });

    test(`${name}, ${provider}: a system text and images reach the worker`, async () => {
      const prompt = `Compare with ${name} and ${provider}`;
      const file = { type: "image", image: PNG };
      await ai.generateText({
        model: model(),
        system: "Be brief.",
        messages: [{ role: "user", content: [{ type: "text", text: prompt }, file, file] }],
      });

      const [first, ...others] = (await handed(prompt)).request.messages;
      assert.ok(["system", "developer"].includes(first.role));
      assert.equal(others[0].content.filter((part) => part.type === "image_url").length, 2);
    });

    test(`${name}, ${provider}: a failure in a stream is told`, async () => {
      const prompt = "fail generation_failed";
      const told = ai.streamText({ model: model(), prompt, maxRetries: 0, onError: () => {} });

      // As a part of its own, or as the reason of the end: that is each provider's affair.
      const reasons = [];
      for await (const part of told.fullStream)
        reasons.push(part.type === "error" ? "error" : part.finishReason);
      assert.ok(reasons.includes("error"));
    });
  }
}
