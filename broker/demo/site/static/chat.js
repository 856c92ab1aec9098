/** The chat: a fresh page, or a conversation as it stands, with the composer below. */
import { ask, openSocket } from "./ask.js";
import { Composer } from "./composer.js";
import { config, isAutumn, isFebruary } from "./config.js";
import { el, fill, icon, pause } from "./dom.js";
import { main } from "./frame.js";
import { menuButton } from "./menus.js";
import { adopt } from "./router.js";
import { get } from "./traffic.js";
import { tell } from "./troubles.js";
import { AnswerTurn, userTurn } from "./turns.js";
import { say } from "./words.js";

const MODELS = [
  { name: "Auto", value: "Auto", hint: "Chooses Fast or Expert" },
  { name: "Fast", value: "Fast", hint: "Quick responses" },
  { name: "Expert", value: "Expert", hint: "Thinks hard" },
  { name: "Heavy", value: "Heavy", hint: "Team of experts" },
];
const LOOK_AGAIN_MS = 400;

class Chat {
  /** @type {string | null} */
  #conversationId;
  #isPrivate = location.hash === "#private";
  #mode = "Auto";
  #isGone = false;
  /** @type {import("./ask.js").Stop} */
  #stop = () => {};

  /** @param {string | null} conversationId */
  constructor(conversationId) {
    this.#conversationId = conversationId;
    this.turns = el("div", { class: "turns" });
    this.greeting = el(
      "div",
      { class: "greeting" },
      icon("logo"),
      el("span", {}, this.#isPrivate ? "Private chat" : "Grok"),
    );
    this.composer = this.#composer();
    if (isAutumn) this.composer.element.setAttribute("data-composer", "");
    this.scroller = el("div", { class: "scroller" }, this.turns);
    fill(
      main,
      el(
        "div",
        { class: "chat" },
        this.scroller,
        this.greeting,
        el("div", { class: "dock" }, this.composer.element),
      ),
    );
    this.#refresh();
    openSocket();
    if (conversationId) void this.#load(conversationId).catch(tell);
  }

  leave() {
    this.#isGone = true;
    this.composer.destroy();
  }

  #composer() {
    const stop = el(
      "button",
      {
        type: "button",
        "aria-label": say("Stop model response"),
        class: "send",
        click: () => this.#stop(this.#conversationId),
      },
      icon("stop"),
    );
    if (isAutumn) stop.dataset.testid = "chat-stop";
    const voice = el(
      "button",
      {
        type: "button",
        "aria-label": say("Start voice mode"),
        class: "send voice",
        "data-testid": "bot-voice-call-start",
      },
      icon("wave"),
    );
    return new Composer({
      place: "chat",
      kind: isFebruary ? "plain" : "rich",
      label: "Ask Grok anything",
      placeholder: "Ask Grok anything",
      submitLabel: "Submit",
      submitAttributes: isFebruary ? {} : { "data-testid": "chat-submit" },
      hidesSubmit: isAutumn,
      asChips: isAutumn,
      idle: isAutumn ? voice : null,
      stop,
      options: this.#modelPicker(),
      onSubmit: (text, images) => this.#send(text, images),
    });
  }

  #modelPicker() {
    const button = menuButton(
      { id: "model-select-trigger", "aria-label": say("Model select"), class: "pill model" },
      () => this.#mode,
      () => [
        {
          items: MODELS,
          value: isAutumn ? () => this.#mode : undefined,
          choose: (value) => {
            this.#mode = value;
            button.refresh();
          },
        },
      ],
    );
    return button.element;
  }

  #refresh() {
    this.greeting.hidden = this.turns.childElementCount > 0;
    main.dataset.fresh = String(!this.greeting.hidden);
  }

  #toEnd() {
    this.scroller.scrollTop = this.scroller.scrollHeight;
  }

  /** @param {boolean} isBusy */
  #show(isBusy) {
    this.composer.busy = isBusy;
    const strip = el(
      "div",
      { role: "status", class: "busy" },
      el("span", { class: "spinner" }),
      say("Generating"),
    );
    fill(this.composer.notes, isBusy && isAutumn && strip);
  }

  /**
   * @param {string} text
   * @param {import("./composer.js").Uploaded[]} images
   * @returns {Promise<void>}
   */
  #send(text, images) {
    const turn = userTurn(text, images);
    const answer = new AnswerTurn();
    const question = {
      text,
      files: images.map((image) => image.id),
      conversationId: this.#conversationId,
      mode: this.#mode,
      isPrivate: this.#isPrivate,
    };
    return new Promise((accept, refuse) => {
      const listener = this.#listener(turn, answer, accept, refuse);
      if (!config.accepts_silently) {
        this.turns.append(turn, answer.element);
        this.#refresh();
        this.#show(true);
        this.#toEnd();
      }
      this.#stop = ask(question, listener);
    });
  }

  /**
   * @param {HTMLElement} turn
   * @param {AnswerTurn} answer
   * @param {() => void} accept
   * @param {(error: unknown) => void} refuse
   * @returns {import("./ask.js").Listener}
   */
  #listener(turn, answer, accept, refuse) {
    let isAccepted = false;
    const end = (/** @type {string} */ failure) => {
      answer.finish(failure);
      this.#show(false);
      this.#toEnd();
    };
    return {
      accepted: () => {
        isAccepted = true;
        accept();
      },
      attached: (conversationId) => this.#attach(conversationId),
      named: (responseId) => this.#name(answer, responseId),
      thinking: (piece) => answer.think(piece),
      answer: (piece) => {
        answer.add(piece);
        this.#toEnd();
      },
      whole: (text) => answer.show(text),
      ended: (isWhole) => end(isWhole ? "" : "The response was interrupted."),
      failed: (error) => {
        tell(error);
        end(
          error instanceof DOMException
            ? "Stopped."
            : error instanceof Error
              ? error.message
              : "Something went wrong.",
        );
        if (isAccepted) return;
        turn.remove();
        answer.element.remove();
        this.#refresh();
        refuse(error);
      },
    };
  }

  /** @param {string} conversationId */
  #attach(conversationId) {
    if (this.#conversationId || this.#isGone) return;
    this.#conversationId = conversationId;
    if (!this.#isPrivate) adopt(`/c/${conversationId}`);
  }

  /**
   * @param {AnswerTurn} answer
   * @param {string} responseId
   */
  #name(answer, responseId) {
    answer.name(responseId);
    if (!isAutumn || this.#isGone || !location.pathname.startsWith("/c/")) return;
    history.replaceState({}, "", `${location.pathname}?rid=${responseId}`);
  }

  /**
   * A conversation from an earlier visit, followed until it is whole: its answer goes on at the server.
   * @param {string} conversationId
   */
  async #load(conversationId) {
    while (!this.#isGone) {
      const { responses } = await get(`/rest/app-chat/conversations/${conversationId}/responses`);
      if (this.#isGone) return;
      const isPartial = this.#showAll(responses);
      this.#show(isPartial);
      if (!isPartial) return;
      this.#stop = () =>
        void fetch(`/rest/app-chat/conversations/${conversationId}/stop`, { method: "POST" });
      await pause(LOOK_AGAIN_MS);
    }
  }

  /**
   * @param {any[]} responses
   * @returns {boolean} whether the last one is still being written
   */
  #showAll(responses) {
    const turns = responses.map((found) => {
      if (found.sender === "human") {
        const uris = /** @type {string[]} */ (found.fileUris);
        const images = uris.map((uri, place) => ({
          url: `https://assets.grok.com/${uri}`,
          name: found.fileNames[place],
        }));
        return userTurn(found.message, images);
      }
      return answerElement(found);
    });
    fill(this.turns, turns);
    this.#refresh();
    this.#toEnd();
    return responses.some((found) => found.partial);
  }
}

/** @param {any} found */
function answerElement(found) {
  const answer = new AnswerTurn();
  answer.name(found.responseId);
  if (found.thinkingTrace) answer.think(found.thinkingTrace);
  if (found.message || !found.partial) answer.show(found.message);
  if (!found.partial) answer.finish(found.state === "done" ? "" : "The response was interrupted.");
  return answer.element;
}

/**
 * @param {string} conversationId
 * @returns {() => void}
 */
export function chatView(conversationId) {
  const chat = new Chat(conversationId || null);
  return () => chat.leave();
}
