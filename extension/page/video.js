// The driver for films: fills the Imagine page in, submits once, follows the post, names the film's address.

import { PageTrouble } from "../shared/troubles.js";
import { awakeMs } from "./awake.js";
import { absolute, fillAndSubmit, findOwnPost, plain, postIn, sourceOf } from "./imagine.js";
import { noticesOf, refuseTrouble } from "./inspect.js";
import { press } from "./press.js";

/** @typedef {import("./context.js").Context} Context */
/** @typedef {import("./traffic.js").Exchange} Exchange */

/** @param {Context} context */
export async function runVideo(context) {
  await fillAndSubmit(context);
  await followVideo(context);
}

/**
 * Looks for the film of a prompt that was submitted before. Never submits anything.
 * @param {Context} context
 */
export async function recoverVideo(context) {
  context.notices = noticesOf(context.locator);
  await findOwnPost(context);
  await followVideo(context);
}

/** @param {Context} context */
async function followVideo(context) {
  const film = new Film(context);
  await context.watch.follow(() => film.look(), context.signal);
}

class Film {
  #changedAt = awakeMs();
  #progress = -1;
  #sawItWork = false;

  /** @param {Context} context */
  constructor(context) {
    this.context = context;
  }

  /** True when the film's address has been handed over. */
  look() {
    const { context } = this;
    const exchange = context.exchange();
    this.#tellWhere(exchange);
    this.#tellProgress(exchange);
    if (exchange?.moderated || this.#isBlocked()) throw new PageTrouble("moderated", "The site blocked the film.");
    const address = this.#fromTraffic(exchange) ?? this.#fromPage(exchange);
    if (address) {
      context.emit({ event: "media", media: [address] });
      return true;
    }
    refuseTrouble(context.locator, exchange, context.notices);
    this.#refuseStall();
    return false;
  }

  /** @param {Exchange | null} exchange */
  #tellWhere(exchange) {
    const { context } = this;
    const here = postIn(context.path);
    const isNew = here !== null && here !== context.evidence.baseline?.parent && this.#isOurs(here, exchange);
    context.tell({
      post_id: exchange?.postId ?? (isNew ? here : null),
      video_id: exchange?.videoId,
      conversation_id: exchange?.conversationId,
    });
  }

  /** The page went there by itself after submit; or the traffic or an earlier attempt named it. */
  #isOurs(/** @type {string} */ here, /** @type {Exchange | null} */ exchange) {
    const known = exchange?.postId ?? this.context.evidence.post_id;
    if (known) return known === here;
    const posts = this.context.evidence.baseline?.posts ?? [];
    return this.context.job.action === "submit" && !posts.includes(here);
  }

  /** @param {Exchange | null} exchange */
  #tellProgress(exchange) {
    const shown = this.context.locator.one("imagine.progress")?.textContent ?? "";
    const percent = /(\d{1,3})\s*%/.exec(shown)?.[1];
    this.#sawItWork ||= percent !== undefined;
    const progress = Math.max(exchange?.progress ?? -1, percent === undefined ? -1 : Number(percent));
    if (progress <= this.#progress || progress > 100) return;
    this.#progress = progress;
    this.#changedAt = awakeMs();
    this.context.emit({ event: "progress", progress: Math.min(99, Math.floor(progress)) });
  }

  #isBlocked() {
    const { context } = this;
    return this.#isAtOwnPost() && context.locator.one("imagine.moderated") !== null;
  }

  #isAtOwnPost() {
    const here = postIn(this.context.path);
    return here !== null && here === (this.context.evidence.post_id ?? this.context.evidence.baseline?.parent);
  }

  /** @param {Exchange | null} exchange */
  #fromTraffic(exchange) {
    if (!exchange?.videoUrl || exchange.progress < 100) return null;
    return absolute(this.context, exchange.videoUrl);
  }

  /** The post's own `<video>`, once nothing is being generated there any more. @param {Exchange | null} exchange */
  #fromPage(exchange) {
    const { locator, evidence, traffic } = this.context;
    if (!this.#isAtOwnPost() || locator.one("imagine.progress")) return null;
    // Its traffic says that more is to come.
    if (exchange && exchange.end === "open" && exchange.progress < 100) return null;
    this.#chooseOfTwo();
    const known = new Set(evidence.baseline?.media ?? []);
    const films = locator.all("imagine.video").map(sourceOf).filter((address) => address && !known.has(plain(address)));
    const own = films.filter((address) => this.#belongs(address));
    const post = traffic.posts.get(evidence.post_id);
    const read = typeof post?.mediaUrl === "string" && /VIDEO/.test(post.mediaType ?? "") ? post.mediaUrl : null;
    return own[0] ?? (read ? absolute(this.context, read) : null);
  }

  /** A shared film belongs to the job only under the post's own id. @param {string} address */
  #belongs(address) {
    const { evidence } = this.context;
    if (!/share-(videos|images)/.test(address)) return true;
    return [evidence.post_id, evidence.video_id].some((id) => id && address.includes(id));
  }

  /** The question which of two films one prefers covers the result; it can be skipped. */
  #chooseOfTwo() {
    const skip = this.context.locator.one("imagine.skip_choice");
    if (skip) press(skip);
  }

  #refuseStall() {
    const limit = this.context.locator.limit("stalled_seconds");
    if ((awakeMs() - this.#changedAt) / 1000 > limit) {
      throw new PageTrouble("stalled", `The film has made no progress for ${limit} s.`);
    }
  }
}
