/** OpenAI's client and the AI SDK make and edit images. */

import assert from "node:assert/strict";
import { test } from "node:test";

import { PNG, aiSdks, handed, openAIs } from "./support.js";

const MODEL = "grok-imagine-image";
const isPng = (bytes) => Buffer.from(bytes).subarray(1, 4).toString() === "PNG";

for (const { name, OpenAI, connect } of openAIs) {
  const { toFile } = OpenAI;

  test(`${name}: images come as links, or inside the answer`, async () => {
    const linked = await connect().images.generate({ model: MODEL, prompt: "Two teapots", n: 2 });
    const inside = await connect().images.generate({
      model: MODEL,
      prompt: "A cup",
      response_format: "b64_json",
    });

    assert.equal(linked.data.length, 2);
    assert.ok(isPng(await (await fetch(linked.data[0].url)).arrayBuffer()));
    assert.ok(isPng(Buffer.from(inside.data[0].b64_json, "base64")));
  });

  test(`${name}: several pictures are edited`, async () => {
    const prompt = `Paint them with ${name}`;
    const image = await Promise.all(
      ["a.png", "b.png"].map((file) => toFile(PNG, file, { type: "image/png" })),
    );

    const made = await connect().images.edit({ model: MODEL, prompt, image });

    assert.equal(made.data.length, 1);
    assert.deepEqual((await handed(prompt)).images, [PNG.toString("base64"), PNG.toString("base64")]);
  });

  test(`${name}: a refused prompt is a bad request with OpenAI's code`, async () => {
    await assert.rejects(connect().images.generate({ model: MODEL, prompt: "refuse this" }), (error) => {
      assert.ok(error instanceof OpenAI.BadRequestError);
      assert.equal(error.code, "content_policy_violation");
      return true;
    });
  });
}

for (const { name, ai, compatible, openai, xai } of aiSdks) {
  const models = {
    compatible: () => compatible().imageModel(MODEL),
    // Takes bytes only, and does not ask for them: it relies on what OpenAI's own models answer.
    openai: () => openai().image("gpt-image-1"),
    xai: () => xai().image(MODEL),
  };
  for (const [provider, model] of Object.entries(models)) {
    test(`${name}, ${provider}: images of the shape that is asked for`, async () => {
      const prompt = `Teapots with ${name} and ${provider}`;
      const shape = provider === "xai" ? { aspectRatio: "16:9" } : { size: "1792x1024" };

      const made = await ai.generateImage({ model: model(), prompt, n: 2, maxImagesPerCall: 2, ...shape });

      assert.equal(made.images.length, 2);
      assert.ok(made.images.every((image) => isPng(image.uint8Array)));
      assert.deepEqual((await handed(prompt)).options, { aspect: "16:9", n: 2 });
    });

    test(`${name}, ${provider}: pictures are edited`, async () => {
      const text = `Paint it with ${name} and ${provider}`;

      const made = await ai.generateImage({ model: model(), prompt: { text, images: [PNG, PNG] } });

      assert.ok(isPng(made.image.uint8Array));
      const job = await handed(text);
      assert.equal(job.images.length, 2);
    });
  }
}
