// The page's end of the line to the background: takes orders, runs one driver at a time, hands its events on and keeps
// each until it is acknowledged. The background may be ended and started again at any moment; what happens here goes on.

import { PageTrouble } from "../shared/troubles.js";
import { recoverChat, runChat } from "./chat.js";
import { Context } from "./context.js";
import { recoverImage, runImage } from "./image.js";
import { inspect, noticesOf } from "./inspect.js";
import { Locator } from "./locate.js";
import { offeredOnPage } from "./offered.js";
import { sendMedia } from "./pieces.js";
import { selfTest } from "./self_test.js";
import { Traffic } from "./traffic.js";
import { recoverVideo, runVideo } from "./video.js";
import { refuseUnknown } from "./wanted.js";
import { Watch } from "./watch.js";

/** @typedef {import("./context.js").PageJob} PageJob */
/** @typedef {{key: string, job: PageJob, abort: AbortController, allow: () => void, seq: number}} Run */

const DRIVERS = {
  submit: { video: runVideo, image: runImage, chat: runChat },
  recover: { video: recoverVideo, image: recoverImage, chat: recoverChat },
};

/**
 * Called by the loader.
 * @param {{take: (text: string) => void, isThere: boolean}} observed @param {string[]} early
 */
export function start(observed, early) {
  const page = new Page(() => observed.isThere);
  for (const text of early) page.traffic.take(text);
  observed.take = (text) => {
    if (page.traffic.take(text)) page.watch.news();
  };
  page.connect();
}

class Page {
  traffic = new Traffic();
  watch = new Watch(document);
  #id = crypto.randomUUID();
  /** @type {chrome.runtime.Port | null} */
  #port = null;
  /** @type {Locator | null} */
  #locator = null;
  /** @type {Run | null} */
  #run = null;
  /** Jobs that this page has submitted: where its traffic began. @type {Map<string, number>} */
  #submitted = new Map();
  /** Events that the background has not acknowledged. @type {Record<string, any>[]} */
  #outbox = [];
  #count = 0;
  #standing = "";
  /** What jobs saw in menus. @type {import("./offered.js").Offered} */
  #offered = {};

  /** @param {() => boolean} isObserved */
  constructor(isObserved) {
    this.isObserved = isObserved;
  }

  /** The line is opened again at once whenever it breaks, which also wakes the background. */
  connect() {
    try {
      this.#port = chrome.runtime.connect({ name: "page" });
    } catch {
      // The extension has been removed or loaded anew: this script's time is over.
      this.#run?.abort.abort(new PageTrouble("tab_closed", "The extension was loaded anew."));
      return;
    }
    this.#port.onMessage.addListener((order) => this.#obey(order));
    this.#port.onDisconnect.addListener(() => {
      void chrome.runtime.lastError;
      this.connect();
    });
    this.#say({ event: "here", page: this.#id, running: this.#run?.key ?? null, did: [...this.#submitted.keys()] });
    for (const event of this.#outbox) this.#say(event);
  }

  /** @param {Record<string, any>} event */
  #say(event) {
    try {
      this.#port?.postMessage(event);
    } catch {
      // The line is down; what counts is in the outbox.
    }
  }

  /** @param {any} order  from the background, which is ours */
  #obey(order) {
    switch (order.do) {
      case "pack":
        this.#locator = new Locator(order.pack, document);
        return this.#report(true);
      case "tick":
        this.watch.news();
        return this.#report(false);
      case "ack":
        this.#outbox = this.#outbox.filter((event) => event.n > order.upTo);
        return undefined;
      case "run":
        return this.#begin(order.job, new Locator(order.pack, document));
      case "press":
        return this.#run?.key === order.key ? this.#run?.allow() : undefined;
      case "cancel":
        return this.#run?.key === order.key ? this.#stop() : undefined;
      case "self_test":
        return void this.#test(order);
      case "fetch_media":
        return void sendMedia(order.address, order.ask, (piece) => this.#say(piece), this.#pieces);
      case "more":
        return this.#pieces.get(order.ask)?.();
    }
  }

  /** Who waits to send the next piece of a file. @type {Map<string, () => void>} */
  #pieces = new Map();

  /** Tells how the page stands, where that has changed. @param {boolean} always */
  #report(always) {
    if (!this.#locator || document.readyState === "loading") return;
    const { state, detail } = inspect(this.#locator);
    const offered = { ...this.#offered, ...offeredOnPage(this.#locator) };
    const standing = JSON.stringify([state, detail, offered, this.traffic.quota]);
    if (standing === this.#standing && !always) return;
    this.#standing = standing;
    this.#say({ event: "standing", state, detail, offered, quota: this.traffic.quota });
  }

  #stop() {
    this.#run?.abort.abort(new PageTrouble("cancelled", "The broker cancelled it."));
    this.#run = null;
    this.#outbox = [];
  }

  /** @param {PageJob} job @param {Locator} locator */
  #begin(job, locator) {
    const key = `${job.id}/${job.attempt}`;
    if (this.#run?.key === key) return;
    this.#stop();
    this.#locator = locator;
    /** @type {() => void} */
    let allow = () => {};
    const permission = new Promise((resolve) => (allow = () => resolve(undefined)));
    const run = { key, job, abort: new AbortController(), allow, seq: job.already.seq };
    this.#run = run;
    void this.#drive(run, this.#contextOf(run, locator, permission));
  }

  /** @param {Run} run @param {Locator} locator @param {Promise<any>} permission */
  #contextOf(run, locator, permission) {
    const { job } = run;
    const context = new Context({
      job,
      locator,
      watch: this.watch,
      traffic: this.traffic,
      signal: run.abort.signal,
      emit: (event) => this.#emit(run, event),
      permission: () => permissionOr(permission, run.abort.signal),
      isObserved: this.isObserved(),
      offered: this.#offered,
    });
    if (job.action === "recover") {
      context.mark = this.#submitted.get(job.id) ?? 0;
      context.notices = noticesOf(locator);
    }
    return context;
  }

  /** @param {Run} run @param {Context} context */
  async #drive(run, context) {
    try {
      if (run.job.action === "recover" && !run.job.prompt.trim()) {
        throw new PageTrouble("submit_unknown", "Without a prompt no result can be told to be the job's.");
      }
      if (run.job.action === "submit") refuseUnknown(run.job);
      await DRIVERS[run.job.action][run.job.kind](context);
    } catch (error) {
      if (run.abort.signal.aborted) return;
      const trouble = error instanceof PageTrouble ? error : new PageTrouble("unknown", String(error).slice(0, 300));
      const { code, message: detail, retryAfter } = trouble;
      // First how the page stands: what a job found on it is over when the page itself says so.
      this.#report(true);
      this.#emit(run, { event: "failed", code, detail, retry_after: retryAfter });
    }
  }

  /** @param {Run} run @param {Record<string, any>} event */
  #emit(run, event) {
    if (this.#run !== run) return;
    if (event.event === "ready") this.#submitted.set(run.job.id, this.traffic.mark);
    const seq = event.event === "delta" ? { seq: run.seq++ } : {};
    const numbered = { ...event, ...seq, key: run.key, n: ++this.#count };
    this.#outbox.push(numbered);
    this.#say(numbered);
  }

  /** @param {{pack: import("./locate.js").Pack, place: "chat" | "imagine", ask: string}} order */
  async #test(order) {
    const findings = await selfTest(new Locator(order.pack, document), this.watch, order.place);
    this.#say({ event: "findings", ask: order.ask, findings });
  }
}

/** @param {Promise<any>} permission @param {AbortSignal} signal */
function permissionOr(permission, signal) {
  const aborted = new Promise((_, reject) => signal.addEventListener("abort", () => reject(signal.reason)));
  return Promise.race([permission, aborted]);
}
