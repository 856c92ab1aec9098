// Kinds of job that have to wait: a limit of the site, or a paywall. Each for itself; the others go on.

import { KINDS } from "../shared/settings.js";
import { loadWaits, saveWaits } from "./session.js";

/** @typedef {import("../shared/settings.js").Kind} Kind */
/** @typedef {import("../shared/settings.js").Settings} Settings */

/** Kinds that are switched on and need not wait. A wait that is over is forgotten. @param {Settings} settings */
export async function openKinds(settings) {
  const waits = await loadWaits();
  const over = KINDS.filter((kind) => (waits[kind]?.until ?? Infinity) <= Date.now());
  for (const kind of over) delete waits[kind];
  if (over.length > 0) await saveWaits(waits);
  return KINDS.filter((kind) => settings.kinds[kind] && !waits[kind]);
}

/** How long until the first wait is over; Infinity where none waits. */
export async function secondsToNextEnd() {
  const ends = Object.values(await loadWaits()).map((wait) => wait.until);
  return Math.max(1, Math.ceil((Math.min(...ends) - Date.now()) / 1000));
}

/**
 * The kind waits from now on, as long as the site said or the pack gives.
 * @param {Kind} kind @param {import("./job_run.js").End} end @param {Record<string, number>} limits
 */
export async function makeWait(kind, end, limits) {
  const given = end.code === "paywalled" ? limits.paywall_seconds : limits.rate_limit_seconds;
  const until = Date.now() + 1000 * (end.retryAfter ?? given);
  const waits = await loadWaits();
  await saveWaits({ ...waits, [kind]: { until, state: String(end.code), detail: end.detail ?? "" } });
}

/** As popup and options show them. @param {Settings} settings */
export async function kindsShown(settings) {
  const waits = await loadWaits();
  const shown = KINDS.map((kind) => {
    const wait = waits[kind];
    const note = wait ? `${wait.state}: ${wait.detail}`.slice(0, 200) : "";
    return [kind, { enabled: settings.kinds[kind], waitsUntil: wait?.until ?? null, note }];
  });
  return /** @type {import("../shared/states.js").Status["kinds"]} */ (Object.fromEntries(shown));
}
