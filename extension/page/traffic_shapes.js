// The shapes in which the site answers, one function a shape. Pure; each takes one object into an exchange.
//
// The shapes are those that public descriptions of the site agree on. A field that is absent or of another type
// changes nothing.

/** @typedef {import("./traffic.js").Exchange} Exchange */

/**
 * One object of an HTTP answer under `/rest/app-chat/conversations`.
 * @param {Exchange} exchange @param {Record<string, any>} object
 */
export function takeAnswer(exchange, object) {
  if (Array.isArray(object.responses)) return takeHistory(exchange, object.responses);
  const result = object.result ?? {};
  const response = result.response ?? result;
  exchange.conversationId = text(result.conversation?.conversationId) ?? exchange.conversationId;
  const error = object.error ?? response.error;
  if (error) fail(exchange, error);
  takeToken(exchange, response);
  if (response.streamingVideoGenerationResponse) takeVideo(exchange, response.streamingVideoGenerationResponse);
  if (response.streamingImageGenerationResponse) takePicture(exchange, response.streamingImageGenerationResponse);
  if (response.modelResponse) takeWhole(exchange, response.modelResponse);
}

/** @param {Exchange} exchange @param {Record<string, any>} response */
function takeToken(exchange, response) {
  const token = text(response.token);
  if (token === null || response.messageTag === "tool_usage_card") return;
  exchange.hasAnswer = true;
  if (response.isThinking) exchange.reasoning += token;
  else if (!response.messageTag || response.messageTag === "final") exchange.text += token;
}

/** @param {Exchange} exchange @param {Record<string, any>} video */
function takeVideo(exchange, video) {
  exchange.hasAnswer = true;
  exchange.postId = text(video.videoPostId) ?? text(video.parentPostId) ?? exchange.postId;
  exchange.videoId = text(video.videoId) ?? exchange.videoId;
  exchange.moderated ||= video.moderated === true;
  if (Number.isFinite(video.progress)) exchange.progress = Math.max(exchange.progress, video.progress);
  const url = text(video.videoUrl) ?? text(video.contentUrl) ?? text(video.assetUrl);
  if (url && exchange.progress >= 100) exchange.videoUrl = url;
}

/** @param {Exchange} exchange @param {Record<string, any>} picture */
function takePicture(exchange, picture) {
  exchange.hasAnswer = true;
  const done = picture.isFinal === true || picture.progress >= 100;
  notePicture(exchange, text(picture.imageId) ?? String(picture.imageIndex ?? ""), {
    url: done ? text(picture.imageUrl) : null,
    done,
    moderated: picture.moderated === true,
    order: Number(picture.imageIndex) || 0,
  });
}

/** The closing object: the whole answer. @param {Exchange} exchange @param {Record<string, any>} model */
function takeWhole(exchange, model) {
  exchange.hasAnswer = true;
  exchange.finalText = text(model.message) ?? exchange.text;
  exchange.end = "finished";
}

/** A conversation as the page reads it again: the last prompt, and the last turn of the model. */
function takeHistory(/** @type {Exchange} */ exchange, /** @type {any[]} */ responses) {
  const prompts = responses.filter((turn) => /human|user/i.test(String(turn?.sender ?? "")));
  exchange.said = prompts.slice(-1).map((turn) => text(turn.message) ?? "");
  const last = responses.at(-1);
  if (!/assistant|model|grok/i.test(String(last?.sender ?? "")) || last.partial === true) return;
  exchange.hasAnswer = true;
  exchange.text = text(last.message) ?? "";
  exchange.finalText = exchange.text;
  exchange.end = "finished";
}

/**
 * One frame of a socket.
 * @param {Exchange} exchange @param {Record<string, any>} frame
 */
export function takeFrame(exchange, frame) {
  if (exchange.path.startsWith("/ws/imagine")) return takeImagine(exchange, frame);
  const event = frame.event ?? frame;
  switch (event.type) {
    case "conversation.attached":
      exchange.conversationId = text(event.conversation?.id) ?? exchange.conversationId;
      break;
    case "response.output_text.delta":
      takeDelta(exchange, event.type, text(event.delta), "CHANNEL_ASSISTANT_RESPONSE");
      break;
    case "response.chunk":
      takeDelta(exchange, event.type, text(event.chunk?.text?.text), event.chunk?.text?.channel);
      break;
    case "response.grok.output":
      if (event.output?.stream_error) fail(exchange, event.output.stream_error);
      break;
    case "response.done":
      exchange.end = event.response?.status === "completed" ? "finished" : "cut_off";
      if (exchange.end === "finished") exchange.finalText = exchange.text;
      break;
    case "error":
      fail(exchange, event.error ?? {});
  }
}

/** Text comes in one of two kinds of frame; where both come, the first kind counts. */
function takeDelta(
  /** @type {Exchange} */ exchange,
  /** @type {string} */ kind,
  /** @type {string | null} */ delta,
  /** @type {unknown} */ channel,
) {
  if (delta === null) return;
  exchange.hasAnswer = true;
  if (channel === "CHANNEL_ANALYSIS") {
    exchange.reasoning += delta;
    return;
  }
  exchange.deltaKind ??= kind;
  if (exchange.deltaKind === kind) exchange.text += delta;
}

/** @param {Exchange} exchange @param {Record<string, any>} frame */
function takeImagine(exchange, frame) {
  const id = text(frame.image_id) ?? text(frame.id);
  if (frame.type === "error") return fail(exchange, frame.error ?? frame);
  if (id === null) return;
  exchange.hasAnswer = true;
  const order = Number(frame.order ?? frame.grid_index ?? frame.side_by_side_index) || 0;
  if (Number.isFinite(frame.percentage_complete)) exchange.progress = Math.max(exchange.progress, frame.percentage_complete);
  if (frame.type === "image") {
    const isWhole = frame.percentage_complete >= 100;
    notePicture(exchange, id, { url: isWhole ? text(frame.url) : null, done: false, moderated: false, order });
  } else if (frame.type === "json") {
    const done = frame.current_status === "completed";
    notePicture(exchange, id, { url: null, done, moderated: frame.moderated === true, order });
  }
}

/** @param {Exchange} exchange @param {string} id @param {import("./traffic.js").Picture} news */
function notePicture(exchange, id, news) {
  const known = exchange.pictures.get(id);
  exchange.pictures.set(id, {
    url: news.url ?? known?.url ?? null,
    done: news.done || known?.done || false,
    moderated: news.moderated || known?.moderated || false,
    order: known?.order || news.order,
  });
}

/** @param {Exchange} exchange @param {any} error */
function fail(exchange, error) {
  const message = typeof error === "string" ? error : String(error?.message ?? "");
  exchange.error = { code: String(error?.code ?? ""), message, availableAt: momentOf(error?.availableAt) };
}

/** A moment as Unix seconds, from seconds, milliseconds or a date in text. @param {unknown} value */
function momentOf(value) {
  const number = typeof value === "string" && Number.isNaN(Number(value)) ? Date.parse(value) : Number(value ?? NaN);
  if (!Number.isFinite(number) || number <= 0) return null;
  return number > 1e11 ? number / 1000 : number;
}

/** @param {unknown} value */
const text = (value) => (typeof value === "string" && value !== "" ? value : null);
