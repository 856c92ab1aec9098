// The driver for chat: writes the prompt into a fresh conversation, sends it once, follows the answer.

import { PageTrouble } from "../shared/troubles.js";
import { attachImages } from "./attachments.js";
import { awakeMs } from "./awake.js";
import { noticesOf, refuseTrouble, refuseUnlessReady } from "./inspect.js";
import { settledMarkdown, toMarkdown } from "./markdown.js";

/** @typedef {import("./context.js").Context} Context */
/** @typedef {import("./traffic.js").Exchange} Exchange */

/** @param {Context} context */
export async function runChat(context) {
  const { job, locator } = context;
  context.emit({ event: "phase", phase: "preparing" });
  refuseUnlessReady(locator);
  const editor = await context.find("chat.editor");
  if (job.images.length > 0) await attachImages(context, "chat");
  await context.write(editor);
  await context.submit("chat.submit", editor, { path: context.path, conversations: conversationsShown(context) });
  await followChat(context);
}

/**
 * Looks for the answer to a prompt that was sent before. Never sends anything.
 * @param {Context} context
 */
export async function recoverChat(context) {
  const { locator } = context;
  const limit = locator.limit("recover_seconds");
  context.notices = noticesOf(locator);
  const lost = () => new PageTrouble("submit_unknown", "The conversation was not found.");
  if (!context.evidence.conversation_id && !context.exchange()) await openNewest(context, lost);
  await context.until(() => context.exchange() ?? turnOf(context), limit, lost);
  await followChat(context, { isRecovered: true });
}

/** Opens the conversations that were not there before submit, newest first, until one begins with this prompt. */
async function openNewest(/** @type {Context} */ context, /** @type {() => Error} */ lost) {
  const { locator, job } = context;
  const known = new Set(context.evidence.baseline?.conversations ?? []);
  const seconds = locator.limit("element_seconds");
  const fresh = await context.until(
    () => {
      const found = conversationLinks(context).filter((link) => !known.has(idIn(link.pathname)));
      return found.length > 0 ? found.slice(0, 5) : null;
    },
    seconds,
    lost,
  );
  for (const link of fresh) {
    const id = idIn(link.pathname);
    link.click();
    const own = await context
      .until(() => (idIn(context.path) === id ? turnOf(context) : null), seconds, lost)
      .catch(() => null);
    if (own) return context.tell({ conversation_id: id });
  }
  throw new PageTrouble("submit_unknown", `No new conversation begins with the prompt of ${job.id}.`);
}

/** @param {Context} context */
const conversationLinks = ({ locator }) => /** @type {HTMLAnchorElement[]} */ (locator.all("chat.conversations"));

/** @param {Context} context */
const conversationsShown = (context) => conversationLinks(context).map((link) => idIn(link.pathname)).slice(0, 60);

/** @param {string} path */
const idIn = (path) => /^\/c\/([\w-]{8,64})/.exec(path)?.[1] ?? null;

/**
 * The turn on the page that is the job's own prompt: all of its text, or all of a part of it, because pictures and
 * buttons may stand beside. White space does not count: it is lost between paragraphs.
 */
function turnOf(/** @type {Context} */ { locator, job }) {
  const bare = (/** @type {string | null} */ text) => (text ?? "").replace(/\s+/g, "");
  const wanted = bare(job.prompt);
  const isIt = (/** @type {Element} */ part) => bare(part.textContent) === wanted;
  const parts = (/** @type {Element} */ turn) => [turn, ...turn.querySelectorAll(":not(button, button *)")];
  return locator.all("chat.user_turn").findLast((turn) => parts(turn).some(isIt)) ?? null;
}

/**
 * Follows the answer to its end: traffic first, because it is exact; the page's text where there is no traffic.
 * @param {Context} context
 * @param {{isRecovered?: boolean}} [how]
 */
async function followChat(context, { isRecovered = false } = {}) {
  const answer = new Answer(context, isRecovered);
  await context.watch.follow(() => answer.look(), context.signal);
}

class Answer {
  #text = "";
  #reasoning = "";
  /** @type {"traffic" | "page" | null} */
  #source = null;
  #changedAt = awakeMs();
  #startedAt = awakeMs();
  #sawItWork = false;
  #seenSize = -1;
  /** @type {number | null} */
  #quietSince = null;

  /** @param {Context} context @param {boolean} isRecovered */
  constructor(context, isRecovered) {
    this.context = context;
    this.isRecovered = isRecovered;
  }

  /** Takes in what is there; true when the answer has been handed over. */
  look() {
    const { context } = this;
    const exchange = context.exchange();
    context.tell({ conversation_id: exchange?.conversationId ?? idIn(context.path) });
    this.#chooseSource(exchange);
    const isDone = this.#source === "traffic" && exchange ? this.#readTraffic(exchange) : this.#readPage();
    if (isDone) return true;
    refuseTrouble(context.locator, exchange, context.notices);
    this.#refuseStall();
    return false;
  }

  /** Once text has been taken from one of the two, it stays with that one. @param {Exchange | null} exchange */
  #chooseSource(exchange) {
    if (this.#source) return;
    if (exchange && (exchange.hasAnswer || exchange.end === "finished")) this.#source = "traffic";
    else if (!this.context.isObserved && !exchange) this.#source = "page";
    else if (this.#pageHasAnswer() && this.#secondsSince(this.#startedAt) > this.context.locator.limit("traffic_seconds")) {
      this.#source = "page";
    }
  }

  /** @param {Exchange} exchange */
  #readTraffic(exchange) {
    this.#add("reasoning", exchange.reasoning);
    this.#add("text", exchange.text);
    if (exchange.end === "open") return false;
    const whole = exchange.finalText ?? "";
    if (whole.startsWith(this.#text)) this.#add("text", whole);
    if (exchange.end === "cut_off" || !this.#text) {
      if (exchange.status >= 400 || exchange.error) refuseTrouble(this.context.locator, exchange, this.context.notices);
      throw new PageTrouble(this.#text ? "incomplete" : "generation_failed", "The answer was cut off.");
    }
    return this.#finish();
  }

  /** The page alone: whole blocks as they are settled, the rest when the page is idle again. */
  #readPage() {
    const block = this.#answerBlock();
    const isWorking = this.context.locator.one("chat.stop") !== null;
    this.#sawItWork ||= isWorking;
    if (block) this.#noteSize(block.textContent?.length ?? 0);
    if (!block || isWorking) {
      if (block) this.#add("text", settledMarkdown(block));
      this.#quietSince = null;
      return false;
    }
    if (!this.#sawItWork && !this.isRecovered && !this.#isIdle()) return false;
    this.#quietSince ??= awakeMs();
    if (this.#secondsSince(this.#quietSince) < this.context.locator.limit("settle_seconds")) return false;
    const whole = toMarkdown(block);
    if (!whole) throw new PageTrouble("incomplete", "The page shows no answer.");
    if (whole.startsWith(this.#text)) this.#add("text", whole);
    return this.#finish();
  }

  #isIdle() {
    return this.context.locator.one("chat.idle") !== null;
  }

  /** The answer behind the job's own prompt. */
  #answerBlock() {
    const { locator } = this.context;
    const turn = turnOf(this.context);
    const answers = locator.all("chat.answer_turn");
    const own = turn
      ? answers.find((answer) => turn.compareDocumentPosition(answer) & Node.DOCUMENT_POSITION_FOLLOWING)
      : null;
    return own ? locator.last("chat.answer_text", own) : null;
  }

  #pageHasAnswer() {
    return (this.#answerBlock()?.textContent ?? "").length > 0;
  }

  /** Hands on what is new of a text that only grows. @param {"text" | "reasoning"} kind @param {string} whole */
  #add(kind, whole) {
    const known = kind === "text" ? this.#text : this.#reasoning;
    if (whole.length <= known.length) return;
    if (!whole.startsWith(known)) return;
    if (kind === "text") this.#text = whole;
    else this.#reasoning = whole;
    this.#changedAt = awakeMs();
    const from = Math.max(known.length, this.context.job.already[kind]);
    if (whole.length > from) this.context.emit({ event: "delta", kind, delta: whole.slice(from) });
  }

  #noteSize(/** @type {number} */ size) {
    if (size !== this.#seenSize) this.#changedAt = awakeMs();
    this.#seenSize = size;
  }

  #finish() {
    this.context.emit({ event: "answer", content: this.#text, reasoning: this.#reasoning || null });
    return true;
  }

  #refuseStall() {
    const limit = this.context.locator.limit("chat_stalled_seconds");
    if (this.#secondsSince(this.#changedAt) > limit) {
      throw new PageTrouble("stalled", `Nothing has moved for ${limit} s.`);
    }
  }

  #secondsSince(/** @type {number} */ moment) {
    return (awakeMs() - moment) / 1000;
  }
}
