// What a job asks of the page, from the words of the worker protocol. Pure; what the page does not offer is refused
// where it is set, in `options.js`.

import { PageTrouble } from "../shared/troubles.js";

/** @typedef {Pick<import("./context.js").PageJob, "kind" | "options">} Asking */
/** @typedef {Partial<Record<"mode" | "duration" | "resolution" | "aspect", string>>} Wanted */

/** What a job of each kind may ask for. */
const KNOWN = { video: ["duration_seconds", "resolution", "aspect"], image: ["aspect", "n"], chat: [] };

/**
 * Throws `option_refused` where the job asks for what no driver here can do, such as going on from another film: a job
 * is done as it was asked for, or not at all.
 * @param {Asking} job
 */
export function refuseUnknown({ kind, options }) {
  /** @type {string[]} */
  const known = KNOWN[kind];
  const unknown = Object.keys(options).filter((name) => options[name] !== null && !known.includes(name));
  if (unknown.length === 0) return;
  // A film that an operation starts from says less than the operation.
  const name = unknown.includes("operation") ? "operation" : unknown[0];
  const value = JSON.stringify(options[name]).slice(0, 100);
  throw new PageTrouble("option_refused", `This worker does not know the option ${name} ${value}; nothing was submitted.`);
}

/** What is set on the page, by option. @param {Asking} job @returns {Wanted} */
export function wantedOptions({ kind, options }) {
  const { duration_seconds: seconds, resolution, aspect } = options;
  const wanted = /** @type {Wanted} */ ({ mode: kind });
  if (seconds) wanted.duration = String(seconds);
  if (resolution) wanted.resolution = String(resolution);
  if (aspect) wanted.aspect = String(aspect);
  return wanted;
}
