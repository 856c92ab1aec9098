// The page's clock: it stands still while the machine sleeps, for then the site gets no time to do anything either.

/** While a job runs the background ticks every second. More between two looks, and nobody was awake in between. */
const MOST_BETWEEN_MS = 5000;

let lookedAt = Date.now();
let awake = 0;

/** Milliseconds; only the difference of two means something. */
export function awakeMs() {
  const now = Date.now();
  awake += Math.min(Math.max(now - lookedAt, 0), MOST_BETWEEN_MS);
  lookedAt = now;
  return awake;
}
