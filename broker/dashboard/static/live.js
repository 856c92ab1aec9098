/**
 * Does something again and again while a view is on, and shows in the bar whether the broker answers.
 * A hidden page asks nothing.
 */

import { byId } from "./dom.js";

const PAUSE_MILLISECONDS = 2000;

/**
 * Runs `work` now and every two seconds, one run at a time, until the signal.
 * @param {() => Promise<void>} work
 * @param {AbortSignal} signal
 * @returns {() => void} runs it at once, without waiting for the pause to end
 */
export function keepFresh(work, signal) {
  let wake = () => {};
  const loop = async () => {
    while (!signal.aborted) {
      await attempt(work, signal);
      await new Promise((resolve) => {
        wake = () => resolve(undefined);
        pause(wake, signal);
      });
    }
  };
  loop();
  return () => wake();
}

/**
 * @param {() => Promise<void>} work
 * @param {AbortSignal} signal
 */
async function attempt(work, signal) {
  try {
    await work();
    if (!signal.aborted) tell("live", "is-live");
  } catch (error) {
    if (!signal.aborted) tell(error instanceof Error ? error.message : String(error), "is-down");
  }
}

/**
 * @param {() => void} wake
 * @param {AbortSignal} signal
 */
function pause(wake, signal) {
  signal.addEventListener("abort", wake, { once: true });
  if (!document.hidden) setTimeout(wake, PAUSE_MILLISECONDS);
  else document.addEventListener("visibilitychange", wake, { once: true, signal });
}

/**
 * @param {string} text
 * @param {string} state
 */
function tell(text, state) {
  const line = byId("line");
  if (line.textContent !== text) line.textContent = text;
  line.className = `line ${state}`;
}
