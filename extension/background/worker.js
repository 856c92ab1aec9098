// The worker as a loop: say hello, poll, do the job, again; and what it does instead while it cannot work. One round at
// a time, whatever woke it; everything that must survive is in `session.js`.

import { backoff } from "../shared/backoff.js";
import { KINDS } from "../shared/settings.js";
import { KIND_STATES, PAGE_STATES } from "../shared/troubles.js";
import { BrokerClient, BrokerRefusal, BrokerUnreachable } from "./broker.js";
import { JobRun } from "./job_run.js";
import { packInUse, takePack } from "./pack.js";
import { Pages } from "./pages.js";
import { walkPack } from "./self_test.js";
import * as session from "./session.js";
import { StatusBoard } from "./status.js";
import { load, workerTab } from "./tabs.js";

/** @typedef {import("../shared/settings.js").Kind} Kind */
/** @typedef {import("../shared/settings.js").Settings} Settings */
/** @typedef {import("./session.js").Standing} Standing */
/** @typedef {import("./session.js").Work} Work */
/** @typedef {import("./broker.js").HandedJob} HandedJob */

const SILENCE_SECONDS = 20;
/** How often the page looks at itself while it cannot work. */
const TICK_MS = 1000;

export class Worker {
  board = new StatusBoard();
  pages = new Pages({
    onHere: (page) => void this.#greet(page),
    onStanding: (page, event) => void this.#takeStanding(page, event),
  });

  #running = false;
  #wake = () => {};
  #pollAbort = new AbortController();
  #helloDue = true;
  #failures = 0;
  /** @type {string[]} */
  #images = [];
  #timers = { pollWaitSeconds: 20, beatSeconds: 20 };
  /** @type {Standing} */
  #standing = { state: "unknown", detail: "", at: 0, page: null, isSticky: false };
  /** What the page last told of itself. @type {{offered: Record<string, any>, quota: Record<string, any>}} */
  #seen = { offered: {}, quota: {} };
  /** Pages that stood otherwise than ready since they were loaded. @type {Set<string>} */
  #troubled = new Set();
  /** @type {string[]} */
  #missing = [];
  #testDue = false;

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
    this.#standing = (await session.loadStanding()) ?? this.#standing;
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
    const broker = new BrokerClient(settings.brokerUrl, await session.workerId());
    const { pack, source } = await packInUse();
    await this.#show(settings, pack.version, source);
    const work = await session.loadWork();
    if (work) {
      if (this.#helloDue) await this.#hello(broker, settings, pack.version, work);
      await this.#do(work, broker, pack);
      return 0;
    }
    if (this.#testDue) await this.selfTest();
    if (this.#helloDue) await this.#hello(broker, settings, pack.version, null);
    if (await session.loadPausedBy()) return this.#pausedRound(broker, settings, pack.version);
    if (!this.#canWork()) return this.#troubledRound(pack);
    const kinds = await this.#openKinds(settings);
    if (kinds.length === 0) return pack.limits.recheck_seconds;
    return this.#poll(broker, kinds);
  }

  /** @param {BrokerClient} broker @param {Kind[]} kinds */
  async #poll(broker, kinds) {
    this.#pollAbort = new AbortController();
    let answer;
    try {
      answer = await broker.poll(kinds, this.#timers.pollWaitSeconds, this.#pollAbort.signal);
    } catch (error) {
      if (this.#pollAbort.signal.aborted) return 0;
      throw error;
    }
    this.board.connection("connected");
    this.#obey(answer.directives);
    if (answer.job) await this.#accept(answer.job);
    // A broker that asks for a pause is going away, and the one that comes back does not know us.
    if (answer.pauseMs > 0) this.#helloDue = true;
    return answer.pauseMs / 1000;
  }

  /** @param {HandedJob} handed */
  async #accept(handed) {
    const images = handed.job_type === "chat" ? imagesOfChat(handed.request) : (handed.images ?? (handed.image ? [handed.image] : []));
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

  /** @param {Work} work @param {BrokerClient} broker @param {import("../page/locate.js").Pack} pack */
  async #do(work, broker, pack) {
    const { pages, board } = this;
    const { beatSeconds } = this.#timers;
    const obey = (/** @type {string[]} */ directives) => this.#obey(directives);
    const end = await new JobRun({ broker, pages, pack, board, obey, beatSeconds }, work, this.#images).carryOut();
    this.#images = [];
    if (end.code && PAGE_STATES.has(end.code)) await this.#stand(end.code, end.detail ?? "", end.page ?? null, true);
    if (end.code && KIND_STATES.has(end.code)) await this.#makeWait(work.kind, end, pack.limits);
  }

  // How the page stands.

  #canWork() {
    return ["ready", "unknown", "page_stale"].includes(this.#standing.state);
  }

  /** @param {import("./pages.js").Page} page */
  async #greet(page) {
    page.tell({ do: "pack", pack: (await packInUse()).pack });
    this.start();
  }

  /** @param {import("./pages.js").Page} page @param {Record<string, any>} event */
  async #takeStanding(page, event) {
    const { state, detail, offered, quota } = event;
    const known = ["ready", "needs_login", "needs_human"].includes(state) ? state : "unknown";
    const isNews = JSON.stringify([offered, quota]) !== JSON.stringify([this.#seen.offered, this.#seen.quota]);
    if (isNews && JSON.stringify([offered, quota]).length < 20_000) {
      const withChoices = Object.keys(offered ?? {}).length > 0 ? offered : this.#seen.offered;
      this.#seen = { offered: withChoices, quota: quota ?? {} };
      this.#helloDue = true;
    }
    if (known !== "ready") this.#troubled.add(page.id);
    else if (!this.#mayClear(page.id)) return;
    if (known !== this.#standing.state) await this.#stand(known, String(detail ?? "").slice(0, 200), page.id, false);
  }

  /**
   * Whether a page that says `ready` is to be believed. A job found otherwise on it: then only another page, or the
   * same after it has shown the trouble itself. A missing element is cleared by the self-test alone.
   * @param {string} page
   */
  #mayClear(page) {
    const { isSticky, state, page: troubled } = this.#standing;
    if (!isSticky) return true;
    if (state === "selector_missing") return false;
    return page !== troubled || this.#troubled.has(page);
  }

  /** @param {string} state @param {string} detail @param {string | null} page @param {boolean} isSticky */
  async #stand(state, detail, page, isSticky) {
    this.#standing = { state, detail, at: Date.now(), page, isSticky };
    await session.saveStanding(this.#standing);
    this.board.show({ page: { state, detail, at: this.#standing.at } });
    this.stir();
  }

  /** Waits for the cause to go away, and looks from time to time whether it has. @param {import("../page/locate.js").Pack} pack */
  async #troubledRound(pack) {
    const before = this.#standing;
    const ticks = setInterval(() => this.pages.all().forEach((page) => page.tell({ do: "tick" })), TICK_MS);
    await this.#rest(pack.limits.recheck_seconds);
    clearInterval(ticks);
    // The broker forgets who says nothing, and its operator should see what this worker waits for.
    this.#helloDue = true;
    if (this.#standing !== before || (await session.loadWork()) !== null) return 0;
    if (before.state === "selector_missing") await this.selfTest();
    // A human check, or a sign-in under way, is the person's: nothing of ours reloads it.
    else if (before.state === "needs_login" && (await this.#isAtSite())) await load(pack.addresses.chat);
    return 0;
  }

  async #isAtSite() {
    return this.pages.inTab(await workerTab()).length > 0;
  }

  /** @param {Kind} kind @param {import("./job_run.js").End} end @param {Record<string, number>} limits */
  async #makeWait(kind, end, limits) {
    const given = end.code === "paywalled" ? limits.paywall_seconds : limits.rate_limit_seconds;
    const until = Date.now() + 1000 * (end.retryAfter ?? given);
    const waits = await session.loadWaits();
    await session.saveWaits({ ...waits, [kind]: { until, state: String(end.code), detail: end.detail ?? "" } });
    this.#helloDue = true;
  }

  /** Kinds that are switched on and need not wait. A wait that is over is forgotten, and the broker told. @param {Settings} settings */
  async #openKinds(settings) {
    const waits = await session.loadWaits();
    const over = KINDS.filter((kind) => (waits[kind]?.until ?? Infinity) <= Date.now());
    if (over.length > 0) {
      for (const kind of over) delete waits[kind];
      await session.saveWaits(waits);
      this.stir();
    }
    return KINDS.filter((kind) => settings.kinds[kind] && !waits[kind]);
  }

  // What the broker is told, and what it asks.

  /** @param {BrokerClient} broker @param {Settings} settings @param {string} packVersion @param {Work | null} work */
  async #hello(broker, settings, packVersion, work) {
    this.#helloDue = false;
    try {
      const { state, detail } = this.#standing;
      const welcome = await broker.hello({
        name: settings.name,
        version: chrome.runtime.getManifest().version,
        kinds: await this.#openKinds(settings),
        slots: 1,
        page_state: this.#canWork() ? "ready" : state,
        page_detail: detail.slice(0, 300),
        capabilities: this.#seen.offered,
        quota: this.#seen.quota,
        pack_version: packVersion,
        held: work ? [{ job_id: work.id, lease_token: work.token }] : [],
      });
      this.board.connection("connected");
      this.#timers = { pollWaitSeconds: welcome.poll_wait_seconds ?? 20, beatSeconds: welcome.beat_seconds ?? 20 };
      this.#obey(welcome.directives ?? []);
      if (welcome.pack_version && welcome.pack_version !== packVersion) await this.updatePack(broker);
    } catch (error) {
      this.#helloDue = true;
      throw error;
    }
  }

  /** @param {string[]} directives */
  #obey(directives) {
    for (const directive of directives) {
      if (directive === "pause" || directive === "drain") void this.pause("broker");
      else if (directive === "resume") void this.resume();
      else if (directive === "refresh_capabilities") this.#helloDue = true;
      else if (directive === "self_test") this.#testDue = true;
      else if (directive === "reload_page") void this.#reload();
      else if (directive === "update_pack") void this.updatePack().catch(() => {});
    }
  }

  async #reload() {
    const tab = await workerTab();
    if (tab !== null && (await session.loadWork()) === null) await chrome.tabs.reload(tab);
  }

  /** Fetches the broker's page pack; a newer one that is sound is used from now on. @param {BrokerClient} [broker] */
  async updatePack(broker) {
    const from = broker ?? new BrokerClient((await session.loadSettings()).brokerUrl, await session.workerId());
    const given = await from.pack();
    const wrong = given === null ? "The broker has no page pack." : await takePack(given);
    if (wrong !== null) return void console.warn(`The page pack of the broker is not used: ${wrong}`);
    const { pack } = await packInUse();
    for (const page of this.pages.all()) page.tell({ do: "pack", pack });
    if (this.#standing.state === "selector_missing") this.#testDue = true;
    this.stir();
  }

  /** @param {"person" | "broker"} by */
  async pause(by) {
    await session.savePausedBy(by);
    this.stir();
  }

  async resume() {
    await session.savePausedBy(null);
    this.stir();
  }

  /** Still heard of by the broker, so that it can say `resume`. @param {BrokerClient} broker @param {Settings} settings @param {string} packVersion */
  async #pausedRound(broker, settings, packVersion) {
    await this.#rest(SILENCE_SECONDS);
    if ((await session.loadPausedBy()) === "broker") await this.#hello(broker, settings, packVersion, null);
    return 0;
  }

  /** Walks the page pack; submits nothing. @returns {Promise<{ok: boolean, missing: string[], detail: string}>} */
  async selfTest() {
    this.#testDue = false;
    if (await session.loadWork()) return { ok: false, missing: [], detail: "A job is under way." };
    const { pack } = await packInUse();
    const findings = await walkPack(this.pages, pack);
    this.#missing = findings.missing;
    if (findings.missing.length > 0) {
      await this.#stand("selector_missing", findings.missing.join(", "), null, true);
    } else if (findings.ok && this.#standing.state === "selector_missing") {
      await this.#stand("ready", "", null, false);
    }
    return findings;
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
    else if (error instanceof BrokerRefusal) this.board.connection("refused", error.message);
    else console.error(error);
    return backoff(++this.#failures);
  }

  /** @param {Settings} settings @param {string} version @param {"bundled" | "broker"} source */
  async #show(settings, version, source) {
    const waits = await session.loadWaits();
    const kindOf = (/** @type {Kind} */ kind) => {
      const wait = waits[kind];
      const note = wait ? `${wait.state}: ${wait.detail}`.slice(0, 200) : "";
      return { enabled: settings.kinds[kind], waitsUntil: wait?.until ?? null, note };
    };
    const kinds = /** @type {any} */ (Object.fromEntries(KINDS.map((kind) => [kind, kindOf(kind)])));
    const { state, detail, at } = this.#standing;
    const pack = { version, source, missing: this.#missing };
    this.board.show({ kinds, pack, page: { state, detail, at }, pausedBy: await session.loadPausedBy() });
  }
}

/** The images of a chat request, as base64. @param {Record<string, any> | null} request @returns {string[]} */
function imagesOfChat(request) {
  const parts = (request?.messages ?? []).flatMap((/** @type {any} */ message) =>
    Array.isArray(message?.content) ? message.content : [],
  );
  return parts
    .map((/** @type {any} */ part) => String(part?.image_url?.url ?? part?.image_url ?? ""))
    .filter((/** @type {string} */ url) => url.startsWith("data:"))
    .map((/** @type {string} */ url) => url.slice(url.indexOf(",") + 1));
}
