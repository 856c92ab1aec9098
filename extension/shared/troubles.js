// What can go wrong on the page, as one kind of error with a name. The names are those of the worker protocol.

/**
 * Something on the page stands in the way of the job. `code` is the failure class that the broker is told.
 */
export class PageTrouble extends Error {
  /**
   * @param {string} code
   * @param {string} detail  for people
   * @param {{retryAfter?: number | null}} [more]  seconds until a limit ends, where the page tells
   */
  constructor(code, detail, { retryAfter = null } = {}) {
    super(detail);
    this.name = "PageTrouble";
    this.code = code;
    this.retryAfter = retryAfter;
  }
}

/** States in which the page can do no job at all, until somebody or something changes it. */
export const PAGE_STATES = new Set(["needs_login", "needs_human", "page_stale", "selector_missing"]);

/** States that end one kind of job for a while, and leave the others. */
export const KIND_STATES = new Set(["rate_limited", "paywalled"]);
