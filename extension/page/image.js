// The driver for pictures: fills the Imagine page in, submits once, waits for the new tiles, names their addresses.

import { PageTrouble } from "../shared/troubles.js";
import { awakeMs } from "./awake.js";
import { absolute, fillAndSubmit, findOwnPost, plain, postIn, sourceOf } from "./imagine.js";
import { noticesOf, refuseTrouble } from "./inspect.js";

/** A result has at most so many pictures. */
const MOST = 10;

/** @typedef {import("./context.js").Context} Context */
/** @typedef {import("./traffic.js").Exchange} Exchange */

/** @param {Context} context */
export async function runImage(context) {
  await fillAndSubmit(context);
  await followImage(context);
}

/**
 * Looks for the pictures of a prompt that was submitted before. Never submits anything.
 * @param {Context} context
 */
export async function recoverImage(context) {
  context.notices = noticesOf(context.locator);
  await findOwnPost(context);
  await followImage(context);
}

/** @param {Context} context */
async function followImage(context) {
  const pictures = new Pictures(context);
  await context.watch.follow(() => pictures.look(), context.signal);
}

class Pictures {
  #startedAt = awakeMs();
  #changedAt = awakeMs();
  #seen = "";

  /** @param {Context} context */
  constructor(context) {
    this.context = context;
    this.wanted = Number(context.job.options.n ?? 1);
  }

  /** True when the pictures' addresses have been handed over. */
  look() {
    const { context } = this;
    const exchange = context.exchange();
    const found = this.#tellsTraffic(exchange) ? this.#fromTraffic(exchange) : this.#fromPage();
    this.#note(found, exchange);
    if (found.addresses.length >= this.wanted || (found.isOver && found.addresses.length > 0)) return this.#finish(found);
    if (found.isOver && found.isModerated) throw new PageTrouble("moderated", "The site blocked the pictures.");
    this.#refuse(exchange);
    const limit = context.locator.limit("stalled_seconds");
    if ((awakeMs() - this.#changedAt) / 1000 > limit) {
      throw new PageTrouble("stalled", `The pictures have made no progress for ${limit} s.`);
    }
    return false;
  }

  /** One picture of several may be blocked: that is told of the job only when no other comes any more. @param {Exchange | null} exchange */
  #refuse(exchange) {
    try {
      refuseTrouble(this.context.locator, exchange, this.context.notices);
    } catch (error) {
      const isPartial = error instanceof PageTrouble && error.code === "moderated" && !this.#isQuiet();
      if (!isPartial) throw error;
    }
  }

  /**
   * Whether the traffic is to be read and not the page, where others' pictures may lie beside one's own: as soon as it
   * brings this job's, and for a while before.
   * @param {Exchange | null} exchange @returns {exchange is Exchange}
   */
  #tellsTraffic(exchange) {
    if (exchange && exchange.pictures.size > 0) return true;
    const isWaiting = (awakeMs() - this.#startedAt) / 1000 < this.context.locator.limit("traffic_seconds");
    return exchange !== null && isWaiting && this.context.job.action === "submit";
  }

  /** @param {Found} found */
  #finish(found) {
    this.context.emit({ event: "media", media: found.addresses.slice(0, MOST) });
    return true;
  }

  /** @param {Exchange} exchange @returns {Found} */
  #fromTraffic(exchange) {
    const slots = [...exchange.pictures.values()].sort((one, other) => one.order - other.order);
    const done = slots.filter((slot) => slot.done && !slot.moderated && slot.url);
    const addresses = done.map(({ url }) => absolute(this.context, String(url)));
    const isOver = slots.every((slot) => slot.done) && this.#isQuiet();
    return { addresses, isOver, isModerated: slots.some((slot) => slot.moderated) };
  }

  /** Tiles that were not there before; one with a canvas in it is still being drawn. @returns {Found} */
  #fromPage() {
    const { locator, evidence } = this.context;
    const known = new Set(evidence.baseline?.media ?? []);
    const tiles = locator.all("imagine.tile").filter((tile) => !tile.querySelector("canvas"));
    const images = tiles.flatMap((tile) => locator.all("imagine.tile_image", tile)).filter((image) => this.#isOwn(image));
    const own = images.map(sourceOf).filter((address) => /^https:/.test(address) && !known.has(plain(address)));
    const addresses = [...new Set(own)];
    return { addresses, isOver: addresses.length > 0 && this.#isQuiet(), isModerated: false };
  }

  /**
   * Others' pictures may come into the same list at any time. Shared ones are known as such; and on a page that did
   * not submit this prompt itself, only the job's own post counts.
   * @param {HTMLElement} image
   */
  #isOwn(image) {
    if (/share-(videos|images)/.test(sourceOf(image))) return false;
    const { job, path, evidence } = this.context;
    return job.action === "submit" || (isText(evidence.post_id) && postIn(path) === evidence.post_id);
  }

  #isQuiet() {
    return (awakeMs() - this.#changedAt) / 1000 > this.context.locator.limit("settle_seconds");
  }

  /** @param {Found} found @param {Exchange | null} exchange */
  #note(found, exchange) {
    const seen = `${found.addresses.length}/${exchange?.pictures.size ?? 0}/${exchange?.progress ?? 0}`;
    if (seen === this.#seen) return;
    this.#seen = seen;
    this.#changedAt = awakeMs();
    const share = (100 * found.addresses.length) / Math.max(1, this.wanted);
    this.context.emit({ event: "progress", progress: Math.min(99, Math.max(0, Math.floor(share))) });
  }
}

/** @param {unknown} value */
const isText = (value) => typeof value === "string" && value !== "";

/** @typedef {{addresses: string[], isOver: boolean, isModerated: boolean}} Found */
