// What the page's own traffic tells, gathered by exchange: one prompt and what came back for it. Pure: takes the
// observer's events, knows neither the page nor the extension. Nothing in here is trusted: every field is checked for
// its type, and what is made of it is checked again where it is used.

import { takeAnswer, takeFrame } from "./traffic_shapes.js";
import { JsonStream } from "./json_stream.js";

/**
 * What one prompt brought, as far as it is known. Text is exact; `-1` stands for no progress yet.
 * @typedef {object} Exchange
 * @property {string[]} said  every text in what the page sent
 * @property {string} path
 * @property {number} status
 * @property {number | null} retryAfter  seconds
 * @property {string | null} conversationId
 * @property {string | null} postId
 * @property {string | null} videoId
 * @property {string | null} videoUrl
 * @property {number} progress
 * @property {boolean} moderated
 * @property {string} text
 * @property {string} reasoning
 * @property {string | null} finalText
 * @property {boolean} hasAnswer  something of an answer has come
 * @property {"open" | "finished" | "cut_off"} end
 * @property {{code: string, message: string, availableAt: number | null} | null} error
 * @property {Map<string, Picture>} pictures
 * @property {string | null} deltaKind
 * @property {Record<string, any> | null} sentJson
 */

/** @typedef {{url: string | null, done: boolean, moderated: boolean, order: number}} Picture */

/** How many exchanges are remembered; a page that lives for days must not fill up. */
const MOST = 40;

/** @returns {Exchange} */
function newExchange(/** @type {string} */ path, /** @type {string} */ sent) {
  const sentJson = parsed(sent);
  return {
    said: sentJson ? texts(sentJson) : [],
    path,
    status: 0,
    retryAfter: null,
    conversationId: null,
    postId: null,
    videoId: null,
    videoUrl: null,
    progress: -1,
    moderated: false,
    text: "",
    reasoning: "",
    finalText: null,
    hasAnswer: false,
    end: "open",
    error: null,
    pictures: new Map(),
    deltaKind: null,
    sentJson,
  };
}

export class Traffic {
  /** @type {Exchange[]} in the order in which the page began them */
  exchanges = [];
  /** What the page was told of its limits, by path: the last answer. @type {Record<string, any>} */
  quota = {};
  /** Posts that the page read, by id. @type {Map<string, Record<string, any>>} */
  posts = new Map();
  /** How many uploads have been answered well. */
  uploads = 0;

  /** @type {Map<number, {exchange: Exchange, stream: JsonStream}>} */
  #fetches = new Map();
  /** @type {Map<number, {path: string, current: Exchange | null}>} */
  #sockets = new Map();

  /**
   * Takes one event of the observer, as text. What cannot be read is dropped.
   * @param {string} text
   * @returns {boolean} whether anything is known now that was not before
   */
  take(text) {
    const event = parsed(text);
    if (!event || typeof event.id !== "number" || typeof event.type !== "string") return false;
    const path = typeof event.address === "string" ? event.address : "";
    if (event.type === "request") this.#begin(event.id, path, String(event.body ?? ""));
    else if (event.type === "socket") this.#sockets.set(event.id, { path, current: null });
    else if (this.#sockets.has(event.id)) this.#takeSocket(event);
    else if (this.#fetches.has(event.id)) this.#takeFetch(event);
    else return false;
    return true;
  }

  /** Exchanges that began after the first `count` of all, newest last. @param {number} mark */
  since(mark) {
    return this.exchanges.slice(Math.max(0, mark - this.#dropped));
  }

  /** A mark for `since`: everything until now lies before it. */
  get mark() {
    return this.#dropped + this.exchanges.length;
  }

  #dropped = 0;

  /** @param {number} id @param {string} path @param {string} body */
  #begin(id, path, body) {
    const exchange = newExchange(path, body);
    this.#fetches.set(id, { exchange, stream: new JsonStream() });
    if (path.startsWith("/rest/app-chat/conversations")) this.#remember(exchange);
  }

  /** @param {Exchange} exchange */
  #remember(exchange) {
    this.exchanges.push(exchange);
    if (this.exchanges.length > MOST) {
      this.exchanges.shift();
      this.#dropped++;
    }
  }

  /** @param {Record<string, any>} event */
  #takeFetch(event) {
    const { exchange, stream } = /** @type {{exchange: Exchange, stream: JsonStream}} */ (
      this.#fetches.get(event.id)
    );
    if (event.type === "answer") {
      exchange.status = Number(event.status) || 0;
      exchange.retryAfter = positive(event.headers?.["retry-after"]);
      if (exchange.status < 400 && /upload-file/.test(exchange.path)) this.uploads++;
    } else if (event.type === "data") {
      for (const object of stream.take(String(event.text ?? ""))) this.#takeObject(exchange, object);
    } else if (event.type === "end" || event.type === "broken") {
      if (exchange.end === "open") exchange.end = exchange.finalText === null ? "cut_off" : "finished";
      this.#fetches.delete(event.id);
    }
  }

  /** @param {Exchange} exchange @param {Record<string, any>} object */
  #takeObject(exchange, object) {
    if (exchange.path.startsWith("/rest/app-chat/conversations")) takeAnswer(exchange, object);
    else if (exchange.path.startsWith("/rest/media/post/")) this.#takePost(object);
    else if (/rate-limits|quota_info/.test(exchange.path)) this.quota[exchange.path] = object;
  }

  /** @param {Record<string, any>} object */
  #takePost(object) {
    const post = object.post;
    if (typeof post?.id === "string" && this.posts.size < 200) this.posts.set(post.id, post);
  }

  /** @param {Record<string, any>} event */
  #takeSocket(event) {
    const socket = /** @type {{path: string, current: Exchange | null}} */ (this.#sockets.get(event.id));
    if (event.type === "sent") this.#takeSent(socket, String(event.text ?? ""));
    else if (event.type === "frame" && socket.current) {
      const frame = parsed(String(event.text ?? ""));
      if (frame) takeFrame(socket.current, frame);
    } else if (event.type === "closed") {
      if (socket.current?.end === "open") socket.current.end = "cut_off";
      this.#sockets.delete(event.id);
    }
  }

  /** A prompt begins an exchange; `response.create` and `ping` only go with it. */
  #takeSent(/** @type {{path: string, current: Exchange | null}} */ socket, /** @type {string} */ text) {
    const said = parsed(text);
    if (!said) return;
    const type = said.event?.type ?? said.type ?? "";
    if (socket.path.startsWith("/ws/mgw") && type !== "conversation.item.create") return;
    const exchange = newExchange(socket.path, text);
    if (!exchange.said.some((piece) => piece.length > 0)) return;
    exchange.status = 200;
    socket.current = exchange;
    this.#remember(exchange);
  }
}

/**
 * Whether the page sent just this prompt in the exchange. White space may differ, and the page may add its own
 * `--mode=` behind it.
 * @param {Exchange} exchange @param {string} prompt
 */
export function mentions(exchange, prompt) {
  const wanted = squeezed(prompt);
  return exchange.said.some((text) => squeezed(text).replace(/ --mode=\S+$/, "") === wanted);
}

/** @param {string} text */
export const squeezed = (text) => text.replace(/\s+/g, " ").trim();

/** Every text in a JSON value. @param {unknown} value @returns {string[]} */
function texts(value, depth = 0) {
  if (typeof value === "string") return [value];
  if (typeof value !== "object" || value === null || depth > 12) return [];
  return Object.values(value).flatMap((inner) => texts(inner, depth + 1));
}

/** @param {string} text @returns {Record<string, any> | null} */
function parsed(text) {
  try {
    const value = JSON.parse(text);
    return typeof value === "object" && value !== null && !Array.isArray(value) ? value : null;
  } catch {
    return null;
  }
}

/** @param {unknown} value */
function positive(value) {
  const number = Number(value);
  return value !== null && number > 0 && number < 1e9 ? number : null;
}
