/** OpenAI's client and the AI SDK chat. */

import assert from "node:assert/strict";
import { test } from "node:test";
import { zodResponseFormat } from "openai/helpers/zod";
import { z } from "zod";

import { PNG, aiSdks, handed, openAIs } from "./support.js";

const MODEL = "grok-4";
const City = z.object({ name: z.string(), people: z.number() });
const OSLO = { name: "Oslo", people: 717710 };
const user = (content) => [{ role: "user", content }];
const dataUrl = `data:image/png;base64,${PNG.toString("base64")}`;

for (const { name, connect } of openAIs) {
  test(`${name}: an answer comes back with its usage and request id`, async () => {
    const completion = await connect().chat.completions.create({
      model: MODEL,
      messages: user("say Hello there"),
    });

    assert.equal(completion.choices[0].message.content, "Hello there");
    assert.equal(completion.choices[0].finish_reason, "stop");
    assert.ok(completion.usage.total_tokens > 0);
    assert.ok(completion._request_id);
  });

  test(`${name}: a stream brings the answer in pieces, and its usage where that is asked for`, async () => {
    const stream = await connect().chat.completions.create({
      model: MODEL,
      messages: user("say One two three four five"),
      stream: true,
      stream_options: { include_usage: true },
    });

    const chunks = [];
    for await (const chunk of stream) chunks.push(chunk);
    const last = chunks.pop();
    assert.equal(
      chunks.map((chunk) => chunk.choices[0].delta.content ?? "").join(""),
      "One two three four five",
    );
    assert.equal(chunks.at(-1).choices[0].finish_reason, "stop");
    assert.deepEqual(last.choices, []);
    assert.ok(last.usage.total_tokens > 0);
  });

  test(`${name}: a stream ends with the whole completion`, async () => {
    const runner = connect().chat.completions.stream({ model: MODEL, messages: user("think Hello there") });

    const completion = await runner.finalChatCompletion();

    assert.equal(completion.choices[0].message.content, "Hello there");
  });

  test(`${name}: an answer is parsed into the type that is asked for`, async () => {
    const completion = await connect().chat.completions.parse({
      model: MODEL,
      messages: user(`json ${JSON.stringify(OSLO)}`),
      response_format: zodResponseFormat(City, "city"),
    });

    assert.deepEqual(completion.choices[0].message.parsed, OSLO);
  });

  test(`${name}: several images reach the worker`, async () => {
    const image = { type: "image_url", image_url: { url: dataUrl } };
    const completion = await connect().chat.completions.create({
      model: MODEL,
      messages: user([{ type: "text", text: "Compare" }, image, image]),
    });

    assert.equal(completion.choices[0].message.content, "You said: Compare I see 2 images.");
  });

  test(`${name}: refused content is an answer that says so`, async () => {
    const completion = await connect().chat.completions.create({
      model: MODEL,
      messages: user("refuse this"),
    });

    assert.equal(completion.choices[0].finish_reason, "content_filter");
    assert.ok(completion.choices[0].message.refusal);
  });

  test(`${name}: a failure in a stream is thrown with its code`, async () => {
    const stream = await connect().chat.completions.create({
      model: MODEL,
      messages: user("fail generation_failed"),
      stream: true,
    });

    await assert.rejects(
      async () => {
        for await (const chunk of stream) assert.equal(chunk.choices[0].finish_reason, null);
      },
      { code: "generation_failed" },
    );
  });

  test(`${name}: the models can be listed and looked up`, async () => {
    const ids = [];
    for await (const model of connect().models.list()) ids.push(model.id);

    assert.ok(ids.includes("grok-4"));
    assert.equal((await connect().models.retrieve("grok-4")).object, "model");
  });
}

for (const { name, ai, compatible } of aiSdks) {
  test(`${name}: generateText with reasoning and usage`, async () => {
    const told = await ai.generateText({ model: compatible()(MODEL), prompt: "think Hello there" });

    assert.equal(told.text, "Hello there");
    assert.equal(told.reasoningText, "Let me think.");
    assert.equal(told.finishReason, "stop");
    assert.ok(told.usage.totalTokens > 0);
  });

  test(`${name}: streamText with reasoning and usage`, async () => {
    const told = ai.streamText({
      model: compatible({ includeUsage: true })(MODEL),
      prompt: "think One two three four five",
    });

    const pieces = [];
    for await (const piece of told.textStream) pieces.push(piece);
    assert.equal(pieces.join(""), "One two three four five");
    assert.ok(pieces.length > 1);
    assert.equal(await told.reasoningText, "Let me think.");
    assert.equal(await told.finishReason, "stop");
    assert.ok((await told.usage).totalTokens > 0);
  });

  test(`${name}: an object of the type that is asked for, whole and streamed`, async () => {
    const asked = {
      model: compatible({ supportsStructuredOutputs: true })(MODEL),
      prompt: `json ${JSON.stringify(OSLO)}`,
      output: ai.Output.object({ schema: City }),
    };

    assert.deepEqual((await ai.generateText(asked)).output, OSLO);
    assert.deepEqual(await ai.streamText(asked).output, OSLO);
  });

  test(`${name}: an object where the provider asks for JSON alone`, async () => {
    const told = await ai.generateText({
      model: compatible()(MODEL),
      prompt: `json ${JSON.stringify(OSLO)}`,
      output: ai.Output.object({ schema: City }),
    });

    assert.deepEqual(told.output, OSLO);
  });

  test(`${name}: a conversation with a system text and images reaches the worker`, async () => {
    const prompt = `Compare with ${name}`;
    const file = { type: "image", image: PNG };
    await ai.generateText({
      model: compatible()(MODEL),
      system: "Be brief.",
      messages: [
        ...user("Hello"),
        { role: "assistant", content: "Good morning" },
        ...user([{ type: "text", text: prompt }, file, file]),
      ],
    });

    const job = await handed(prompt);
    assert.deepEqual(
      job.request.messages.map((turn) => turn.role),
      ["system", "user", "assistant", "user"],
    );
    assert.equal(job.request.messages[3].content.filter((part) => part.type === "image_url").length, 2);
  });

  test(`${name}: refused content is told as the reason of the end`, async () => {
    const told = await ai.generateText({ model: compatible()(MODEL), prompt: "refuse this" });

    assert.equal(told.finishReason, "content-filter");
  });

  test(`${name}: a failure in a stream is an error part`, async () => {
    const told = ai.streamText({
      model: compatible()(MODEL),
      prompt: "fail generation_failed",
      onError: () => {},
    });

    const errors = [];
    for await (const part of told.fullStream) if (part.type === "error") errors.push(part.error);
    assert.equal(errors.length, 1);
    assert.match(JSON.stringify(errors[0].message ?? errors[0]), /went wrong/);
  });
}
