// How long to wait before the next try.

/**
 * The pause before try number `tries` (from 1): doubles from `first` up to `most`, in milliseconds.
 * @param {number} tries
 * @param {{first?: number, most?: number}} [bounds]
 */
export function backoff(tries, { first = 1000, most = 15000 } = {}) {
  return Math.min(most, first * 2 ** Math.max(0, tries - 1));
}

/** @param {number} ms @returns {Promise<void>} */
export const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
