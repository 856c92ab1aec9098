/** What all tests share: the broker's address, two generations of each client, and a look at the worker. */

import * as ai7 from "ai";
import * as ai6 from "ai-6";
import { createOpenAI as createOpenAI4 } from "@ai-sdk/openai";
import { createOpenAICompatible as createOpenAICompatible3 } from "@ai-sdk/openai-compatible";
import { createXai as createXai5 } from "@ai-sdk/xai";
import { createOpenAI as createOpenAI3 } from "ai-6-openai";
import { createOpenAICompatible as createOpenAICompatible2 } from "ai-6-openai-compatible";
import { createXai as createXai3 } from "ai-6-xai";
import OpenAI7 from "openai";
import OpenAI6 from "openai-6";

export const BASE_URL = process.env.BASE_URL;
/** A broker that nobody works for. */
export const IDLE_URL = process.env.IDLE_URL;
const HERE = { baseURL: `${BASE_URL}/v1`, apiKey: "any" };

/** A picture of one grey dot. */
export const PNG = Buffer.from(
  "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAAAAAA6fptVAAAACklEQVR42mNoAAAAggCBd81ytgAAAABJRU5ErkJggg==",
  "base64",
);

/** OpenAI's client: each generation with its name. */
export const openAIs = [
  { name: "openai 7", OpenAI: OpenAI7 },
  { name: "openai 6", OpenAI: OpenAI6 },
].map(({ name, OpenAI }) => ({ name, OpenAI, connect: (more = {}) => new OpenAI({ ...HERE, ...more }) }));

/** The AI SDK with its providers: each generation with its name. */
export const aiSdks = [
  {
    name: "ai 7",
    ai: ai7,
    openai: (more = {}) => createOpenAI4({ ...HERE, ...more }),
    compatible: (more = {}) => createOpenAICompatible3({ name: "broker", ...HERE, ...more }),
    xai: (more = {}) => createXai5({ ...HERE, ...more }),
  },
  {
    name: "ai 6",
    ai: ai6,
    openai: (more = {}) => createOpenAI3({ ...HERE, ...more }),
    compatible: (more = {}) => createOpenAICompatible2({ name: "broker", ...HERE, ...more }),
    xai: (more = {}) => createXai3({ ...HERE, ...more }),
  },
];
// What the SDK wants to say of a call stands in its result too; the tests look there.
globalThis.AI_SDK_LOG_WARNINGS = false;

/** `fetch`, and what went through it. */
export function countingFetch() {
  const calls = [];
  const counting = (url, options) => {
    calls.push(`${options?.method ?? "GET"} ${new URL(url).pathname}`);
    return fetch(url, options);
  };
  return { calls, fetch: counting };
}

/** `fetch` that loses its first answer: the call has been made, and the client hears nothing of it. */
export function losingFetch() {
  let isLost = false;
  return async (url, options) => {
    const answer = await fetch(url, options);
    if (isLost) return answer;
    isLost = true;
    await answer.text();
    throw new TypeError("fetch failed", { cause: new Error("socket hang up") });
  };
}

/** How many jobs there are with this prompt. */
export async function countJobs(prompt) {
  const { data } = await (await fetch(`${BASE_URL}/jobs?limit=500`)).json();
  return data.filter((job) => job.prompt_preview === prompt).length;
}

/** Has the worker do as the prompt says; returns the text of its answer. */
export async function tell(prompt) {
  const answer = await fetch(`${BASE_URL}/v1/chat/completions`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ model: "grok", messages: [{ role: "user", content: prompt }] }),
  });
  if (!answer.ok) throw new Error(await answer.text());
  return (await answer.json()).choices[0].message.content;
}

/** What the worker was handed with this prompt, last. */
export async function handed(prompt) {
  return JSON.parse(await tell(`recall ${prompt}`));
}
