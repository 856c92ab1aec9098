/**
 * Turns figures and codes into words. Pure: no page, no fetch, no clock of its own.
 */

/** @param {number} seconds */
export function span(seconds) {
  if (!Number.isFinite(seconds)) return "";
  if (seconds < 60) return `${Math.max(0, Math.round(seconds))} s`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min ${Math.round(seconds % 60)} s`;
  if (seconds < 172800)
    return `${Math.floor(seconds / 3600)} h ${Math.floor((seconds % 3600) / 60)} min`;
  return `${Math.floor(seconds / 86400)} days`;
}

/**
 * How long ago a moment was.
 * @param {number} at Unix seconds
 * @param {number} now Unix seconds
 */
export function age(at, now) {
  const seconds = now - at;
  if (seconds < 2) return "just now";
  if (seconds < 60) return `${Math.round(seconds)} s ago`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min ago`;
  if (seconds < 172800) return `${Math.floor(seconds / 3600)} h ago`;
  return `${Math.floor(seconds / 86400)} days ago`;
}

/** A moment as the person's own clock shows it. @param {number} at Unix seconds */
export function moment(at) {
  return new Date(at * 1000).toLocaleString(undefined, {
    dateStyle: "medium",
    timeStyle: "medium",
  });
}

/** The time of day of a moment. @param {number} at Unix seconds */
export function clock(at) {
  return new Date(at * 1000).toLocaleTimeString(undefined, { timeStyle: "short" });
}

/** @param {number} bytes */
export function size(bytes) {
  if (bytes < 1000) return `${bytes} bytes`;
  if (bytes < 1e6) return `${(bytes / 1e3).toFixed(0)} kB`;
  if (bytes < 1e9) return `${(bytes / 1e6).toFixed(1)} MB`;
  return `${(bytes / 1e9).toFixed(2)} GB`;
}

/** @type {Record<string, string>} */
const REASONS = {
  worker: "waits for a worker",
  rate_limited: "waits until Grok's limit ends",
  recovering: "its result is being recovered",
  worker_lost: "its worker was lost; goes out again",
  not_logged_in: "nobody is signed in to Grok",
  challenge_required: "Grok asks for a human check",
  paywall: "this account does not offer that",
  ui_changed: "Grok's page has changed",
  page_stale: "Grok's page is loaded again",
  person_busy: "the person is using the tab",
  site_down: "Grok is not answering",
};

/** Why a job waits; a code that is new to this page is shown as it is. @param {string | null} code */
export function reason(code) {
  return code ? (REASONS[code] ?? words(code)) : "";
}

/** A code as words: "page_stale" becomes "page stale". @param {string} code */
export const words = (code) => code.replaceAll("_", " ");

/** The address of a film on this server, whatever name the broker gave it. @param {string} url */
export function ownPath(url) {
  const { pathname, search } = new URL(url, "http://here");
  return pathname + search;
}
