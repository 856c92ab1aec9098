/** Clients repeat calls, give up and leave: no repeat costs a second job, no waiting is in vain. */

import assert from "node:assert/strict";
import { test } from "node:test";

import {
  BASE_URL,
  IDLE_URL,
  aiSdks,
  countJobs,
  countingFetch,
  losingFetch,
  openAIs,
  tell,
} from "./support.js";

const MODEL = "grok-4";
const user = (content) => [{ role: "user", content }];
const chat = (client, content, more) =>
  client.chat.completions.create({ model: MODEL, messages: user(content) }, more);

for (const { name, OpenAI, connect } of openAIs) {
  const refusals = [
    ["fail generation_failed", {}, OpenAI.InternalServerError, "generation_failed"],
    ["fail option_refused", {}, OpenAI.BadRequestError, "option_refused"],
    ["say Hello", { model: "gpt-oss" }, OpenAI.NotFoundError, "model_not_found"],
    ["say Hello", { n: 2 }, OpenAI.BadRequestError, "unsupported_parameter"],
  ];
  for (const [content, more, type, code] of refusals) {
    test(`${name}: ${code} is thrown at once, as its own class`, async () => {
      const { calls, fetch } = countingFetch();
      const client = connect({ fetch });

      await assert.rejects(
        client.chat.completions.create({ model: MODEL, messages: user(content), ...more }),
        (error) => {
          assert.ok(error instanceof type);
          assert.equal(error.code, code);
          assert.ok(error.requestID);
          return true;
        },
      );
      assert.equal(calls.length, 1);
    });
  }

  test(`${name}: a lost answer is asked for again and not made again`, async () => {
    const client = connect({ fetch: losingFetch() });
    const other = connect({ fetch: losingFetch() });
    const prompt = `What gets lost with ${name}`;

    await chat(client, prompt);
    await other.videos.create({ model: "grok", prompt: `${prompt}, filmed` });

    assert.equal(await countJobs(prompt), 1);
    assert.equal(await countJobs(`${prompt}, filmed`), 1);
  });

  test(`${name}: many calls with one key make one job`, async () => {
    const client = connect();
    const word = `fifty-${name.replace(" ", "-")}`;
    const calls = Array.from({ length: 50 }, () =>
      chat(client, `wait ${word} say Hello`, { headers: { "Idempotency-Key": word } }),
    );
    await tell(`release ${word}`);

    const answers = await Promise.all(calls);
    assert.equal(new Set(answers.map((answer) => answer.id)).size, 1);
  });

  test(`${name}: a client that aborts before anybody began cancels its job`, async () => {
    const jobs = async () => (await (await fetch(`${IDLE_URL}/jobs?limit=1`)).json()).data;
    const leaving = new AbortController();
    const client = connect({ baseURL: `${IDLE_URL}/v1` });

    const asking = chat(client, `say Hello, ${name}`, { signal: leaving.signal });
    asking.catch(() => {});
    while ((await jobs())[0]?.status !== "pending");
    leaving.abort();

    await assert.rejects(asking, OpenAI.APIUserAbortError);
    while ((await jobs())[0].status === "pending");
    assert.equal((await jobs())[0].status, "cancelled");
  });

  test(`${name}: a time limit that is told is kept to`, async () => {
    const { calls, fetch } = countingFetch();
    const word = `late-${name.replace(" ", "-")}`;

    await assert.rejects(chat(connect({ fetch }), `wait ${word} say Hello`, { timeout: 2000 }), {
      code: "timeout",
    });
    assert.equal(calls.length, 1);
    await tell(`release ${word}`);
  });
}

for (const { name, ai, compatible } of aiSdks) {
  test(`${name}: a refused call is thrown with what the broker says`, async () => {
    await assert.rejects(
      ai.generateText({ model: compatible()("gpt-oss"), prompt: "say Hello" }),
      (error) => {
        assert.equal(error.statusCode, 404);
        assert.equal(error.data.error.code, "model_not_found");
        assert.match(error.message, /gpt-oss/);
        return true;
      },
    );
  });

  test(`${name}: a failure that was paid for is told again and not paid for again`, async () => {
    const prompt = `spend incomplete ${name}`;
    const { fetch, calls } = countingFetch();

    await assert.rejects(
      ai.generateText({ model: compatible({ fetch })(MODEL), prompt }),
      /after 3 attempts.*went wrong/,
    );

    assert.equal(calls.length, 3);
    assert.equal(await countJobs(prompt), 1);
  });

  test(`${name}: a call that is named is not made again when its answer gets lost`, async () => {
    const prompt = `What gets lost with ${name}`;
    await ai.generateText({
      model: compatible({ fetch: losingFetch() })(MODEL),
      prompt,
      headers: { "Idempotency-Key": prompt },
    });

    assert.equal(await countJobs(prompt), 1);
  });
}

test("every client skips the comments that break a silence", async () => {
  const word = "a-comment-for-node";
  const begun = [
    ...openAIs.map(async ({ connect }) => {
      const stream = await connect().chat.completions.create({
        model: MODEL,
        messages: user(`wait ${word} say Hello`),
        stream: true,
      });
      let text = "";
      for await (const chunk of stream) text += chunk.choices[0].delta.content ?? "";
      return text;
    }),
    ...aiSdks.map(
      ({ ai, compatible }) =>
        ai.streamText({ model: compatible()(MODEL), prompt: `wait ${word} say Hello` }).text,
    ),
  ];
  const response = await fetch(`${BASE_URL}/v1/chat/completions`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ model: MODEL, messages: user("wait another-word"), stream: true }),
  });
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  for (let text = ""; !text.includes("\n:");) text += (await reader.read()).value;
  await reader.cancel();
  await tell(`release ${word}`);

  assert.deepEqual(await Promise.all(begun), Array(begun.length).fill("Hello"));
});
