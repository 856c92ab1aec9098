// Walks the page pack on the page as it is and names what is missing. Types a word to see submit appear, and takes it
// out again; submits nothing.

import { clear, read, write } from "./composer.js";
import { isDisabled } from "./context.js";
import { inspect } from "./inspect.js";

const PROBE = "self-test";

/** @typedef {{missing: string[], detail: string}} Findings */
/** @typedef {(look: () => any) => Promise<any>} Wait  null when the time is over */

/**
 * @param {import("./locate.js").Locator} locator
 * @param {import("./watch.js").Watch} watch
 * @param {"chat" | "imagine"} place
 * @returns {Promise<Findings>}
 */
export async function selfTest(locator, watch, place) {
  const seconds = locator.limit("element_seconds");
  const signal = new AbortController().signal;
  const wait = (/** @type {() => any} */ look) =>
    watch.until(look, { seconds, signal, trouble: () => new Error("late") }).catch(() => null);

  await wait(() => locator.one(`${place}.editor`) ?? inspect(locator).state !== "ready");
  const { state, detail } = inspect(locator);
  if (state !== "ready") return { missing: [], detail };

  const wanted = Object.entries(locator.pack.purposes).filter(([, purpose]) => purpose.self_test === place);
  const missing = (/** @type {boolean} */ isTyped) =>
    wanted
      .filter(([, purpose]) => Boolean(purpose.after_typing) === isTyped)
      .filter(([name, purpose]) => !locator.one(name) && !(purpose.or_else && locator.one(purpose.or_else)))
      .map(([name]) => name);
  const before = missing(false);
  return { missing: [...before, ...(await typed(locator, place, wait, () => missing(true)))], detail: "" };
}

/**
 * What `look` finds while a word stands in the editor. What a person has begun to write there is left alone.
 * @param {import("./locate.js").Locator} locator @param {string} place @param {Wait} wait
 * @param {() => string[]} look
 */
async function typed(locator, place, wait, look) {
  const editor = locator.one(`${place}.editor`);
  if (!editor || !["", PROBE].includes(read(editor).trim())) return look();
  const settled = async (/** @type {() => boolean} */ is) => Boolean(await wait(is));
  try {
    await write(editor, PROBE, settled);
  } catch {
    return look();
  }
  await wait(() => locator.all(`${place}.submit`).some((button) => !isDisabled(button)));
  const found = look();
  await clear(editor, settled);
  return found;
}
