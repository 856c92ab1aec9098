// How the page stands: whether a job can be done on it at all, and what it says in toasts and dialogs. Only those
// places are read for phrases: a prompt or a side-bar title may hold any word.

import { PageTrouble } from "../shared/troubles.js";
import { nameOf } from "./locate.js";

/** @typedef {import("./locate.js").Locator} Locator */
/** @typedef {import("./traffic.js").Exchange} Exchange */
/** @typedef {{state: string, detail: string}} Standing */

/**
 * The state of the page before any job: `ready`, `needs_login` or `needs_human`.
 * @param {Locator} locator
 * @returns {Standing}
 */
export function inspect(locator) {
  const { document } = locator;
  if (locator.says("challenge", document.title) || locator.one("state.challenge")) {
    return { state: "needs_human", detail: "The site asks for a human check." };
  }
  if (locator.one("state.age_dialog")) {
    return { state: "needs_human", detail: "The site asks for an age." };
  }
  if (locator.one("state.cookie_banner")) {
    return { state: "needs_human", detail: "The site asks about cookies." };
  }
  if (locator.one("state.login")) {
    return { state: "needs_login", detail: "Nobody is signed in." };
  }
  return { state: "ready", detail: "" };
}

/** Throws what keeps a job from being begun. @param {Locator} locator */
export function refuseUnlessReady(locator) {
  const { state, detail } = inspect(locator);
  if (state !== "ready") throw new PageTrouble(state, detail);
}

/** Notices that are on the page now; those are not about a job that is still to come. @param {Locator} locator */
export function noticesOf(locator) {
  const shown = [...locator.all("state.toast"), ...locator.all("state.dialog")].map(notice);
  return new Set([...shown, locator.document.location.hash]);
}

/** @param {Element} element */
const notice = (element) => `${element.getAttribute("data-sonner-toast") ?? ""} ${(element.textContent ?? "").trim()}`;

/**
 * Throws what the page or its traffic says went wrong with the job since `known` was taken.
 * @param {Locator} locator @param {Exchange | null} exchange @param {Set<string>} known
 */
export function refuseTrouble(locator, exchange, known) {
  if (exchange) refuseExchange(locator, exchange);
  if (locator.document.location.hash === "#subscribe" && !known.has("#subscribe")) throw paywalled("#subscribe");
  for (const element of [...locator.all("state.toast"), ...locator.all("state.dialog")]) {
    if (!known.has(notice(element))) refuseNotice(locator, nameOf(element) + " " + (element.textContent ?? ""));
  }
  const standing = inspect(locator);
  if (standing.state === "needs_human") throw new PageTrouble(standing.state, standing.detail);
}

/** @param {Locator} locator @param {string} words */
function refuseNotice(locator, words) {
  const detail = words.replace(/\s+/g, " ").trim().slice(0, 200);
  if (locator.says("moderated", words)) throw new PageTrouble("moderated", detail);
  if (locator.says("rate_limit", words)) {
    throw new PageTrouble("rate_limited", detail, { retryAfter: secondsIn(locator, words) });
  }
  if (locator.says("paywall", words)) throw paywalled(detail);
  if (locator.says("stale", words)) throw new PageTrouble("page_stale", detail);
  if (locator.says("failed", words)) throw new PageTrouble("generation_failed", detail);
}

/** @param {string} detail */
const paywalled = (detail) => new PageTrouble("paywalled", detail);

/**
 * Throws what the site answered instead of doing it.
 * @param {Locator} locator @param {Exchange} exchange
 */
function refuseExchange(locator, exchange) {
  const { status, error } = exchange;
  const isRefused = status >= 400;
  // The answer's words come behind its status.
  if (isRefused && exchange.end === "open" && !error) return;
  if (!isRefused && !error) return;
  const code = Number(error?.code) || 0;
  const detail = (error?.message || `The site answered ${status}.`).slice(0, 200);
  if (status === 401 || code === 16) throw new PageTrouble("needs_login", detail);
  if (status === 402 || locator.says("paywall", detail)) throw paywalled(detail);
  if (status === 429 || code === 8 || locator.says("rate_limit", detail)) {
    throw new PageTrouble("rate_limited", detail, { retryAfter: waitOf(locator, exchange, detail) });
  }
  if (locator.says("stale", detail)) throw new PageTrouble("page_stale", detail);
  if (status === 403 || code === 7) throw new PageTrouble("needs_human", detail);
  if (locator.says("moderated", detail)) throw new PageTrouble("moderated", detail);
  if (status >= 500) throw new PageTrouble("site_down", detail);
  if (isRefused) throw new PageTrouble("bad_input", detail);
  throw new PageTrouble(exchange.hasAnswer ? "incomplete" : "generation_failed", detail);
}

/** Seconds until the limit ends: from the error, the header, or the words. */
function waitOf(/** @type {Locator} */ locator, /** @type {Exchange} */ exchange, /** @type {string} */ words) {
  const at = exchange.error?.availableAt;
  if (at) return Math.max(1, at - Date.now() / 1000);
  if (exchange.retryAfter) return exchange.retryAfter;
  const toasts = locator.all("state.toast").map((toast) => toast.textContent ?? "");
  return secondsIn(locator, [words, ...toasts].join(" "));
}

const UNITS = { unit_seconds: 1, unit_minutes: 60, unit_hours: 3600 };

/** A span told in words, `try again in 42 minutes`, as seconds; null where there is none. */
function secondsIn(/** @type {Locator} */ locator, /** @type {string} */ words) {
  let seconds = 0;
  for (const [, number, unit] of words.toLowerCase().matchAll(/(\d{1,5})\s*(\p{L}+)/gu)) {
    for (const [name, factor] of Object.entries(UNITS)) {
      if (locator.phrases(name).some((spelling) => unit === spelling)) seconds += Number(number) * factor;
    }
  }
  return seconds || null;
}
