// The self-test over both pages of the site: loads each in the worker's tab, lets the page walk the pack, gathers what
// is missing.

import { load } from "./tabs.js";

/** @typedef {{ok: boolean, missing: string[], detail: string}} Findings */

const PLACES = /** @type {const} */ (["chat", "imagine"]);

/**
 * @param {import("./pages.js").Pages} pages @param {import("../page/locate.js").Pack} pack
 * @returns {Promise<Findings>}
 */
export async function walkPack(pages, pack) {
  const missing = [];
  const details = [];
  for (const place of PLACES) {
    const findings = await walkPlace(pages, pack, place);
    missing.push(...findings.missing);
    if (findings.detail) details.push(`${place}: ${findings.detail}`);
  }
  return { ok: missing.length === 0 && details.length === 0, missing, detail: details.join(" ") };
}

/**
 * @param {import("./pages.js").Pages} pages @param {import("../page/locate.js").Pack} pack @param {"chat" | "imagine"} place
 * @returns {Promise<{missing: string[], detail: string}>}
 */
async function walkPlace(pages, pack, place) {
  const known = new Set(pages.all().map((page) => page.id));
  const tab = await load(pack.addresses[place]);
  const page = await pages.waitFor(tab, (found) => !known.has(found.id), pack.limits.page_seconds);
  if (!page) return { missing: [], detail: "The page did not load." };
  const ask = crypto.randomUUID();
  const ticks = setInterval(() => page.tell({ do: "tick" }), 1000);
  const answer = new Promise((resolve) => {
    page.listen((event) => {
      if (event.event === "findings" && event.ask === ask) resolve(event.findings);
    });
    page.onGone = () => resolve({ missing: [], detail: "The page went away." });
    setTimeout(() => resolve({ missing: [], detail: "The page did not answer." }), pack.limits.page_seconds * 2000);
  });
  page.tell({ do: "self_test", pack, place, ask });
  const findings = /** @type {any} */ (await answer);
  clearInterval(ticks);
  page.listen(null);
  page.onGone = () => {};
  const names = Array.isArray(findings?.missing) ? findings.missing.slice(0, 50).map(String) : [];
  return { missing: names, detail: String(findings?.detail ?? "").slice(0, 300) };
}
