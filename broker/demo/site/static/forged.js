/** A hostile page: sends messages that look as if they came from an extension's own scripts. */
import { config } from "./config.js";

const FAKE = {
  type: "streamingVideoGenerationResponse",
  progress: 100,
  videoUrl: "http://127.0.0.1:8000/dashboard",
  videoPostId: "00000000-0000-4000-8000-000000000000",
  moderated: false,
};

/** @type {import("./config.js").ForgedMessage[]} */
const USUAL = [
  { post: { source: "grok-broker", kind: "video", ...FAKE } },
  { post: { source: "grok-broker", command: "submit", prompt: "forged", lease_token: "forged" } },
  { post: "x".repeat(200_000) },
  { post: null },
  {
    event: "grok-broker",
    detail: JSON.stringify({ kind: "stream", body: JSON.stringify({ result: { response: FAKE } }) }),
  },
  { event: "grok-broker:net", detail: JSON.stringify(FAKE) },
  { event: "grok-broker:net", detail: { not: "text" } },
];

export function sendForgedMessages() {
  for (let round = 0; round < config.forged_messages; round += 1) {
    for (const forged of config.forged ?? USUAL) send(forged);
  }
  if (config.forged_messages) void fetch("/stand-in/forged", { method: "POST" });
}

/** @param {import("./config.js").ForgedMessage} forged */
function send(forged) {
  if (forged.event === undefined) {
    window.postMessage(forged.post, location.origin);
    return;
  }
  for (const target of [document, window]) {
    target.dispatchEvent(new CustomEvent(forged.event, { detail: forged.detail }));
  }
}
