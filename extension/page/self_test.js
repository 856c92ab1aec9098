// Walks the page pack on the page as it is and names what is missing. Types a word to see submit appear, and takes it
// out again; submits nothing.

import { clear, write } from "./composer.js";
import { isDisabled } from "./context.js";
import { inspect } from "./inspect.js";

const PROBE = "self-test";

/** @typedef {{missing: string[], matched: Record<string, number>, detail: string}} Findings */

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
  const standing = inspect(locator);
  if (standing.state !== "ready") return { missing: [], matched: {}, detail: standing.detail };

  const wanted = Object.entries(locator.pack.purposes).filter(([, purpose]) => purpose.self_test === place);
  /** @type {Findings} */
  const findings = { missing: [], matched: {}, detail: "" };
  const note = (/** @type {string} */ name, /** @type {string | undefined} */ orElse) => {
    const rung = locator.rungOf(name);
    const other = orElse ? locator.rungOf(orElse) : -1;
    if (rung >= 0 || other >= 0) findings.matched[name] = rung >= 0 ? rung : other;
    else findings.missing.push(name);
  };
  for (const [name, purpose] of wanted) {
    if (!purpose.after_typing) note(name, purpose.or_else);
  }
  await typeAndLook(locator, place, wait, () => {
    for (const [name, purpose] of wanted) if (purpose.after_typing) note(name, purpose.or_else);
  });
  return findings;
}

/** @param {import("./locate.js").Locator} locator @param {string} place @param {(look: () => any) => Promise<any>} wait @param {() => void} look */
async function typeAndLook(locator, place, wait, look) {
  const editor = locator.one(`${place}.editor`);
  if (!editor) return look();
  const before = (editor.textContent ?? "").trim();
  // What a person has begun to write is left alone.
  if (before && before !== PROBE && !(editor instanceof HTMLTextAreaElement && editor.value === "")) return look();
  const settled = async (/** @type {() => boolean} */ is) => Boolean(await wait(is));
  try {
    await write(editor, PROBE, settled);
  } catch {
    return look();
  }
  await wait(() => locator.all(`${place}.submit`).some((button) => !isDisabled(button)));
  look();
  await clear(editor, settled);
}
