// Which page pack is in use: the one that came with the extension, or a newer one that the broker gave. Data either
// way, checked against the schema before anything reads it.

import { fault } from "../shared/schema.js";
import { loadGivenPack, saveGivenPack } from "./session.js";

/** @typedef {import("../page/locate.js").Pack} Pack */
/** @typedef {{pack: Pack, source: "bundled" | "broker"}} PackInUse */

/** @param {string} path @returns {Promise<any>} */
const bundled = async (path) => (await fetch(chrome.runtime.getURL(path))).json();

/** @returns {Promise<PackInUse>} */
export async function packInUse() {
  const own = /** @type {Pack} */ (await bundled("sites/grok.json"));
  const given = await loadGivenPack();
  if (given !== null && (await faultOf(given)) === null && isNewer(/** @type {Pack} */ (given).version, own.version)) {
    return { pack: /** @type {Pack} */ (given), source: "broker" };
  }
  return { pack: own, source: "bundled" };
}

/**
 * Keeps a sound pack that the broker gave; whether it is newer than our own is looked at when it is used. Returns what
 * was wrong with it, or null.
 * @param {unknown} given
 */
export async function takePack(given) {
  const wrong = await faultOf(given);
  if (wrong === null) await saveGivenPack(given);
  return wrong;
}

/** @param {unknown} pack @returns {Promise<string | null>} */
async function faultOf(pack) {
  return fault(await bundled("sites/site.schema.json"), pack);
}

/** Versions are dates with a number behind: 2026.11.1. @param {string} one @param {string} other */
export function isNewer(one, other) {
  const [first, second] = [one, other].map((version) => version.split(".").map(Number));
  for (const [index, number] of first.entries()) {
    if (number !== (second[index] ?? 0)) return number > (second[index] ?? 0);
  }
  return false;
}
