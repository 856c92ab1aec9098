// How the site's page stands: what the pages tell of themselves, what a job found on one, and which of the two counts.

import { loadStanding, saveStanding } from "./session.js";

/** @typedef {import("./session.js").Standing} Standing */
/** @typedef {import("./pages.js").Page} Page */

/** What a page may say of itself; the rest is found by jobs and by the self-test. */
const TOLD = ["ready", "needs_login", "needs_human"];
/** Of what it offers. */
const OFFERED = ["durations", "resolutions", "aspects", "max_images"];
/** Longest that a page may tell of its options and limits, in characters. */
const MOST_CHARS = 20_000;

export class StandingKeeper {
  /** @type {Standing} */
  now = { state: "unknown", detail: "", at: 0, page: null, isSticky: false };
  /** What the site told the page of its limits. @type {Record<string, any>} */
  quota = {};
  /** What the pages offer to choose from. @type {Record<string, any>} */
  #offered = {};
  /** Pages that stood otherwise than ready since they were loaded. @type {Set<string>} */
  #troubled = new Set();

  async load() {
    this.now = (await loadStanding()) ?? this.now;
  }

  /** Whether a job may be taken. A stale page is loaded anew with the next one. */
  get canWork() {
    return ["ready", "unknown", "page_stale"].includes(this.now.state);
  }

  /** What can be asked of this worker: nothing but new films, and what the pages offer for them. */
  get capabilities() {
    return { operations: [], ...this.#offered };
  }

  get shown() {
    const { state, detail, at } = this.now;
    return { state, detail, at };
  }

  /**
   * A page tells how it stands. Returns whether that changes what can be done, and whether it is news at all.
   * @param {Page} page @param {Record<string, any>} event @returns {Promise<[boolean, boolean]>}
   */
  async hear(page, event) {
    const state = TOLD.includes(event.state) ? event.state : "unknown";
    const isNews = this.#note(event.offered ?? {}, event.quota ?? {});
    if (state !== "ready") this.#troubled.add(page.id);
    else if (!this.#mayClear(page.id)) return [false, isNews];
    if (state === this.now.state) return [false, isNews];
    await this.#set({ state, detail: String(event.detail ?? "").slice(0, 200), page: page.id, isSticky: false });
    return [true, true];
  }

  /** A job found the page so. @param {string} state @param {string} detail @param {string | null} page */
  async find(state, detail, page) {
    await this.#set({ state, detail, page, isSticky: true });
  }

  /** What the self-test found. @param {import("./self_test.js").Findings} findings */
  async judge({ ok, missing }) {
    if (missing.length > 0) await this.find("selector_missing", missing.join(", "), null);
    else if (ok && this.now.state === "selector_missing") {
      await this.#set({ state: "ready", detail: "", page: null, isSticky: false });
    }
  }

  /**
   * One page shows what another does not, so each word stays until it is told anew.
   * @param {Record<string, any>} offered @param {Record<string, any>} quota
   */
  #note(offered, quota) {
    const known = Object.fromEntries(Object.entries(offered).filter(([word]) => OFFERED.includes(word)));
    const before = JSON.stringify([this.#offered, this.quota]);
    const all = [{ ...this.#offered, ...known }, { ...this.quota, ...quota }];
    const told = JSON.stringify(all);
    if (told.length > MOST_CHARS || told === before) return false;
    [this.#offered, this.quota] = all;
    return true;
  }

  /**
   * Whether a page that says `ready` is to be believed. A job found otherwise on it: then only another page, or the
   * same after it has shown the trouble itself. A missing element is cleared by the self-test alone.
   * @param {string} page
   */
  #mayClear(page) {
    const { isSticky, state, page: troubled } = this.now;
    if (!isSticky) return true;
    if (state === "selector_missing") return false;
    return page !== troubled || this.#troubled.has(page);
  }

  /** @param {Omit<Standing, "at">} standing */
  async #set(standing) {
    this.now = { ...standing, at: Date.now() };
    await saveStanding(this.now);
  }
}
