/** Sends a chat message and tells of the answer as it comes: over the HTTP stream, or the newer socket. */
import { config } from "./config.js";
import { Refused, objects, post } from "./traffic.js";

/**
 * @typedef {object} Question
 * @property {string} text
 * @property {string[]} files
 * @property {string | null} conversationId
 * @property {string} mode
 * @property {boolean} isPrivate
 *
 * @typedef {object} Listener
 * @property {() => void} accepted
 * @property {(conversationId: string) => void} attached
 * @property {(responseId: string) => void} named
 * @property {(text: string) => void} thinking
 * @property {(text: string) => void} answer
 * @property {(text: string) => void} whole
 * @property {(error: unknown) => void} failed
 * @property {(isWhole: boolean) => void} ended
 *
 * @typedef {(conversationId: string | null) => void} Stop
 */

/**
 * @param {Question} question
 * @param {Listener} on
 * @returns {Stop}
 */
export function ask(question, on) {
  return config.chat_transport === "socket" ? askSocket(question, on) : askStream(question, on);
}

/**
 * @param {Question} question
 * @param {Listener} on
 * @returns {Stop}
 */
function askStream(question, on) {
  const aborter = new AbortController();
  followStream(question, on, aborter.signal).catch(on.failed);
  return (conversationId) => {
    aborter.abort();
    if (conversationId) void post(`/rest/app-chat/conversations/${conversationId}/stop`, {});
  };
}

/**
 * @param {Question} question
 * @param {Listener} on
 * @param {AbortSignal} signal
 */
async function followStream(question, on, signal) {
  const place = question.conversationId ? `${question.conversationId}/responses` : "new";
  const body = {
    temporary: question.isPrivate,
    modeId: question.mode.toLowerCase(),
    message: question.text,
    fileAttachments: question.files,
    imageAttachments: [],
    disableSearch: false,
    enableImageGeneration: true,
    returnImageBytes: false,
    sendFinalMetadata: true,
  };
  const response = await post(`/rest/app-chat/conversations/${place}`, body, signal);
  on.accepted();
  let isWhole = false;
  for await (const found of objects(response)) {
    if (found.error) throw new Refused(200, found.error.message);
    isWhole = takeObject(found.result, on) || isWhole;
  }
  on.ended(isWhole);
}

/**
 * @param {any} result
 * @param {Listener} on
 * @returns {boolean} whether this closes the answer
 */
function takeObject(result, on) {
  if (result.conversation) on.attached(result.conversation.conversationId);
  const found = result.response ?? result;
  if (found.responseId) on.named(found.responseId);
  if (found.token && found.isThinking) on.thinking(found.token);
  else if (found.token && (!found.messageTag || found.messageTag === "final")) on.answer(found.token);
  if (found.modelResponse) on.whole(found.modelResponse.message);
  return Boolean(found.modelResponse);
}

/** @type {WebSocket | null} */
let socket = null;

/** @type {Map<string, (event: any) => void>} */
const sessions = new Map();

/** Opened when the chat is shown, as the real page does. */
export function openSocket() {
  if (config.chat_transport !== "socket" || !config.signed_in) return null;
  if (socket && socket.readyState <= WebSocket.OPEN) return socket;
  socket = new WebSocket(`wss://${location.host}/ws/mgw/?uid=${config.user_id}`);
  socket.addEventListener("message", (message) => {
    const { session_id: session, event } = JSON.parse(message.data);
    sessions.get(session)?.(event);
  });
  return socket;
}

/**
 * @param {Question} question
 * @param {Listener} on
 * @returns {Stop}
 */
function askSocket(question, on) {
  const session = crypto.randomUUID();
  const line = openSocket();
  if (!line) {
    on.failed(new Refused(401, "Log in to continue."));
    return () => {};
  }
  const send = (/** @type {object} */ event) => line.send(JSON.stringify({ session_id: session, event }));
  const lost = () => {
    sessions.delete(session);
    on.failed(new Refused(0, "Connection lost. Please try again."));
  };
  sessions.set(session, (event) => {
    if (!takeEvent(event, on)) return;
    sessions.delete(session);
    line.removeEventListener("close", lost);
  });
  line.addEventListener("close", lost);
  const begin = () => questionEvents(question).forEach(send);
  if (line.readyState === WebSocket.OPEN) begin();
  else line.addEventListener("open", begin, { once: true });
  return () => send({ type: "response.cancel" });
}

/** @param {Question} question */
function questionEvents({ text, files, conversationId, mode, isPrivate }) {
  const parts = files.map((file) => ({ type: "input_file", file_id: file }));
  const content = [{ type: "input_text", text }, ...parts];
  return [
    { type: "session.create", conversation_id: conversationId },
    { type: "conversation.item.create", item: { type: "message", role: "user", content } },
    { type: "response.create", response: { mode: mode.toLowerCase(), temporary: isPrivate } },
  ];
}

/**
 * @param {any} event
 * @param {Listener} on
 * @returns {boolean} whether this was the last one
 */
function takeEvent(event, on) {
  switch (event.type) {
    case "conversation.attached":
      on.accepted();
      on.attached(event.conversation.id);
      break;
    case "response.created":
      on.named(event.response.id);
      break;
    case "response.output_text.delta":
      on.answer(event.delta);
      break;
    case "response.reasoning.delta":
      on.thinking(event.delta);
      break;
    case "response.chunk":
      takeChunk(event.chunk, on);
      break;
    case "response.output_text.done":
      on.whole(event.text);
      break;
    case "response.grok.output":
      if (event.output.stream_error) on.failed(new Refused(200, event.output.stream_error.message));
      break;
    case "error":
      on.failed(new Refused(event.error.status ?? 200, event.error.message));
      return true;
    case "response.done":
      on.ended(event.response.status === "completed");
      return true;
  }
  return false;
}

/**
 * @param {any} chunk
 * @param {Listener} on
 */
function takeChunk(chunk, on) {
  if (!chunk.text) return;
  if (chunk.text.channel === "CHANNEL_ANALYSIS") on.thinking(chunk.text.text);
  else on.answer(chunk.text.text);
}
