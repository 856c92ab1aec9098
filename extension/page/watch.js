// Waiting in the page without a clock: looks again whenever the page changes, its traffic brings something, or the
// background ticks. A hidden tab's timers come once a minute; changes and messages come at once.

import { PageTrouble } from "../shared/troubles.js";
import { awakeMs } from "./awake.js";

export class Watch {
  /** @type {Set<() => void>} */
  #lookers = new Set();
  #observer;
  #root;

  /** @param {Document} root */
  constructor(root) {
    this.#root = root;
    this.#observer = new MutationObserver(() => this.news());
  }

  /** Something may have changed: everybody who waits looks again. */
  news() {
    for (const look of [...this.#lookers]) look();
  }

  /**
   * The first truthy value that `look` returns. What `look` throws is thrown.
   * @template T
   * @param {() => T | null | undefined | false} look
   * @param {{seconds: number, signal: AbortSignal, trouble: () => Error}} options  `trouble` makes the error for when
   *   `seconds` have passed; they are counted when there is news, and ticks are news
   * @returns {Promise<T>}
   */
  until(look, { seconds, signal, trouble }) {
    const started = awakeMs();
    return new Promise((resolve, reject) => {
      const finish = (/** @type {() => void} */ deed) => {
        this.#forget(check);
        signal.removeEventListener("abort", check);
        deed();
      };
      const check = () => {
        try {
          if (signal.aborted) return finish(() => reject(signal.reason));
          const value = look();
          if (value) return finish(() => resolve(value));
          if (awakeMs() - started > seconds * 1000) return finish(() => reject(trouble()));
        } catch (error) {
          finish(() => reject(error));
        }
      };
      this.#add(check);
      signal.addEventListener("abort", check);
      check();
    });
  }

  /**
   * Calls `look` now and at all news until it returns true.
   * @param {() => boolean} look @param {AbortSignal} signal
   */
  async follow(look, signal) {
    await this.until(look, { seconds: Infinity, signal, trouble: () => new PageTrouble("unknown", "") });
  }

  #add(/** @type {() => void} */ look) {
    if (this.#lookers.size === 0) {
      const what = { subtree: true, childList: true, attributes: true, characterData: true };
      this.#observer.observe(this.#root, what);
    }
    this.#lookers.add(look);
  }

  #forget(/** @type {() => void} */ look) {
    this.#lookers.delete(look);
    if (this.#lookers.size === 0) this.#observer.disconnect();
  }
}
