// The worker as a loop: say hello, poll, do the job, again; and what it does instead while it cannot work. One round at
// a time, whatever woke it; everything that must survive is in `session.js`.

import { backoff } from "../shared/backoff.js";
import { KIND_STATES, PAGE_STATES } from "../shared/troubles.js";
import { BrokerRefusal, BrokerUnreachable } from "./broker.js";
import { imagesOf } from "./handed.js";
import { JobRun } from "./job_run.js";
import { isNewer, packInUse, takePack } from "./pack.js";
import { Pages } from "./pages.js";
import { Pairing, brokerAt } from "./pairing.js";
import { walkPack } from "./self_test.js";
import * as session from "./session.js";
import { StandingKeeper } from "./standing.js";
import { StatusBoard } from "./status.js";
import { isFreeToReload, load, workerTab } from "./tabs.js";
import { kindsShown, makeWait, openKinds, secondsToNextEnd } from "./waits.js";

/** @typedef {import("../shared/settings.js").Kind} Kind */
/** @typedef {import("../shared/settings.js").Settings} Settings */
/** @typedef {import("../page/locate.js").Pack} Pack */
/** @typedef {import("./session.js").Work} Work */
/** @typedef {import("./broker.js").BrokerClient} BrokerClient */
/** @typedef {import("./broker.js").HandedJob} HandedJob */

const SILENCE_SECONDS = 20;
/** How often the page looks at itself while it cannot work. */
const TICK_MS = 1000;

export class Worker {
  board = new StatusBoard();
  standing = new StandingKeeper();
  pairing = new Pairing(this.board, () => this.stir());
  pages = new Pages({
    onHere: (page) => void this.#greet(page),
    onStanding: (page, event) => void this.#hear(page, event),
  });

  #running = false;
  #wake = () => {};
  #pollAbort = new AbortController();
  #helloDue = true;
  #failures = 0;
  #hasKey = false;
  /** @type {string[]} */
  #images = [];
  #timers = { pollWaitSeconds: 20, beatSeconds: 20 };
  /** @type {string[]} */
  #missing = [];
  /** The kinds that the broker was told last: a wait that is over is news to it. */
  #toldKinds = "";
  #isPausedByBroker = false;
  #isTestDue = false;
  /** Who waits for the self-test. @type {((findings: import("./self_test.js").Findings) => void)[]} */
  #testers = [];

  /** Starts the loop unless it runs. Safe to call at any event. */
  start() {
    if (this.#running) return this.#wake();
    this.#running = true;
    void this.#loop();
  }

  /** Something changed that the loop should look at now; a parked poll is let go. */
  stir() {
    this.#helloDue = true;
    this.#pollAbort.abort();
    this.#wake();
    this.start();
  }

  async #loop() {
    await this.standing.load();
    void this.pairing.resume();
    for (;;) {
      try {
        const pauseSeconds = await this.#round();
        this.#failures = 0;
        if (pauseSeconds > 0) await this.#rest(pauseSeconds);
      } catch (error) {
        await this.#rest(this.#noteFailure(error) / 1000);
      }
    }
  }

  /** One look at everything; returns how many seconds to rest before the next. @returns {Promise<number>} */
  async #round() {
    const settings = await session.loadSettings();
    const broker = await brokerAt(settings.brokerUrl);
    this.#hasKey = broker.hasKey;
    const { pack, source } = await packInUse();
    await this.#show(settings, pack.version, source);
    const work = await session.loadWork();
    if (this.#isTestDue) await this.#test(work, pack);
    if (work) return this.#workRound(work, broker, settings, pack);
    const kinds = await openKinds(settings);
    const isNews = kinds.join() !== this.#toldKinds;
    if (this.#helloDue || isNews) await this.#hello(broker, settings, pack.version, null);
    const isPaused = await session.loadIsPaused();
    if (!isPaused && this.standing.canWork && kinds.length > 0) return this.#poll(broker, kinds);
    // The broker forgets who does not call, and its operator should see what this worker waits for.
    this.#helloDue = true;
    if (isPaused) return SILENCE_SECONDS;
    return this.standing.canWork ? pack.limits.recheck_seconds : this.#troubledRound(pack);
  }

  /** @param {Work} work @param {BrokerClient} broker @param {Settings} settings @param {Pack} pack */
  async #workRound(work, broker, settings, pack) {
    if (this.#helloDue) await this.#hello(broker, settings, pack.version, work);
    await this.#do(work, broker, pack);
    return 0;
  }

  /** @param {BrokerClient} broker @param {Kind[]} kinds */
  async #poll(broker, kinds) {
    this.#pollAbort = new AbortController();
    const waitSeconds = Math.min(this.#timers.pollWaitSeconds, await secondsToNextEnd());
    // Something may have come up since the round began.
    if (this.#helloDue || this.#isTestDue) return 0;
    let answer;
    try {
      answer = await broker.poll(kinds, waitSeconds, this.#pollAbort.signal);
    } catch (error) {
      if (this.#pollAbort.signal.aborted) return 0;
      throw error;
    }
    this.board.connection("connected");
    this.#isPausedByBroker = /=paused/.test(answer.skipped);
    this.#obey(answer.directives);
    if (answer.job) await this.#accept(answer.job);
    // A broker that asks for a pause is going away, and the one that comes back does not know us.
    if (answer.pauseMs > 0) this.#helloDue = true;
    return answer.pauseMs / 1000;
  }

  /** @param {HandedJob} handed */
  async #accept(handed) {
    const images = imagesOf(handed);
    this.#images = images;
    await session.saveWork({
      id: handed.job_id,
      kind: handed.job_type,
      action: handed.action,
      attempt: handed.attempt,
      token: handed.lease_token,
      prompt: handed.prompt,
      imageCount: images.length,
      options: handed.options ?? {},
      evidence: handed.evidence ?? {},
      phase: "assigned",
      progress: 0,
      permitted: handed.action === "recover",
      media: null,
      already: { seq: 0, text: 0, reasoning: 0 },
      starts: 0,
      since: Date.now(),
    });
  }

  /** @param {Work} work @param {BrokerClient} broker @param {Pack} pack */
  async #do(work, broker, pack) {
    const { pages, board } = this;
    const { beatSeconds } = this.#timers;
    const obey = (/** @type {string[]} */ directives) => this.#obey(directives);
    const end = await new JobRun({ broker, pages, pack, board, obey, beatSeconds }, work, this.#images).carryOut();
    this.#images = [];
    const code = end.code ?? "";
    if (PAGE_STATES.has(code)) await this.standing.find(code, end.detail ?? "", end.page ?? null);
    if (KIND_STATES.has(code)) await makeWait(work.kind, end, pack.limits);
    // A broker that was started anew meanwhile knows nothing of this worker but its polls.
    this.#helloDue = true;
  }

  /** @param {import("./pages.js").Page} page */
  async #greet(page) {
    page.tell({ do: "pack", pack: (await packInUse()).pack });
    this.start();
  }

  /** @param {import("./pages.js").Page} page @param {Record<string, any>} event */
  async #hear(page, event) {
    const [hasMoved, isNews] = await this.standing.hear(page, event);
    if (hasMoved) this.stir();
    else if (isNews) this.#helloDue = true;
  }

  /** Waits for the cause to go away, and looks from time to time whether it has. @param {Pack} pack */
  async #troubledRound(pack) {
    const { state, at } = this.standing.now;
    const ticks = setInterval(() => this.pages.all().forEach((page) => page.tell({ do: "tick" })), TICK_MS);
    await this.#rest(pack.limits.recheck_seconds);
    clearInterval(ticks);
    if (this.standing.now.at !== at || this.#isTestDue) return 0;
    if (state === "selector_missing") this.#isTestDue = true;
    // A human check, or a sign-in under way, is the person's: nothing of ours reloads it.
    else if (state === "needs_login" && (await isFreeToReload(this.pages))) await load(pack.addresses.chat);
    return 0;
  }

  // What the broker is told, and what it asks.

  /** @param {BrokerClient} broker @param {Settings} settings @param {string} packVersion @param {Work | null} work */
  async #hello(broker, settings, packVersion, work) {
    this.#helloDue = false;
    try {
      const { state, detail } = this.standing.now;
      const isPaused = await session.loadIsPaused();
      const kinds = await openKinds(settings);
      const welcome = await broker.hello({
        name: settings.name,
        version: chrome.runtime.getManifest().version,
        kinds,
        slots: 1,
        page_state: isPaused ? "paused" : this.standing.canWork ? "ready" : state,
        page_detail: detail.slice(0, 300),
        capabilities: this.standing.capabilities,
        quota: this.standing.quota,
        pack_version: packVersion,
        held: work ? [{ job_id: work.id, lease_token: work.token }] : [],
      });
      this.#toldKinds = kinds.join();
      this.board.connection("connected");
      this.#timers = { pollWaitSeconds: welcome.poll_wait_seconds ?? 20, beatSeconds: welcome.beat_seconds ?? 20 };
      this.#obey(welcome.directives ?? []);
      if (isNewer(String(welcome.pack_version ?? ""), packVersion)) await this.updatePack(broker);
    } catch (error) {
      this.#helloDue = true;
      throw error;
    }
  }

  /** @param {string[]} directives */
  #obey(directives) {
    for (const directive of directives) {
      // Whether it is paused the broker says with each poll, also after it has been started anew.
      if (directive === "pause" || directive === "drain") this.#pausedByBroker(true);
      else if (directive === "resume") this.#pausedByBroker(false);
      else if (directive === "refresh_capabilities") this.#helloDue = true;
      else if (directive === "self_test") this.#isTestDue = true;
      else if (directive === "reload_page") void this.#reload();
      else if (directive === "update_pack") void this.updatePack().catch(() => {});
    }
  }

  /** Shown at once: the poll that follows may be held for a while. @param {boolean} isPaused */
  #pausedByBroker(isPaused) {
    this.#isPausedByBroker = isPaused;
    void this.#pausedBy().then((pausedBy) => this.board.show({ pausedBy }));
  }

  /** @returns {Promise<"person" | "broker" | null>} */
  async #pausedBy() {
    if (await session.loadIsPaused()) return "person";
    return this.#isPausedByBroker ? "broker" : null;
  }

  async #reload() {
    const tab = await workerTab();
    if (tab !== null && (await session.loadWork()) === null) await chrome.tabs.reload(tab);
  }

  /** Fetches the broker's page pack; a newer one that is sound is used from now on. @param {BrokerClient} [broker] */
  async updatePack(broker) {
    const from = broker ?? (await brokerAt((await session.loadSettings()).brokerUrl));
    const given = await from.pack();
    const wrong = given === null ? "The broker has no page pack." : await takePack(given);
    if (wrong !== null) return void console.warn(`The page pack of the broker is not used: ${wrong}`);
    const { pack } = await packInUse();
    for (const page of this.pages.all()) page.tell({ do: "pack", pack });
    if (this.standing.now.state === "selector_missing") this.#isTestDue = true;
    this.stir();
  }

  /** The person's pause and resume. @param {boolean} isPaused */
  async pause(isPaused) {
    await session.saveIsPaused(isPaused);
    this.stir();
  }

  /** Has the loop walk the page pack at its next round; nothing is submitted. @returns {Promise<import("./self_test.js").Findings>} */
  selfTest() {
    const findings = new Promise((resolve) => this.#testers.push(resolve));
    this.#isTestDue = true;
    this.stir();
    return findings;
  }

  /** @param {Work | null} work @param {Pack} pack */
  async #test(work, pack) {
    this.#isTestDue = false;
    const testers = this.#testers.splice(0);
    const findings = work ? { ok: false, missing: [], detail: "A job is under way." } : await walkPack(this.pages, pack);
    if (!work) {
      this.#missing = findings.missing;
      await this.standing.judge(findings);
      this.#helloDue = true;
    }
    for (const tell of testers) tell(findings);
  }

  // Resting and showing.

  /** @param {number} seconds @returns {Promise<void>} */
  #rest(seconds) {
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, seconds * 1000);
      this.#wake = () => {
        clearTimeout(timer);
        resolve();
      };
    });
  }

  /** @param {unknown} error @returns {number} how long to rest, in milliseconds */
  #noteFailure(error) {
    this.#helloDue = true;
    if (error instanceof BrokerUnreachable) this.board.connection("unreachable", error.message);
    else if (error instanceof BrokerRefusal && error.isOfKey) this.board.connection("pairing_needed", this.#keyTrouble);
    else if (error instanceof BrokerRefusal) this.board.connection("refused", error.message);
    else console.error(error);
    return backoff(++this.#failures);
  }

  get #keyTrouble() {
    return this.#hasKey ? "The key that this browser had is not taken any more." : "";
  }

  /** @param {Settings} settings @param {string} version @param {"bundled" | "broker"} source */
  async #show(settings, version, source) {
    this.board.show({
      kinds: await kindsShown(settings),
      pack: { version, source, missing: this.#missing },
      page: this.standing.shown,
      pausedBy: await this.#pausedBy(),
      pairing: await this.pairing.shown(settings.brokerUrl),
    });
  }
}
