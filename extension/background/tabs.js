// The worker's own tab: in a window of its own that never takes the focus, so that the person's tabs stay as they are
// and the page is not throttled as a hidden tab would be.

import { loadTab, saveTab } from "./session.js";

/** The worker's tab, if there is one. @returns {Promise<number | null>} */
export async function workerTab() {
  const tab = await loadTab();
  if (tab === null) return null;
  return chrome.tabs.get(tab).then(
    () => tab,
    () => null,
  );
}

/**
 * Loads an address afresh in the worker's tab; opens the tab where there is none.
 * @param {string} address @returns {Promise<number>} the tab
 */
export async function load(address) {
  const known = await workerTab();
  if (known !== null) {
    const tab = await chrome.tabs.get(known);
    // The same address is no navigation for a page that handles its own addresses.
    if (tab.url === address) await chrome.tabs.reload(known);
    else await chrome.tabs.update(known, { url: address });
    return known;
  }
  const opened = await chrome.windows.create({ url: address, focused: false, type: "normal", width: 1100, height: 860 });
  const tab = /** @type {number} */ (opened?.tabs?.[0]?.id);
  await saveTab(tab);
  // A film that plays there by itself should not be heard.
  await chrome.tabs.update(tab, { autoDiscardable: false, muted: true });
  return tab;
}

/** Shows the person the worker's tab, for what only a person can do. @param {string} address */
export async function show(address) {
  const tab = (await workerTab()) ?? (await load(address));
  const { windowId } = await chrome.tabs.update(tab, { active: true }) ?? {};
  if (windowId !== undefined) await chrome.windows.update(windowId, { focused: true });
}

/**
 * Whether the worker's tab may be loaded again without taking anything from the person: it shows the site, and nobody
 * is looking at it.
 * @param {import("./pages.js").Pages} pages
 */
export async function isFreeToReload(pages) {
  const tab = await workerTab();
  if (tab === null || pages.inTab(tab).length === 0) return false;
  const { active, windowId } = await chrome.tabs.get(tab);
  return !active || !(await chrome.windows.get(windowId)).focused;
}
