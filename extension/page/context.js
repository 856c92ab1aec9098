// What a driver is given: the job, the page, and the few deeds that all drivers share. A driver yields events through
// `emit` and knows neither the broker nor the extension.

import { PageTrouble } from "../shared/troubles.js";
import { holds, write } from "./composer.js";
import { noticesOf, refuseTrouble, refuseUnlessReady } from "./inspect.js";
import { isShown } from "./locate.js";
import { press } from "./press.js";
import { mentions } from "./traffic.js";

/** @typedef {import("./traffic.js").Exchange} Exchange */
/** @typedef {{id: string, attempt: number, kind: "video" | "image" | "chat", action: "submit" | "recover",
 *   prompt: string, images: string[], options: Record<string, any>, evidence: Record<string, any>,
 *   already: {seq: number, text: number, reasoning: number}, others: string[], isSeen: boolean}} PageJob
 *   `others`: posts of other jobs; `isSeen`: this browser itself saw the post in `evidence` come of a submit */

export class Context {
  /** What has been told as evidence. @type {Record<string, any>} */
  evidence = {};
  /** What the traffic had brought when submit was pressed. */
  mark = 0;
  /** Toasts and dialogs from before. @type {Set<string>} */
  notices = new Set();

  /**
   * @param {object} parts
   * @param {PageJob} parts.job
   * @param {import("./locate.js").Locator} parts.locator
   * @param {import("./watch.js").Watch} parts.watch
   * @param {import("./traffic.js").Traffic} parts.traffic
   * @param {AbortSignal} parts.signal
   * @param {(event: Record<string, any>) => void} parts.emit
   * @param {() => Promise<void>} parts.permission  resolves when the broker knows that submit is about to be pressed
   * @param {boolean} parts.isObserved  whether the page's traffic is seen at all
   * @param {import("./offered.js").Offered} parts.offered  what menus had to choose from; drivers add to it
   */
  constructor({ job, locator, watch, traffic, signal, emit, permission, isObserved, offered }) {
    this.job = job;
    this.locator = locator;
    this.watch = watch;
    this.traffic = traffic;
    this.signal = signal;
    this.emit = emit;
    this.permission = permission;
    this.isObserved = isObserved;
    this.offered = offered;
    this.evidence = { ...job.evidence };
  }

  get path() {
    return this.locator.document.location.pathname;
  }

  /**
   * @template T
   * @param {() => T | null | undefined | false} look @param {number} seconds @param {() => Error} trouble
   */
  until(look, seconds, trouble) {
    return this.watch.until(look, { seconds, signal: this.signal, trouble });
  }

  /** Whether it comes true within the time that a click or a stroke may take. @param {() => boolean} look */
  settled(look) {
    const late = new Error("late");
    return this.until(look, this.locator.limit("option_seconds"), () => late).catch((error) => {
      if (error === late) return false;
      throw error;
    });
  }

  /** Writes the job's prompt. @param {HTMLElement} editor */
  async write(editor) {
    await write(editor, this.job.prompt, (look) => this.settled(look));
  }

  /** The element of a purpose, waited for. Throws `selector_missing`. @param {string} purpose */
  find(purpose) {
    const { locator } = this;
    return this.until(() => locator.one(purpose), locator.limit("element_seconds"), () => locator.missing(purpose));
  }

  /** Tells what is known of the result's whereabouts, where that is news. @param {Record<string, any>} known */
  tell(known) {
    const news = Object.entries(known).filter(([name, value]) => value && this.evidence[name] !== value);
    if (news.length === 0) return;
    Object.assign(this.evidence, Object.fromEntries(news));
    this.emit({ event: "evidence", evidence: { ...this.evidence } });
  }

  /**
   * Asks for leave, then presses submit: once, whatever comes of it. Returns when the page shows a sign of having
   * taken it; throws `submit_unknown` when there is none, and the page's own refusal when there is one.
   * @param {string} purpose @param {HTMLElement} editor @param {Record<string, any>} baseline
   */
  async submit(purpose, editor, baseline) {
    const { locator, job } = this;
    const button = await this.#enabled(purpose);
    refuseUnlessReady(locator);
    this.notices = noticesOf(locator);
    this.mark = this.traffic.mark;
    this.evidence = { baseline };
    this.emit({ event: "ready", evidence: { ...this.evidence } });
    await this.permission();
    if (!holds(editor, job.prompt) || !button.isConnected || this.signal.aborted) {
      throw new PageTrouble("ui_changed", "The page changed just before submit; nothing was pressed.");
    }
    const before = this.path;
    press(button, locator.pack.press);
    const unknown = () => new PageTrouble("submit_unknown", "The page showed no sign of having taken the prompt.");
    await this.until(() => this.#isTaken(editor, before), locator.limit("accept_seconds"), unknown);
  }

  /** @param {string} purpose */
  #enabled(purpose) {
    const { locator } = this;
    const look = () => locator.all(purpose).find((button) => !isDisabled(button));
    return this.until(look, locator.limit("element_seconds"), () => locator.missing(purpose));
  }

  /** @param {HTMLElement} editor @param {string} before */
  #isTaken(editor, before) {
    const exchange = this.exchange();
    refuseTrouble(this.locator, exchange, this.notices);
    if (exchange && exchange.status > 0) return true;
    const isElsewhere = this.path !== before && /^\/(c|imagine\/post)\//.test(this.path);
    return isElsewhere || this.locator.one("chat.stop") !== null || !holds(editor, this.job.prompt);
  }

  /** The traffic of this very prompt, since submit; where there is more than one, what got furthest. */
  exchange() {
    const own = this.traffic.since(this.mark).filter((exchange) => mentions(exchange, this.job.prompt));
    return own.reduce((best, next) => (best && rank(best) > rank(next) ? best : next), /** @type {Exchange | null} */ (null));
  }
}

/** @param {Exchange} exchange */
const rank = (exchange) => (exchange.end === "finished" ? 2 : exchange.hasAnswer ? 1 : 0);

/** @param {HTMLElement} element */
export function isDisabled(element) {
  return element.matches(":disabled, [aria-disabled=true]") || !isShown(element);
}
