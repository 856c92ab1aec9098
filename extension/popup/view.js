/**
 * From what the background tells to what the popup shows. Pure: no page, no chrome.*, no clock of its own.
 */

import { KINDS } from "../shared/settings.js";
import { KIND_WORDS, OUTCOME_WORDS, PHASE_WORDS, asWords, wordsFor } from "../shared/states.js";

/** @typedef {import("../shared/settings.js").Kind} Kind */
/** @typedef {import("../shared/settings.js").Settings} Settings */
/** @typedef {import("../shared/states.js").Severity} Severity */
/** @typedef {import("../shared/states.js").Status} Status */
/** @typedef {import("../shared/states.js").PastJob} PastJob */

/** @typedef {{severity: Severity, title: string, text: string, detail: string}} Line */
/** @typedef {"pause" | "resume"} PauseCommand */
/** @typedef {{isPaused: boolean, command: PauseCommand, label: string, title: string, text: string}} Pause */
/** @typedef {{kind: Kind, title: string, isOn: boolean, note: string}} KindSwitch */
/**
 * @typedef {object} Now
 * @property {string} title
 * @property {string} phase
 * @property {number | null} percent null while nothing is told of it
 * @property {string} figure the percent, or which step this is
 * @property {string} since
 * @property {string} recovering
 * @property {string} note
 */
/**
 * @typedef {object} PastLine
 * @property {string} key
 * @property {string} kind
 * @property {string} outcome
 * @property {Severity} severity
 * @property {string} code
 * @property {string} ago
 * @property {string} hint
 * @property {string[]} details
 */
/**
 * @typedef {object} PopupView
 * @property {Line} connection
 * @property {Line} page
 * @property {boolean} needsGrok the person is asked to do something on Grok's page
 * @property {boolean} needsPairing the broker asks for a key
 * @property {Pause} pause
 * @property {Now | null} job
 * @property {string} idle what is said while there is no job
 * @property {KindSwitch[]} kinds
 * @property {PastLine[]} past
 * @property {string} pack
 * @property {string} packProblem
 */

/** What is known before the background has told anything. @type {Status} */
export const NOTHING_KNOWN = Object.freeze({
  connection: { state: "unknown", detail: "", at: 0 },
  page: { state: "unknown", detail: "", at: 0 },
  pausedBy: null,
  kinds: Object.freeze({
    video: { enabled: true, waitsUntil: null, note: "" },
    image: { enabled: true, waitsUntil: null, note: "" },
    chat: { enabled: true, waitsUntil: null, note: "" },
  }),
  job: null,
  pack: { version: "", source: /** @type {const} */ ("bundled"), missing: [] },
  pairing: { isPaired: false, state: "none", code: "", words: [], until: 0, detail: "" },
});

/**
 * @param {Status | undefined} told
 * @param {PastJob[]} history
 * @param {Settings} settings
 * @param {number} now milliseconds
 * @returns {PopupView}
 */
export function popupView(told, history, settings, now) {
  const status = told ?? NOTHING_KNOWN;
  const page = lineOf("page", status.page);
  return {
    connection: lineOf("connection", status.connection),
    page,
    needsGrok: page.severity === "act" && status.page.state !== "selector_missing",
    needsPairing: status.connection.state === "pairing_needed",
    pause: pauseView(status.pausedBy),
    job: status.job && jobView(status.job, now),
    idle: idleText(status, settings),
    kinds: KINDS.map((kind) => kindSwitch(kind, status, settings, now)),
    past: history.slice(0, 10).map((job) => pastLine(job, now)),
    ...packView(status.pack),
  };
}

/** @param {"connection" | "page"} group @param {{state: string, detail: string}} state @returns {Line} */
function lineOf(group, { state, detail }) {
  const { title, meaning, asks, severity } = wordsFor(group, state);
  const text = severity === "good" ? "" : `${meaning} ${asks}`.trim();
  return { severity, title, text, detail: sentence(detail) === sentence(title) ? "" : detail };
}

/** @param {Status["pausedBy"]} pausedBy @returns {Pause} */
function pauseView(pausedBy) {
  if (!pausedBy) return { isPaused: false, command: "pause", label: "Pause", title: "", text: "" };
  const byBroker = "The broker's operator paused this worker, and can resume it on the broker's side.";
  const text = pausedBy === "broker" ? byBroker : "No new job is taken. A job that runs is finished.";
  const title = pausedBy === "broker" ? "Paused by the broker" : "Paused";
  return { isPaused: true, command: "resume", label: "Resume", title, text };
}

/** @param {NonNullable<Status["job"]>} job @param {number} now @returns {Now} */
function jobView(job, now) {
  const percent = Math.round(Math.min(100, Math.max(0, job.progress)));
  const isRecovery = job.action === "recover";
  return {
    title: KIND_WORDS[job.kind] ?? asWords(job.kind),
    phase: PHASE_WORDS[job.phase] ?? asWords(job.phase),
    percent: percent || null,
    figure: percent ? `${percent} %` : stepOf(job.phase),
    since: `Since ${timeOfDay(job.since)}, ${span(now - job.since)} so far`,
    recovering: isRecovery ? "Recovering: its result is looked for. Nothing is submitted again." : "",
    note: job.note,
  };
}

/** Which of the phases this is. @param {string} phase */
function stepOf(phase) {
  const phases = Object.keys(PHASE_WORDS);
  const place = phases.indexOf(phase);
  return place < 0 ? "" : `step ${place + 1} of ${phases.length}`;
}

/** @param {Status} status @param {Settings} settings */
function idleText(status, settings) {
  if (!KINDS.some((kind) => settings.kinds[kind])) return "All kinds are switched off.";
  if (status.pausedBy) return "No job, and none is taken while paused.";
  const canWork = status.connection.state === "connected" && status.page.state === "ready";
  return canWork ? "No job. Waiting for one." : "No job.";
}

/**
 * @param {Kind} kind
 * @param {Status} status
 * @param {Settings} settings
 * @param {number} now
 * @returns {KindSwitch}
 */
function kindSwitch(kind, status, settings, now) {
  const { waitsUntil, note } = status.kinds[kind];
  const waits = waitsUntil && waitsUntil > now ? waitText(waitsUntil, now) : "";
  const isOn = settings.kinds[kind];
  return { kind, title: KIND_WORDS[kind], isOn, note: isOn ? [waits, note].filter(Boolean).join(" ") : "" };
}

/** In whole minutes: it is read aloud whenever it changes. @param {number} until @param {number} now */
function waitText(until, now) {
  const minutes = Math.ceil((until - now) / 60_000);
  const left = minutes < 60 ? `${minutes} min` : `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
  return `Waits until ${timeOfDay(until)}, ${left} from now.`;
}

/** @param {PastJob} job @param {number} now @returns {PastLine} */
function pastLine(job, now) {
  const outcome = OUTCOME_WORDS[job.outcome] ?? { title: asWords(job.outcome), severity: "quiet" };
  const details = detailsOf(job);
  return {
    key: `${job.id} ${job.endedAt} ${job.outcome}`,
    kind: KIND_WORDS[job.kind] ?? asWords(job.kind),
    outcome: outcome.title,
    severity: outcome.severity,
    code: job.code ?? "",
    ago: ago(now - job.endedAt),
    hint: details.join("\n"),
    details,
  };
}

/** @param {PastJob} job */
function detailsOf(job) {
  const words = job.code ? wordsFor("job", job.code) : null;
  const took = `Took ${span(job.endedAt - job.startedAt)}, ended at ${timeOfDay(job.endedAt)}.`;
  const said = words && sentence(words.title);
  return [said, words?.meaning, job.detail, took, `Job ${job.id}`].filter(isText).filter(isFirst);
}

/** @param {Status["pack"]} pack */
function packView({ version, source, missing }) {
  const from = source === "broker" ? "from the broker" : "bundled";
  const count = missing.length === 1 ? "1 element" : `${missing.length} elements`;
  return {
    pack: version ? `Page pack ${version}, ${from}` : "Page pack not read yet",
    packProblem: missing.length ? `${count} not found on the page: ${missing.join(", ")}` : "",
  };
}

/** A span of time in words, from milliseconds. @param {number} milliseconds */
export function span(milliseconds) {
  const seconds = Math.max(0, Math.round(milliseconds / 1000));
  if (seconds < 60) return `${seconds} s`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min ${seconds % 60} s`;
  return `${Math.floor(seconds / 3600)} h ${Math.floor((seconds % 3600) / 60)} min`;
}

/** @param {number} milliseconds since then */
export function ago(milliseconds) {
  const minutes = Math.floor(milliseconds / 60_000);
  if (minutes < 1) return "just now";
  if (minutes < 60) return `${minutes} min ago`;
  return minutes < 2880 ? `${Math.floor(minutes / 60)} h ago` : `${Math.floor(minutes / 1440)} days ago`;
}

/** The time of day as the machine's own clock shows it. @param {number} at milliseconds */
export const timeOfDay = (at) => new Date(at).toTimeString().slice(0, 5);

/** @param {string} text */
const sentence = (text) => (text.endsWith(".") ? text : `${text}.`);

/** @param {string | null | undefined} text @returns {text is string} */
const isText = (text) => Boolean(text);

/** @type {(text: string, place: number, all: string[]) => boolean} */
const isFirst = (text, place, all) => all.indexOf(text) === place;
