/**
 * The words for what can be seen: states of connection, page and job, kinds, phases, outcomes. Data and the
 * look-up; what becomes of a job in each state is the broker's to decide and told in docs/extension.md.
 */

/**
 * good: all is well · quiet: neither good nor bad · wait: time mends it · act: the person is asked · fault: it
 * went wrong.
 * @typedef {"good" | "quiet" | "wait" | "act" | "fault"} Severity
 */
/** @typedef {{title: string, meaning: string, asks: string, severity: Severity}} StateWords */
/** @typedef {"connection" | "page" | "job"} Group */
/** @typedef {import("./settings.js").Kind} Kind */

/**
 * What the background tells of itself, in session storage under `status`. Moments are milliseconds.
 * @typedef {object} Status
 * @property {{state: string, detail: string, at: number}} connection
 * @property {{state: string, detail: string, at: number}} page
 * @property {"person" | "broker" | null} pausedBy
 * @property {Record<Kind, {enabled: boolean, waitsUntil: number | null, note: string}>} kinds
 * @property {JobNow | null} job
 * @property {{version: string, source: "bundled" | "broker", missing: string[]}} pack
 * @property {PairingShown} pairing
 */
/**
 * Whether there is a key for this broker, and how the pairing stands: none, waiting, or how the last one ended.
 * `until` is when the code ends.
 * @typedef {{isPaired: boolean, state: string, code: string, words: string[], until: number, detail: string}} PairingShown
 */
/**
 * @typedef {object} JobNow
 * @property {string} id
 * @property {Kind} kind
 * @property {"submit" | "recover"} action
 * @property {string} phase
 * @property {number} progress
 * @property {string} note
 * @property {number} since
 */
/**
 * A job that is over, in local storage under `history`, the newest first.
 * @typedef {object} PastJob
 * @property {string} id
 * @property {Kind} kind
 * @property {string} outcome
 * @property {string | null} code
 * @property {string | null} detail
 * @property {number} startedAt
 * @property {number} endedAt
 */

/**
 * The states in which a job or the page cannot simply go on.
 * @type {Record<string, StateWords>}
 */
export const EXPLICIT_STATES = {
  needs_login: {
    title: "Nobody is signed in",
    meaning: "Nobody is signed in to Grok in this browser.",
    asks: "Open Grok and sign in. Work then goes on by itself.",
    severity: "act",
  },
  needs_human: {
    title: "Grok asks for a person",
    meaning:
      "Grok shows a human check, or asks for an age or about cookies. The extension never answers that.",
    asks: "Open Grok and answer it yourself.",
    severity: "act",
  },
  rate_limited: {
    title: "Grok's limit is reached",
    meaning: "Grok takes nothing more of this kind for a while.",
    asks: "Nothing to do: work goes on when the limit has ended.",
    severity: "wait",
  },
  moderated: {
    title: "Grok refused the content",
    meaning: "Grok does not want to make this. The job is not tried again.",
    asks: "Nothing to do here. Whoever sent the job may send another prompt.",
    severity: "fault",
  },
  paywalled: {
    title: "Not in this account's plan",
    meaning: "Grok asks for another plan before it does this.",
    asks: "Change the plan at Grok, or switch this kind off for this browser.",
    severity: "act",
  },
  page_stale: {
    title: "Grok's page is out of date",
    meaning: "Grok has a newer page and refuses to work with the one that is open.",
    asks: "Nothing to do: the extension loads the page again.",
    severity: "wait",
  },
  selector_missing: {
    title: "Grok's page has changed",
    meaning: "Something on the page that the extension needs cannot be found.",
    asks: "Run the page self-test in the options: it names what is missing.",
    severity: "act",
  },
  option_not_set: {
    title: "An option could not be set",
    meaning:
      "The page did not take a length, shape or resolution that the job asked for. Nothing was submitted.",
    asks: "See which choices Grok's page offers. If it has this one, run the page self-test in the options.",
    severity: "fault",
  },
  submit_unknown: {
    title: "Not sure that Grok took the prompt",
    meaning: "The button was pressed, and the page does not show what came of it.",
    asks: "Nothing to do: the result is looked for, and the button is not pressed again.",
    severity: "wait",
  },
  stalled: {
    title: "Grok made no progress",
    meaning: "Grok took the prompt, and then nothing moved for too long.",
    asks: "Nothing to do: the result is looked for. If it happens often, look at Grok's page yourself.",
    severity: "wait",
  },
  incomplete: {
    title: "The answer was cut off",
    meaning: "Grok's answer broke off before its end.",
    asks: "Nothing to do here. Whoever sent the job may send it again.",
    severity: "fault",
  },
};

/** @type {Record<string, StateWords>} */
const CONNECTION = {
  connected: { title: "Connected", meaning: "The broker answers.", asks: "", severity: "good" },
  unreachable: {
    title: "Not reachable",
    meaning: "Nothing answers at the broker's address.",
    asks: "Start the broker, or correct its address in the options.",
    severity: "act",
  },
  refused: {
    title: "Refused",
    meaning: "The broker answers, but does not let this extension in.",
    asks: "Run the connection test in the options: it names the reason.",
    severity: "act",
  },
  pairing_needed: {
    title: "Pairing needed",
    meaning: "The broker asks for a key, and takes none of this browser's.",
    asks: "Pair this browser with it in the options.",
    severity: "act",
  },
  unknown: {
    title: "Not tried yet",
    meaning: "The broker has not been called yet.",
    asks: "Nothing to do: it is called in a moment.",
    severity: "quiet",
  },
};

/** @type {Record<string, StateWords>} */
const PAGE = {
  ready: { title: "Ready", meaning: "The page can take a prompt.", asks: "", severity: "good" },
  unknown: {
    title: "Not looked at yet",
    meaning: "No Grok page has been looked at yet.",
    asks: "Open Grok. The page is looked at as soon as it has loaded.",
    severity: "quiet",
  },
};

/** Other codes that a job can end with; they need no more than a title. @type {Record<string, string>} */
const CODES = {
  bad_input: "Grok did not accept the input",
  browser_closed: "The browser was closed",
  cancelled: "The job was cancelled",
  download_failed: "The result could not be fetched",
  invalid_api_key: "The broker did not take this browser's key",
  generation_failed: "Grok could not make this",
  lease_lost: "The broker gave the job to somebody else",
  option_refused: "Grok does not offer this option",
  person_busy: "The person was using the tab",
  result_rejected: "The broker did not accept the file",
  run_cap: "It took longer than an attempt may",
  site_down: "Grok did not answer",
  tab_closed: "Grok's tab was closed",
  ui_changed: "Grok's page did not do what was expected",
  unknown: "Something went wrong that has no name",
  upload_rejected: "Grok did not accept the image",
};

/** @type {Record<Group, Record<string, StateWords>>} */
const GROUPS = {
  connection: CONNECTION,
  page: { ...PAGE, ...EXPLICIT_STATES },
  job: EXPLICIT_STATES,
};

/** @type {Record<Kind, string>} */
export const KIND_WORDS = { video: "Video", image: "Image", chat: "Chat" };

/** The phases in their order. @type {Record<string, string>} */
export const PHASE_WORDS = {
  assigned: "Taken",
  preparing: "Preparing the page",
  submitted: "Sent to Grok",
  generating: "Grok is working",
  downloading: "Fetching the result",
  uploading: "Handing it to the broker",
};

/** @type {Record<string, {title: string, severity: Severity}>} */
export const OUTCOME_WORDS = {
  completed: { title: "Completed", severity: "good" },
  failed: { title: "Failed", severity: "fault" },
  handed_back: { title: "Handed back", severity: "wait" },
  cancelled: { title: "Cancelled", severity: "quiet" },
  lost: { title: "Lost", severity: "fault" },
};

/**
 * The words for a state. One that is not known here is shown by its own name: nothing is hidden.
 * @param {Group} group
 * @param {string} name
 * @returns {StateWords}
 */
export function wordsFor(group, name) {
  const known = Object.hasOwn(GROUPS[group], name) ? GROUPS[group][name] : undefined;
  return known ?? { title: titleOf(name), meaning: "", asks: "", severity: "fault" };
}

/** @param {string} code */
const titleOf = (code) => (Object.hasOwn(CODES, code) ? CODES[code] : asWords(code));

/** A code as words: "page_stale" becomes "Page stale". @param {string} code */
export function asWords(code) {
  const words = code.replaceAll("_", " ").trim();
  return words.charAt(0).toUpperCase() + words.slice(1);
}
