/**
 * What the options page shows of settings, connection test and page self-test. Pure: no page, no chrome.*.
 */

import { checkBrokerUrl, cleanName, isLoopback } from "../shared/settings.js";
import { asWords } from "../shared/states.js";

/** @typedef {import("../shared/settings.js").Settings} Settings */
/** @typedef {import("../shared/states.js").Severity} Severity */
/** @typedef {import("../shared/states.js").Status} Status */
/** @typedef {import("../shared/ask.js").Answer} Answer */
/** @typedef {{brokerUrl: string, name: string, kinds: Settings["kinds"]}} Typed what stands in the form */
/** @typedef {{ok: true, settings: Settings} | {ok: false, error: string}} ReadForm */
/** @typedef {"pass" | "fail" | "not_reached" | "idle" | "running"} StepState */
/**
 * @typedef {object} Step
 * @property {string} name
 * @property {string} title
 * @property {StepState} state
 * @property {string} word the state for people
 * @property {string} detail what the background found
 * @property {string} advice what to do, if it failed
 */
/** @typedef {{purpose: string, words: string}} Missing */
/** @typedef {{severity: Severity, title: string, text: string, missing: Missing[]}} SelfTest */

/** The six steps in their order: what each asks, and what to do when its answer is no. */
const STEPS = [
  {
    name: "address",
    title: "The address can be used",
    advice: "Write it like http://127.0.0.1:8000: scheme, host and port, nothing behind.",
  },
  {
    name: "permission",
    title: "Chrome lets the extension call it",
    advice: "Press the button once more, and choose Allow when Chrome asks.",
  },
  {
    name: "reach",
    title: "Something answers there",
    advice:
      "Start the broker with: python server.py. If it runs, compare host and port with what it prints at start.",
  },
  {
    name: "identity",
    title: "It is a Grok Broker",
    advice:
      "Another program has this port. Correct the port here, or give the broker another one with SERVER_PORT.",
  },
  {
    name: "hello",
    title: "It takes this browser as a worker",
    advice:
      "Where it asks for a key, pair this browser below. Else its settings decide: ALLOWED_HOSTS for the name it is called by, ALLOWED_ORIGINS for who " +
      "calls. docs/operating.md explains both.",
  },
  {
    name: "page",
    title: "A Grok page is open and can be worked",
    advice:
      "Open Grok, sign in, answer what it asks, then test again. The page self-test below names what is missing.",
  },
];

/** Purposes that begin so belong to one of the two pages. */
const PAGES = new Set(["chat", "imagine"]);

/** @type {Record<StepState, string>} */
const STATE_WORDS = { pass: "Passed", fail: "Failed", not_reached: "Not reached", idle: "", running: "…" };

/**
 * The steps of the connection test.
 * @param {Answer | "running" | null} answer what the background said, "running" while it tests, null before
 * @returns {Step[]}
 */
export function connectionSteps(answer) {
  const told = new Map(stepsOf(answer).map((step) => [step.name, step]));
  return STEPS.map(({ name, title, advice }) => {
    const step = told.get(name);
    const state = stepState(answer, step);
    const detail = step?.detail ?? "";
    return { name, title, state, word: STATE_WORDS[state], detail, advice: state === "fail" ? advice : "" };
  });
}

/**
 * The whole test in a sentence; the empty text before it has been run.
 * @param {Answer | "running" | null} answer
 * @returns {{severity: Severity, text: string}}
 */
export function connectionVerdict(answer) {
  if (answer === null) return { severity: "quiet", text: "" };
  if (answer === "running") return { severity: "quiet", text: "Testing…" };
  const failed = connectionSteps(answer).findIndex((step) => step.state === "fail");
  if (failed >= 0)
    return { severity: "act", text: `Step ${failed + 1} of ${STEPS.length} failed. See there what to do.` };
  if (!answer.ok) return { severity: "act", text: answer.error ?? "The test could not be run." };
  return { severity: "good", text: "All six steps passed. Jobs can come." };
}

/** @param {Answer | "running" | null} answer @returns {NonNullable<Answer["steps"]>} */
const stepsOf = (answer) => (answer === null || answer === "running" ? [] : (answer.steps ?? []));

/**
 * @param {Answer | "running" | null} answer
 * @param {{ok: boolean} | undefined} step
 * @returns {StepState}
 */
function stepState(answer, step) {
  if (answer === null) return "idle";
  if (answer === "running") return "running";
  if (!step) return "not_reached";
  return step.ok ? "pass" : "fail";
}

/** What the self-test of the page found. @param {Answer} answer @returns {SelfTest} */
export function selfTestView(answer) {
  const missing = (answer.missing ?? []).map((purpose) => ({ purpose, words: purposeWords(purpose) }));
  const text = answer.detail ?? answer.error ?? "";
  if (missing.length > 0) return { severity: "act", title: missingTitle(missing.length), text, missing };
  if (!answer.ok) return { severity: "fault", title: "The page could not be tested.", text, missing };
  return { severity: "good", title: "Everything was found.", text, missing };
}

/** @param {number} count */
const missingTitle = (count) =>
  count === 1 ? "One element was not found:" : `${count} elements were not found:`;

/**
 * A purpose of the page pack in words: "imagine.submit" is "Imagine page: submit".
 * @param {string} purpose
 */
export function purposeWords(purpose) {
  const [page, ...rest] = purpose.split(".");
  const isOnPage = rest.length > 0 && PAGES.has(page);
  return isOnPage ? `${asWords(page)} page: ${rest.join(" ").replaceAll("_", " ")}` : purpose;
}

/** @param {Status["pack"] | undefined} pack */
export function packView(pack) {
  if (!pack?.version) return { version: "Not read yet", source: "" };
  const source = pack.source === "broker" ? "Fetched from the broker" : "Bundled with the extension";
  return { version: pack.version, source };
}

/**
 * What is shown of keys and pairing. `code` and `words` stand there while somebody is to compare them.
 * @typedef {{severity: Severity, title: string, text: string, code: string, words: string, command: string, canPair: boolean, canUnpair: boolean}} PairingView
 */

/** How a pairing ended without a key. @type {Record<string, string>} */
const PAIRING_ENDS = {
  refused: "The broker's owner said no.",
  wrong_codes: "A wrong code was typed five times.",
  expired: "Nobody confirmed it in time.",
  lost: "It was confirmed, but the key did not arrive here.",
};

/** @param {Status | undefined} status @returns {PairingView} */
export function pairingView(status) {
  const { isPaired, state, code, words, detail } = status?.pairing ?? NO_PAIRING;
  const nothing = { code: "", words: "", command: "", canPair: true, canUnpair: isPaired };
  if (state === "waiting") {
    const shown = { code: `${code.slice(0, 4)} ${code.slice(4)}`, words: words.join(" "), canPair: false };
    return { ...nothing, severity: "wait", title: "Waiting for the broker's owner", text: "", ...shown, command: `python -m broker pair ${code}` };
  }
  const ended = PAIRING_ENDS[state] ?? detail;
  const isNeeded = status?.connection.state === "pairing_needed";
  if (isNeeded) {
    const title = isPaired ? "The key is not taken any more" : "Pairing needed";
    return { ...nothing, severity: "act", title, text: ended || "The broker asks for a key. Pair this browser with it." };
  }
  if (isPaired) return { ...nothing, severity: "good", title: "Paired", text: "This browser has a key of its own for this broker.", canPair: false };
  if (ended) return { ...nothing, severity: "act", title: "Not paired", text: ended };
  const text = "A broker that asks for no key needs no pairing: loading the extension is the whole set-up.";
  return { ...nothing, severity: "quiet", title: "Not paired", text };
}

/** @type {Status["pairing"]} */
const NO_PAIRING = { isPaired: false, state: "none", code: "", words: [], until: 0, detail: "" };

/** What the form says, as settings to be kept. @param {Typed} typed @returns {ReadForm} */
export function readForm({ brokerUrl, name, kinds }) {
  const checked = checkBrokerUrl(brokerUrl);
  if (!checked.ok) return checked;
  return { ok: true, settings: { brokerUrl: checked.url, name: cleanName(name), kinds: { ...kinds } } };
}

/**
 * What the person should know of an address before using it.
 * @param {string} text as it is typed
 * @returns {{severity: Severity, text: string}}
 */
export function addressNote(text) {
  const checked = checkBrokerUrl(text);
  if (!checked.ok || isLoopback(checked.url)) return { severity: "quiet", text: "" };
  const trust =
    "Another machine: whoever runs the broker there uses your Grok account and sees every result.";
  const isPlain = checked.url.startsWith("http:");
  return {
    severity: "wait",
    text: isPlain ? `${trust} With http://, the network between sees it too.` : trust,
  };
}

/**
 * Whether Chrome has to be asked before this address may be called.
 * @param {string} url as `checkBrokerUrl` gives it
 * @param {string[]} granted match patterns of the manifest's hosts
 */
export const needsPermission = (url, granted) => !granted.some((pattern) => covers(pattern, new URL(url)));

/**
 * @param {string} pattern like "http://127.0.0.1/*"; without a port it stands for all ports
 * @param {URL} url
 */
function covers(pattern, url) {
  const [, scheme, host] = /^(\*|https?):\/\/([^/]+)\//.exec(pattern) ?? [];
  if (scheme !== "*" && `${scheme}:` !== url.protocol) return false;
  return host === url.hostname || host === url.host;
}
