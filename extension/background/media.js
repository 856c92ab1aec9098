// A finished film or picture, from the site's own servers into a Blob. Only https, only hosts on the list, no
// redirects: the page names the address, and the page is not trusted.

import { PageTrouble } from "../shared/troubles.js";

/** @typedef {import("../page/locate.js").Pack} Pack */
/** @typedef {import("./pages.js").Page} Page */

/** Fewer bytes than this are no film and no picture. */
const FEWEST_BYTES = 512;
/** After so many refusals the page is asked to fetch it. */
const REFUSALS_OF_ONES_OWN = 3;

/** Bytes 0 to 12 of what is accepted. */
const SIGNATURES = {
  video: [(/** @type {string} */ head) => head.slice(4, 8) === "ftyp"],
  image: [
    (/** @type {string} */ head) => head.startsWith("\x89PNG\r\n\x1a\n"),
    (/** @type {string} */ head) => head.startsWith("\xff\xd8\xff"),
    (/** @type {string} */ head) => head.startsWith("RIFF") && head.slice(8, 12) === "WEBP",
  ],
};

/**
 * Throws `result_rejected` for an address that is not the site's own media.
 * @param {string} address @param {Pack} pack
 */
export function refuseForeign(address, pack) {
  const url = URL.canParse(address) ? new URL(address) : null;
  const isListed = url?.protocol === "https:" && url.port === "" && pack.media.hosts.includes(url.hostname);
  if (!isListed || url.username) {
    const place = url ? `${url.protocol}//${url.host}` : "no address";
    throw new PageTrouble("result_rejected", `The page named a result at ${place}, which is none of the site's media hosts.`);
  }
}

/**
 * The file at one of the site's addresses. Throws `result_rejected` for what is no such file, `download_failed` when
 * it could not be had in several tries.
 * @param {string} address @param {"video" | "image"} family @param {Pack} pack
 * @param {{pause: (ms: number) => Promise<void>, viaPage: (address: string) => Promise<Blob>}} ways
 * @returns {Promise<Blob>}
 */
export async function download(address, family, pack, { pause, viaPage }) {
  refuseForeign(address, pack);
  let why = "";
  for (let tries = 1; tries <= pack.limits.download_tries; tries++) {
    try {
      const blob = tries > REFUSALS_OF_ONES_OWN ? await viaPage(address) : await fetchOnce(address);
      await refuseUnlike(blob, family);
      return blob;
    } catch (error) {
      if (error instanceof PageTrouble) throw error;
      why = error instanceof Error ? error.message : String(error);
    }
    await pause(pack.limits.download_pause_seconds * 1000 * Math.min(8, 2 ** (tries - 1)));
  }
  throw new PageTrouble("download_failed", `The result could not be fetched: ${why}`);
}

/** @param {string} address */
async function fetchOnce(address) {
  // A redirect could lead to this machine or the person's network, with rights that the page does not have.
  const answer = await fetch(address, { credentials: "include", redirect: "error", cache: "no-store" });
  if (!answer.ok) throw new Error(`the site answered ${answer.status}.`);
  return answer.blob();
}

/** Throws `result_rejected` for an empty file, or one of another kind. @param {Blob} blob @param {"video" | "image"} family */
export async function refuseUnlike(blob, family) {
  const bytes = new Uint8Array(await blob.slice(0, 12).arrayBuffer());
  const head = String.fromCharCode(...bytes);
  if (blob.size < FEWEST_BYTES) throw new PageTrouble("result_rejected", `The file has ${blob.size} bytes.`);
  if (!SIGNATURES[family].some((fits) => fits(head))) {
    throw new PageTrouble("result_rejected", `The file at the result's address is no ${family}.`);
  }
}

/**
 * The file as the page itself can fetch it, put together from pieces. Nobody else listens to the page meanwhile.
 * @param {Page} page @param {string} address
 * @returns {Promise<Blob>}
 */
export function downloadThrough(page, address) {
  const ask = crypto.randomUUID();
  /** @type {Blob[]} */
  const pieces = [];
  const whole = new Promise((resolve, reject) => {
    page.onGone = () => reject(new Error("the page went away."));
    page.listen((event) => {
      if (event.event !== "piece" || event.ask !== ask) return;
      if (event.failed) return reject(new Error(String(event.failed)));
      if (event.done) return resolve(new Blob(pieces, { type: String(event.type) }));
      const bytes = Uint8Array.from(atob(String(event.base64)), (char) => char.charCodeAt(0));
      pieces.push(new Blob([bytes]));
      page.tell({ do: "more", ask });
    });
  });
  page.tell({ do: "fetch_media", address, ask });
  return whole.finally(() => {
    page.listen(null);
    page.onGone = () => {};
  });
}
