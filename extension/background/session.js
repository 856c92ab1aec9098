// What must outlive the service worker, which the browser may end at any moment: written before the act it records.
// The job at hand and the tab live as long as the browser; who we are, and what the person chose, longer.

import { readSettings } from "../shared/settings.js";

/** @typedef {import("../shared/settings.js").Kind} Kind */
/**
 * The job at hand. `permitted`: the page has been, or is about to be, told to press submit; from then on nothing
 * submits this job again.
 * @typedef {object} Work
 * @property {string} id
 * @property {Kind} kind
 * @property {"submit" | "recover"} action
 * @property {number} attempt
 * @property {string} token
 * @property {string} prompt
 * @property {number} imageCount
 * @property {Record<string, any>} options
 * @property {Record<string, any>} evidence
 * @property {string} phase
 * @property {number} progress
 * @property {boolean} permitted
 * @property {string[] | null} media
 * @property {{seq: number, text: number, reasoning: number}} already  what the broker has of a streamed answer
 * @property {number} starts  how often a page was set to it before submit
 * @property {number} since  ms
 */
/** @typedef {{id: string, kind: Kind, outcome: string, code: string | null, detail: string | null,
 *   startedAt: number, endedAt: number}} HistoryEntry */
/** @typedef {{state: string, detail: string, at: number, page: string | null, isSticky: boolean}} Standing */
/** @typedef {{until: number, state: string, detail: string}} KindWait */
/**
 * A pairing that waits for the broker's owner; without an id, the broker has not answered yet. `until` is in ms.
 * @typedef {{url: string, nonce: string, name: string, id: string, code: string, words: string[], until: number}} PairingAsked
 */

const HISTORY = 10;

/** Content scripts may read neither of the two: the worker's key and the lease token are in there. */
export async function closeToPages() {
  await chrome.storage.local.setAccessLevel({ accessLevel: "TRUSTED_CONTEXTS" });
  await chrome.storage.session.setAccessLevel({ accessLevel: "TRUSTED_CONTEXTS" });
}

/** @param {string} key */
async function getSession(key) {
  return (await chrome.storage.session.get(key))[key];
}

/** @param {string} key */
async function getLocal(key) {
  return (await chrome.storage.local.get(key))[key];
}

/** @returns {Promise<Work | null>} */
export async function loadWork() {
  return /** @type {Work | undefined} */ (await getSession("work")) ?? null;
}

/** @param {Work | null} work */
export async function saveWork(work) {
  if (work) await chrome.storage.session.set({ work });
  else await chrome.storage.session.remove("work");
}

/** @returns {Promise<number | null>} */
export async function loadTab() {
  return /** @type {number | undefined} */ (await getSession("tab")) ?? null;
}

/** @param {number} tab */
export async function saveTab(tab) {
  await chrome.storage.session.set({ tab });
}

/** @returns {Promise<Standing | null>} */
export async function loadStanding() {
  return /** @type {Standing | undefined} */ (await getSession("standing")) ?? null;
}

/** @param {Standing} standing */
export async function saveStanding(standing) {
  await chrome.storage.session.set({ standing });
}

/** @returns {Promise<Partial<Record<Kind, KindWait>>>} */
export async function loadWaits() {
  return /** @type {any} */ (await getSession("waits")) ?? {};
}

/** @param {Partial<Record<Kind, KindWait>>} waits */
export async function saveWaits(waits) {
  await chrome.storage.session.set({ waits });
}

/** Who this browser is to the broker: made once, kept for good. @returns {Promise<string>} */
export async function workerId() {
  const known = await getLocal("workerId");
  if (typeof known === "string") return known;
  const made = `chrome-${crypto.randomUUID().slice(0, 13)}`;
  await chrome.storage.local.set({ workerId: made });
  return made;
}

export async function loadSettings() {
  return readSettings(await getLocal("settings"));
}

/** Whether the person has paused the worker; kept through restarts of the browser. */
export async function loadIsPaused() {
  return (await getLocal("isPaused")) === true;
}

/** @param {boolean} isPaused */
export async function saveIsPaused(isPaused) {
  await chrome.storage.local.set({ isPaused });
}

/** The key that the broker at this address gave; another broker's is not told. @param {string} url @returns {Promise<string | null>} */
export async function loadKey(url) {
  const kept = /** @type {{url: string, key: string} | undefined} */ (await getLocal("workerKey"));
  return kept?.url === url ? kept.key : null;
}

/** @param {{url: string, key: string} | null} workerKey */
export async function saveKey(workerKey) {
  // Whatever else went wrong at the start: first closed, then filled.
  await closeToPages();
  if (workerKey) await chrome.storage.local.set({ workerKey });
  else await chrome.storage.local.remove("workerKey");
}

/** @returns {Promise<PairingAsked | null>} */
export async function loadPairing() {
  return /** @type {PairingAsked | undefined} */ (await getSession("pairing")) ?? null;
}

/** @param {PairingAsked | null} pairing */
export async function savePairing(pairing) {
  if (pairing) await chrome.storage.session.set({ pairing });
  else await chrome.storage.session.remove("pairing");
}

/** The last page pack that the broker gave, unchecked. @returns {Promise<unknown>} */
export async function loadGivenPack() {
  return (await getLocal("pack")) ?? null;
}

/** @param {unknown} pack */
export async function saveGivenPack(pack) {
  await chrome.storage.local.set({ pack });
}

/** Posts of earlier jobs, newest first: none of them is the result of a later one. @returns {Promise<string[]>} */
export async function loadPosts() {
  const posts = await getLocal("posts");
  return Array.isArray(posts) ? posts : [];
}

/** @param {string} post */
export async function rememberPost(post) {
  const known = await loadPosts();
  if (!known.includes(post)) await chrome.storage.local.set({ posts: [post, ...known].slice(0, 200) });
}

/** @param {HistoryEntry} entry */
export async function remember(entry) {
  const known = await getLocal("history");
  const history = [entry, ...(Array.isArray(known) ? known : [])].slice(0, HISTORY);
  await chrome.storage.local.set({ history });
}
