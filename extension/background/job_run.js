// One job from its hand-out to its end. May be begun anew at any point with what `session.js` has kept: the service
// worker can be ended between any two lines. What the page did before goes on counting.

import { backoff, pause } from "../shared/backoff.js";
import { PageTrouble } from "../shared/troubles.js";
import { BrokerRefusal, isPassing } from "./broker.js";
import { fetchResult, handIn } from "./delivery.js";
import { loadPosts, remember, rememberPost, saveWork } from "./session.js";
import { load, workerTab } from "./tabs.js";

/** @typedef {import("./session.js").Work} Work */
/** @typedef {import("./pages.js").Page} Page */
/** @typedef {import("./pages.js").PageEvent} PageEvent */
/** @typedef {{outcome: string, code: string | null, detail: string | null, retryAfter?: number | null, page?: string}} End */

/** A page may be lost so often before submit until the job is given back. */
const STARTS = 3;
/** How long a page has to call again after the service worker was started anew; it takes a tenth of a second. */
const CALL_AGAIN_SECONDS = 2;
const TICK_MS = 1000;
const PHASES = ["assigned", "preparing", "submitted", "generating", "downloading", "uploading"];

export class JobRun {
  /** @type {Page | null} */
  #page = null;
  /** @type {PageEvent[]} */
  #events = [];
  #wake = () => {};
  /** The job is over for the broker: a stop that the next look finds. @type {End | null} */
  #over = null;
  #beating = false;
  #beatAgain = false;

  /**
   * @param {object} parts
   * @param {import("./broker.js").BrokerClient} parts.broker
   * @param {import("./pages.js").Pages} parts.pages
   * @param {import("../page/locate.js").Pack} parts.pack
   * @param {import("./status.js").StatusBoard} parts.board
   * @param {(directives: string[]) => void} parts.obey
   * @param {number} parts.beatSeconds
   * @param {Work} work
   * @param {string[]} images  the job's images as base64; they are in memory only
   */
  constructor({ broker, pages, pack, board, obey, beatSeconds }, work, images) {
    this.broker = broker;
    this.pages = pages;
    this.pack = pack;
    this.board = board;
    this.obey = obey;
    this.beatSeconds = beatSeconds;
    this.work = work;
    this.images = images;
  }

  get lease() {
    return { id: this.work.id, token: this.work.token };
  }

  get key() {
    return `${this.work.id}/${this.work.attempt}`;
  }

  /** Does the job; when this returns the broker knows the end and nothing of the job is left here. @returns {Promise<End>} */
  async carryOut() {
    const beats = setInterval(() => void this.#beat(), this.beatSeconds * 1000);
    const ticks = setInterval(() => this.#page?.tell({ do: "tick" }), TICK_MS);
    void this.#beat();
    this.#show();
    let end;
    try {
      end = await this.#toTheEnd();
    } finally {
      clearInterval(beats);
      clearInterval(ticks);
      this.#letGo();
    }
    const { id, kind, since } = this.work;
    const { outcome, code, detail } = end;
    await remember({ id, kind, outcome, code, detail, startedAt: since, endedAt: Date.now() });
    await saveWork(null);
    this.board.show({ job: null });
    return end;
  }

  async #toTheEnd() {
    try {
      for (;;) {
        if (this.#over) return this.#over;
        if (this.work.media) return await this.#deliver(this.work.media);
        const end = await this.#onePage();
        if (end) return end;
      }
    } catch (error) {
      if (error instanceof PageTrouble) return this.#report(error);
      if (error instanceof BrokerRefusal) return this.#stopPage(refusedEnd(error));
      throw error;
    }
  }

  /** Works with one page until the end, or until that page is lost: then null. @returns {Promise<End | null>} */
  async #onePage() {
    const page = await this.#pageForIt();
    if (!page) return this.#over;
    this.#take(page);
    for (;;) {
      const event = await this.#next();
      if (this.#over) return this.#stopPage(this.#over);
      if (event === null) return this.#pageLost();
      const end = await this.#handle(page, event);
      if (end) return end;
      if (this.work.media) return null;
    }
  }

  /** A page that works on the job: the one that does already, the one that submitted it, or a fresh one. */
  async #pageForIt() {
    const { work } = this;
    const open = await this.#openPage();
    if (open?.running === this.key) return open;
    if (open && work.permitted && open.did.includes(work.id)) return this.#set(open, "recover");
    if (!work.permitted && this.images.length < work.imageCount) return this.#giveBack("The images were lost.");
    if (!work.permitted && ++work.starts > STARTS) throw new PageTrouble("tab_closed", "The page was lost several times.");
    await saveWork(work);
    const before = open?.id;
    const action = work.permitted ? "recover" : work.action;
    const loaded = await load(this.#address(action));
    const page = await this.pages.waitFor(loaded, (found) => found.id !== before, this.pack.limits.page_seconds);
    if (!page) throw new PageTrouble("site_down", "Grok's page did not load.");
    return this.#set(page, action);
  }

  /** The page in the worker's tab. One that worked before we were ended is given a moment to call again. */
  async #openPage() {
    const tab = await workerTab();
    if (tab === null) return null;
    const isResumed = this.work.permitted || this.work.starts > 0;
    return this.pages.waitFor(tab, () => true, isResumed ? CALL_AGAIN_SECONDS : 0);
  }

  /** @param {Page} page @param {"submit" | "recover"} action */
  async #set(page, action) {
    const { id, attempt, kind, prompt, options, evidence, already } = this.work;
    const posts = await loadPosts();
    const others = posts.filter((post) => post !== evidence.post_id);
    const isSeen = posts.includes(evidence.post_id);
    const job = { id, attempt, kind, action, prompt, images: this.images, options, evidence, already, others, isSeen };
    page.tell({ do: "run", job, pack: this.pack });
    page.running = this.key;
    return page;
  }

  /** @param {"submit" | "recover"} action */
  #address(action) {
    const { addresses } = this.pack;
    const { kind, evidence } = this.work;
    if (action === "recover" && kind === "chat" && isId(evidence.conversation_id)) {
      return addresses.conversation + evidence.conversation_id;
    }
    const post = evidence.post_id ?? evidence.baseline?.parent;
    if (action === "recover" && kind !== "chat") return isId(post) ? addresses.post + post : addresses.saved;
    return kind === "chat" ? addresses.chat : addresses.imagine;
  }

  /** @param {Page} page */
  #take(page) {
    this.#letGo();
    this.#page = page;
    page.listen((event) => {
      if (event.key !== this.key) return;
      this.#events.push(event);
      this.#wake();
    });
    page.onGone = () => this.#wake();
  }

  #letGo() {
    if (!this.#page) return;
    this.#page.listen(null);
    this.#page.onGone = () => {};
    this.#page = null;
    this.#events = [];
  }

  /** The page's next event; null when the page is gone. @returns {Promise<PageEvent | null>} */
  async #next() {
    for (;;) {
      const event = this.#events.shift();
      if (event) return event;
      if (this.#over || this.#page?.isGone) return null;
      await new Promise((resolve) => (this.#wake = () => resolve(undefined)));
    }
  }

  /** @returns {null} */
  #pageLost() {
    this.#letGo();
    this.#show(this.work.permitted ? "The page was lost; looking for the result." : "The page was lost; starting again.");
    return null;
  }

  /** @param {Page} page @param {PageEvent} event @returns {Promise<End | null>} */
  async #handle(page, event) {
    switch (event.event) {
      case "phase":
        await this.#advance({ phase: event.phase });
        break;
      case "ready":
        await this.#permit(page, event);
        break;
      case "evidence":
        await this.#advance({ phase: "generating", evidence: event.evidence });
        break;
      case "progress":
        await this.#advance({ phase: event.progress > 0 ? "generating" : undefined, progress: event.progress });
        break;
      case "delta":
        await this.#stream(event);
        break;
      case "media":
        await this.#advance({ phase: "downloading", media: event.media });
        break;
      case "answer":
        await this.#insist(() => this.broker.completeChat(this.lease, answerOf(event)));
        page.acknowledge(event.n);
        return { outcome: "completed", code: null, detail: null };
      case "failed":
        page.acknowledge(event.n);
        throw new PageTrouble(String(event.code), String(event.detail), { retryAfter: event.retry_after ?? null });
    }
    page.acknowledge(event.n);
    return null;
  }

  /**
   * Lets the page press submit, once the broker has it on disk that it is about to.
   * @param {Page} page @param {PageEvent} event
   */
  async #permit(page, event) {
    const { work } = this;
    work.evidence = objectOf(event.evidence);
    work.phase = later(work.phase, "submitted");
    await saveWork(work);
    const answer = await this.#insist(() => this.broker.beat(this.lease, { phase: "submitted", evidence: work.evidence }));
    if (answer.cancel) this.#stop("cancelled", "The broker cancelled it.");
    if (this.#over) return;
    work.permitted = true;
    await saveWork(work);
    page.tell({ do: "press", key: this.key });
    this.#show();
  }

  /**
   * Takes in what is new, keeps it, and tells the broker without waiting for it. Whatever the page says, the broker is
   * told of no phase behind `submitted` before the page was let press: from there on nothing submits the job again.
   * @param {{phase?: string, progress?: number, evidence?: Record<string, any>, media?: unknown}} news
   */
  async #advance({ phase, progress, evidence, media }) {
    const { work } = this;
    if (phase && (work.permitted || phase === "preparing")) work.phase = later(work.phase, phase);
    if (Number.isFinite(progress)) work.progress = Math.max(work.progress, Math.floor(Number(progress)));
    if (evidence) work.evidence = objectOf(evidence);
    if (isId(evidence?.post_id)) await rememberPost(evidence?.post_id);
    if (Array.isArray(media)) work.media = media.slice(0, 10).map(String);
    await saveWork(work);
    void this.#beat();
    this.#show();
  }

  /** Sends on what has been written since, all that waits in one call. @param {PageEvent} first */
  async #stream(first) {
    const events = [first];
    while (this.#events[0]?.event === "delta") events.push(/** @type {PageEvent} */ (this.#events.shift()));
    const { work } = this;
    const chunks = events
      .map(({ seq, kind, delta }) => ({ seq: Number(seq), kind: kind === "reasoning" ? "reasoning" : "text", delta: String(delta) }))
      .filter(({ seq }) => seq >= work.already.seq);
    if (chunks.length > 0) {
      await this.#insist(() => this.broker.chunks(this.lease, chunks));
      for (const { kind, delta } of chunks) work.already[kind === "text" ? "text" : "reasoning"] += delta.length;
      work.already.seq = (chunks.at(-1)?.seq ?? -1) + 1;
      work.phase = later(work.phase, "generating");
      await saveWork(work);
    }
    this.#page?.acknowledge(events.at(-1)?.n);
    this.#show();
  }

  /** Fetches the result and hands it in. @param {string[]} addresses @returns {Promise<End>} */
  async #deliver(addresses) {
    const files = await fetchResult(this.work.kind, addresses, this.pack, this.pages);
    await this.#advance({ phase: "uploading" });
    await this.#insist(() => handIn(this.broker, this.lease, this.work.kind, files));
    return { outcome: "completed", code: null, detail: null };
  }

  /** Tells the broker what went wrong. @param {PageTrouble} trouble @returns {Promise<End>} */
  async #report(trouble) {
    const { code, message: detail, retryAfter } = trouble;
    const retry_at = retryAfter === null ? null : Date.now() / 1000 + retryAfter;
    const page = this.#page?.id;
    try {
      await this.#insist(() => this.broker.error(this.lease, { error: detail, code, retry_at }));
    } catch (error) {
      if (!(error instanceof BrokerRefusal)) throw error;
    }
    return { outcome: "failed", code, detail, retryAfter, page };
  }

  /** @param {string} reason @returns {Promise<null>} */
  async #giveBack(reason) {
    await this.#insist(() => this.broker.release(this.lease, reason));
    this.#over = { outcome: "handed_back", code: null, detail: reason };
    return null;
  }

  /**
   * Makes a call again until the broker takes or refuses it. A refusal is thrown; one that says that the film is not
   * accepted, as what it means.
   * @template T @param {() => Promise<T>} call @returns {Promise<T>}
   */
  async #insist(call) {
    for (let tries = 1; ; tries++) {
      try {
        const answer = await call();
        this.board.connection("connected");
        return answer;
      } catch (error) {
        if (error instanceof BrokerRefusal && error.code === "result_rejected") {
          throw new PageTrouble("result_rejected", `${error.message} (${error.more.gate_class ?? "no class"})`);
        }
        if (!isPassing(error)) throw error;
        this.board.connection("unreachable", error instanceof Error ? error.message : "");
      }
      await pause(backoff(tries, { first: 250, most: 5000 }));
      if (this.#over) throw new BrokerRefusal(409, { error: { code: "lease_lost", message: "The lease is over." } });
    }
  }

  /** One beat at a time; news that comes meanwhile goes with the next. */
  async #beat() {
    this.#beatAgain = this.#beating;
    if (this.#beating) return;
    this.#beating = true;
    try {
      const { phase, progress, evidence } = this.work;
      const told = Object.keys(evidence).length > 0 ? { evidence } : {};
      const answer = await this.broker.beat(this.lease, { phase, progress, ...told });
      this.board.connection("connected");
      if (answer.cancel && !this.work.media) this.#stop("cancelled", "The broker cancelled it.");
      this.obey(answer.directives ?? []);
    } catch (error) {
      if (error instanceof BrokerRefusal && !error.isPassing && !this.work.media) this.#over ??= refusedEnd(error);
      else if (isPassing(error)) this.board.connection("unreachable", String(/** @type {Error} */ (error).message));
      this.#wake();
    } finally {
      this.#beating = false;
    }
    if (this.#beatAgain) void this.#beat();
  }

  /** @param {string} outcome @param {string} detail */
  #stop(outcome, detail) {
    this.#over ??= { outcome, code: null, detail };
    this.#wake();
  }

  /** @param {End} end */
  #stopPage(end) {
    this.#page?.tell({ do: "cancel", key: this.key });
    return end;
  }

  #show(note = "") {
    const { id, kind, action, permitted, phase, progress, since } = this.work;
    const shown = permitted && this.#page === null && !this.work.media ? "recover" : action;
    this.board.show({ job: { id, kind, action: shown, phase, progress, note, since } });
  }
}

/** @param {unknown} id */
const isId = (id) => typeof id === "string" && /^[\w-]{8,64}$/.test(id);

/** @param {string} one @param {string} other */
const later = (one, other) => (PHASES.indexOf(other) > PHASES.indexOf(one) ? other : one);

/** @param {unknown} value @returns {Record<string, any>} */
const objectOf = (value) => (typeof value === "object" && value !== null && !Array.isArray(value) ? value : {});

/** @param {PageEvent} event */
const answerOf = ({ content, reasoning }) => ({ content: String(content), reasoning: reasoning ? String(reasoning) : null });

/** @param {BrokerRefusal} refusal @returns {End} */
function refusedEnd(refusal) {
  // Without its key this worker can hear nothing more of the job: to it, that is lost.
  return { outcome: refusal.code === "lease_lost" || refusal.isOfKey ? "lost" : "failed", code: refusal.code, detail: refusal.message };
}
