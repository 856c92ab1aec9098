/** OpenAI's client and the AI SDK make films. */

import assert from "node:assert/strict";
import { test } from "node:test";

import { BASE_URL, PNG, aiSdks, handed, openAIs, tell } from "./support.js";

const MODEL = "grok-imagine-video";
const dataUrl = `data:image/png;base64,${PNG.toString("base64")}`;
const isMp4 = (bytes) => Buffer.from(bytes).subarray(4, 8).toString() === "ftyp";

/** The client has nothing that waits. */
async function ended(client, id) {
  for (;;) {
    const video = await client.videos.retrieve(id, { query: { wait: "5" } });
    if (!["queued", "in_progress"].includes(video.status)) return video;
  }
}

for (const { name, OpenAI, connect } of openAIs) {
  const { toFile } = OpenAI;

  test(`${name}: a film is made, fetched, listed and deleted`, async () => {
    const client = connect();
    const prompt = `A cat at a piano with ${name}`;
    const begun = await client.videos.create({ model: MODEL, prompt, seconds: "4", size: "720x1280" });
    const made = await ended(client, begun.id);

    assert.equal(made.status, "completed", JSON.stringify(made.error));
    assert.deepEqual((await handed(prompt)).options, {
      duration_seconds: 6,
      aspect: "9:16",
      resolution: "720p",
    });
    assert.ok(isMp4(await (await client.videos.downloadContent(made.id)).arrayBuffer()));
    const listed = [];
    for await (const video of client.videos.list({ limit: 1 })) listed.push(video.id);
    assert.ok(listed.includes(made.id));
    assert.equal((await client.videos.delete(made.id)).deleted, true);
    await assert.rejects(client.videos.retrieve(made.id), OpenAI.NotFoundError);
  });

  test(`${name}: a picture to begin with, as a file and as a URL`, async () => {
    const client = connect();
    const file = await toFile(PNG, "a.png", { type: "image/png" });
    for (const [way, input_reference] of Object.entries({ file, url: { image_url: dataUrl } })) {
      const prompt = `Let the ${way} move with ${name}`;
      const begun = await client.videos.create({ model: MODEL, prompt, input_reference });

      assert.equal((await ended(client, begun.id)).status, "completed");
      assert.equal((await handed(prompt)).image, PNG.toString("base64"));
    }
  });

  test(`${name}: films are made from a film: remixed, edited, extended`, async () => {
    const client = connect();
    const source = (await client.videos.create({ model: MODEL, prompt: `A draft with ${name}` })).id;
    await ended(client, source);
    const ways = {
      remix: (prompt) => client.videos.remix(source, { prompt }),
      edit: (prompt) => client.videos.edit({ prompt, video: { id: source } }),
      extend: (prompt) => client.videos.extend({ prompt, video: { id: source }, seconds: "6" }),
    };
    for (const [way, begin] of Object.entries(ways)) {
      const prompt = `The ${way} with ${name}`;
      const made = await ended(client, (await begin(prompt)).id);

      assert.equal(made.status, "completed", JSON.stringify(made.error));
      const { options } = await handed(prompt);
      assert.equal(options.operation, way);
      assert.equal(options.source.job_id, source.replace("video_", "job_"));
    }
  });

  test(`${name}: a film that is not there yet is told once`, async () => {
    const client = connect();
    const word = `early-${name.replace(" ", "-")}`;
    const begun = await client.videos.create({ model: MODEL, prompt: `wait ${word} A bell` });

    await assert.rejects(client.videos.downloadContent(begun.id), (error) => {
      assert.ok(error instanceof OpenAI.ConflictError);
      assert.equal(error.code, "video_not_ready");
      return true;
    });
    await tell(`release ${word}`);
  });
}

for (const { name, ai, xai } of aiSdks) {
  // The SDK fetches nothing from this machine, so the film is asked for within the answer. Each generation
  // has its own way to be told how often to look.
  const asked = ({ xai: options = {}, ...more }) => ({
    model: xai({ headers: { "X-Inline-Video": "1" } }).video(MODEL),
    poll: { intervalMs: 50 },
    providerOptions: { xai: { pollIntervalMs: 50, ...options } },
    ...more,
  });

  test(`${name}: generateVideo from a text`, async () => {
    const prompt = `A cat at a piano with ${name}`;
    const made = await ai.experimental_generateVideo(
      asked({ prompt, duration: 6, aspectRatio: "16:9", xai: { resolution: "720p" } }),
    );

    assert.equal(made.video.mediaType, "video/mp4");
    assert.ok(isMp4(made.video.uint8Array));
    assert.deepEqual((await handed(prompt)).options, {
      duration_seconds: 6,
      aspect: "16:9",
      resolution: "720p",
    });
  });

  test(`${name}: generateVideo from an image`, async () => {
    const text = `Let it move with ${name}`;
    const made = await ai.experimental_generateVideo(asked({ prompt: { text, image: PNG } }));

    assert.ok(isMp4(made.video.uint8Array));
    assert.equal((await handed(text)).image, PNG.toString("base64"));
  });

  test(`${name}: generateVideo with images to refer to`, async () => {
    const prompt = `Both of them with ${name}`;
    const made = await ai.experimental_generateVideo(
      asked({ prompt, xai: { mode: "reference-to-video", referenceImageUrls: [dataUrl, dataUrl] } }),
    );

    assert.ok(isMp4(made.video.uint8Array));
    assert.equal((await handed(prompt)).images.length, 2);
  });

  for (const [mode, operation] of [
    ["edit-video", "edit"],
    ["extend-video", "extend"],
  ]) {
    test(`${name}: generateVideo from a film, ${mode}`, async () => {
      const client = openAIs[0].connect();
      const source = await ended(
        client,
        (await client.videos.create({ prompt: `A draft for ${name} ${mode}` })).id,
      );
      const videoUrl = `${BASE_URL}/videos/${source.id}.mp4`;
      const prompt = `The ${operation} with ${name}`;

      const made = await ai.experimental_generateVideo(asked({ prompt, xai: { mode, videoUrl } }));

      assert.ok(isMp4(made.video.uint8Array));
      const { options } = await handed(prompt);
      assert.equal(options.operation, operation);
      assert.equal(options.source.job_id, source.id.replace("video_", "job_"));
    });
  }

  test(`${name}: generateVideo fetches the film by its link where it is told how`, async () => {
    const download = async ({ url }) => {
      const answer = await fetch(url);
      return {
        data: new Uint8Array(await answer.arrayBuffer()),
        mediaType: answer.headers.get("content-type"),
      };
    };
    const made = await ai.experimental_generateVideo({
      ...asked({ prompt: `A bell with ${name}` }),
      model: xai().video(MODEL),
      download,
    });

    assert.ok(isMp4(made.video.uint8Array));
  });

  test(`${name}: generateVideo tells why there is no film`, async () => {
    await assert.rejects(ai.experimental_generateVideo(asked({ prompt: "refuse this" })), /refuse|failed/);
  });
}
