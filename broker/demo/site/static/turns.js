/** How the two sides of a chat are shown, in each generation's mark-up. */
import { has, isAutumn, isFebruary } from "./config.js";
import { el, icon } from "./dom.js";
import { markdown } from "./markdown.js";
import { say } from "./words.js";

/**
 * @param {string} text
 * @param {{ url?: string, name: string }[]} images
 */
export function userTurn(text, images) {
  const shown = images.map((image) =>
    image.url ? el("img", { src: image.url, alt: image.name }) : el("span", { class: "file" }, image.name),
  );
  const pictures = shown.length ? el("div", { class: "turn-images" }, shown) : null;
  const bubble = el("div", { class: "bubble" }, el("div", { class: "words" }, text));
  if (isAutumn) return el("div", { "data-testid": "user-message", class: "turn user" }, pictures, bubble);
  bubble.classList.add("message-bubble");
  return el("div", { class: "turn user group flex flex-col items-end" }, pictures, bubble);
}

/** An answer that grows. */
export class AnswerTurn {
  #thinkingSeconds = 0;
  /** @type {number | undefined} */
  #ticker;

  constructor() {
    const isKnown = has("chat.answer");
    this.text = "";
    this.label = el("span", { class: "thinking-label" });
    this.trace = el("div", { class: "thinking-trace" });
    this.thinking = el("div", { class: "thinking-container", hidden: true }, this.label, this.trace);
    this.words = el("div", { class: isKnown ? "response-content-markdown markdown" : "markdown prose-x" });
    this.after = el("div", { class: "after" });
    this.element = isAutumn || !isKnown ? this.#plain() : this.#bubble();
    if (isAutumn && isKnown) this.element.dataset.testid = "assistant-message";
  }

  #plain() {
    return el("div", { class: "turn answer" }, this.thinking, this.words, this.after);
  }

  #bubble() {
    const bubble = el("div", { class: "message-bubble wide" }, this.thinking, this.words);
    return el("div", { class: "turn answer group flex flex-col items-start" }, bubble, this.after);
  }

  /** @param {string} responseId */
  name(responseId) {
    if (has("chat.answer") && !isFebruary) this.element.id = `response-${responseId}`;
  }

  /** @param {string} thought */
  think(thought) {
    this.thinking.hidden = false;
    this.trace.textContent += thought;
    if (this.#ticker === undefined) {
      this.#tick();
      this.#ticker = setInterval(() => this.#tick(1), 1000);
    }
  }

  #tick(seconds = 0) {
    this.#thinkingSeconds += seconds;
    this.label.textContent = `${say("Thinking about your request")} ${this.#thinkingSeconds}s`;
  }

  #stopThinking() {
    if (this.#ticker === undefined) return;
    clearInterval(this.#ticker);
    this.#ticker = undefined;
    this.label.textContent = `Thought for ${Math.max(1, this.#thinkingSeconds)}s`;
    // With the reasoning folded away the page offers to copy before the answer is there.
    this.after.replaceChildren(el("div", { class: "action-buttons" }, action("Copy", "copy")));
  }

  /** @param {string} piece */
  add(piece) {
    this.show(this.text + piece);
  }

  /** @param {string} text the whole of it */
  show(text) {
    this.#stopThinking();
    this.text = text;
    this.words.replaceChildren(...markdown(text));
  }

  /** @param {string} [failure] */
  finish(failure) {
    this.#stopThinking();
    const actions = [action("Copy", "copy"), action("Regenerate", "redo"), action("Like", "thumb")];
    const note = failure ? el("div", { class: "failure", role: "alert" }, failure) : null;
    const more = failure
      ? null
      : el("div", { class: "follow-ups" }, el("button", { type: "button" }, "Tell me more"));
    this.after.replaceChildren(
      ...[note, el("div", { class: "action-buttons" }, actions), more].filter((part) => part !== null),
    );
  }
}

/**
 * @param {string} label
 * @param {string} picture
 */
function action(label, picture) {
  return el("button", { type: "button", "aria-label": label, class: "round small" }, icon(picture));
}
