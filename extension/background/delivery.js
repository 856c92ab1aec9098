// From the address of a result to the broker's hands: fetched by the service worker, else through the page, then sent.

import { pause } from "../shared/backoff.js";
import { download, downloadThrough } from "./media.js";
import { workerTab } from "./tabs.js";

/** @typedef {import("../shared/settings.js").Kind} Kind */

/**
 * Every file of a result, in order. Throws `PageTrouble`, see `media.js`.
 * @param {Kind} kind @param {string[]} addresses
 * @param {import("../page/locate.js").Pack} pack @param {import("./pages.js").Pages} pages
 * @returns {Promise<Blob[]>}
 */
export async function fetchResult(kind, addresses, pack, pages) {
  const family = kind === "video" ? "video" : "image";
  const ways = { pause, viaPage: (/** @type {string} */ address) => viaPage(pages, address) };
  /** @type {Blob[]} */
  const files = [];
  for (const address of addresses) files.push(await download(address, family, pack, ways));
  return files;
}

/**
 * @param {import("./broker.js").BrokerClient} broker @param {import("./broker.js").Lease} lease
 * @param {Kind} kind @param {Blob[]} files
 */
export async function handIn(broker, lease, kind, files) {
  if (kind === "video") await broker.putFilm(lease, files[0]);
  else await broker.postPictures(lease, files);
}

/** @param {import("./pages.js").Pages} pages @param {string} address */
async function viaPage(pages, address) {
  const [page] = pages.inTab(await workerTab());
  if (!page) throw new Error("there is no page to fetch it through.");
  return downloadThrough(page, address);
}
