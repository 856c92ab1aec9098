/** OpenAI's client verifies the broker's webhooks. */

import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer } from "node:http";
import { test } from "node:test";

import { openAIs } from "./support.js";

const SECRET = process.env.WEBHOOK_SECRET;

/** The next request to a server of its own: its headers and its body. */
async function listen() {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const received = once(server, "request").then(async ([request, answer]) => {
    let body = "";
    for await (const part of request.setEncoding("utf8")) body += part;
    answer.writeHead(204).end();
    server.close();
    return { headers: request.headers, body };
  });
  return { url: `http://127.0.0.1:${server.address().port}/hook`, received };
}

for (const { name, OpenAI, connect } of openAIs) {
  const begin = {
    "response.completed": (client, webhook_url) =>
      client.responses.create({ model: "grok", input: "say Hello", background: true, webhook_url }),
    "video.completed": (client, webhook_url) =>
      client.videos.create({ model: "grok", prompt: `A bell for ${name}`, webhook_url }),
    "video.failed": (client, webhook_url) =>
      client.videos.create({ model: "grok", prompt: `refuse ${name}`, webhook_url }),
  };
  for (const [type, call] of Object.entries(begin)) {
    test(`${name}: ${type} is told, and signed`, async () => {
      const client = connect({ webhookSecret: SECRET });
      const { url, received } = await listen();

      const made = await call(client, url);

      const { headers, body } = await received;
      const event = await client.webhooks.unwrap(body, headers);
      assert.equal(event.type, type);
      assert.equal(event.data.id, made.id);
      await assert.rejects(client.webhooks.unwrap(`${body} `, headers), OpenAI.InvalidWebhookSignatureError);
    });
  }
}
