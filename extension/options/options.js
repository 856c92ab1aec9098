/**
 * The options page: keeps settings, has the background run the connection test and the page self-test, and
 * draws what `view.js` makes of the answers.
 */

import { ask, messageOf } from "../shared/ask.js";
import { byId, h, keyed, setText } from "../shared/dom.js";
import { KINDS, originPattern, readSettings } from "../shared/settings.js";
import { addressNote, connectionSteps, connectionVerdict, needsPermission } from "./view.js";
import { packView, pairingView, readForm, selfTestView } from "./view.js";

/** @typedef {import("../shared/settings.js").Kind} Kind */
/** @typedef {import("../shared/states.js").Status} Status */

const form = byId("settings", HTMLFormElement);
const address = byId("broker-url", HTMLInputElement);
/** What was typed and not saved yet is not overwritten by news from elsewhere. */
let isTouched = false;

chrome.storage.onChanged.addListener(() => void refresh());
form.addEventListener("input", onInput);
form.addEventListener("submit", (event) => void save(event));
onClick("test", testConnection);
onClick("self-test", testPage);
onClick("pair", () => changePairing("pair"));
onClick("unpair", () => changePairing("unpair"));
drawTest(null);
await refresh();

async function refresh() {
  const [session, local] = await Promise.all([
    chrome.storage.session.get(["status"]),
    chrome.storage.local.get(["settings"]),
  ]);
  const status = /** @type {Status | undefined} */ (session.status);
  const { version, source } = packView(status?.pack);
  setText(byId("pack-version", HTMLElement), version);
  setText(byId("pack-source", HTMLElement), source || "–");
  drawPairing(pairingView(status));
  if (!isTouched) fill(readSettings(local.settings));
}

/** @param {import("../shared/settings.js").Settings} settings */
function fill({ brokerUrl, name, kinds }) {
  address.value = brokerUrl;
  byId("name", HTMLInputElement).value = name;
  for (const kind of KINDS) kindBox(kind).checked = kinds[kind];
  drawAddress("");
}

function onInput() {
  isTouched = true;
  say("", "quiet");
  drawAddress("");
}

/**
 * One click at a time. The button is not disabled meanwhile: it would lose the focus.
 * @param {string} id
 * @param {() => Promise<void>} act
 */
function onClick(id, act) {
  const button = byId(id, HTMLButtonElement);
  button.addEventListener("click", async () => {
    if (button.getAttribute("aria-disabled") === "true") return;
    button.setAttribute("aria-disabled", "true");
    await act();
    button.setAttribute("aria-disabled", "false");
  });
}

/** What stands in the form. */
function typed() {
  const kinds = {
    video: kindBox("video").checked,
    image: kindBox("image").checked,
    chat: kindBox("chat").checked,
  };
  return { brokerUrl: address.value, name: byId("name", HTMLInputElement).value, kinds };
}

/** @param {SubmitEvent} event */
async function save(event) {
  event.preventDefault();
  const read = readForm(typed());
  drawAddress(read.ok ? "" : read.error);
  if (!read.ok) return address.focus();
  const refusal = await permission(read.settings.brokerUrl);
  if (refusal) return say(refusal, "fault");
  const answer = await ask("save_settings", { settings: read.settings });
  if (!answer.ok) return say(answer.error ?? "It could not be saved.", "fault");
  isTouched = false;
  fill(read.settings);
  say("Saved.", "good");
}

/**
 * Asks Chrome for the host, where the manifest does not have it. Must be called before anything is awaited:
 * Chrome shows its question only within the turn of a click. Answers what went wrong, or the empty text.
 * @param {string} url
 */
async function permission(url) {
  if (!needsPermission(url, chrome.runtime.getManifest().host_permissions ?? [])) return "";
  try {
    const isGranted = await chrome.permissions.request({ origins: [originPattern(url)] });
    return isGranted ? "" : `Chrome was not allowed to call ${url}, so nothing was changed.`;
  } catch (error) {
    return `Chrome could not ask for ${url}: ${messageOf(error)}`;
  }
}

async function testConnection() {
  const read = readForm(typed());
  // The test itself tells what is wrong with the address and the permission: they are its first two steps.
  if (read.ok) await permission(read.settings.brokerUrl);
  drawTest("running");
  drawTest(await ask("test_connection", { brokerUrl: read.ok ? read.settings.brokerUrl : address.value }));
}

/** @param {import("../shared/ask.js").Answer | "running" | null} answer */
function drawTest(answer) {
  const { severity, text } = connectionVerdict(answer);
  const verdict = byId("verdict", HTMLElement);
  verdict.dataset.severity = severity;
  setText(verdict, text);
  keyed(byId("steps", HTMLElement), connectionSteps(answer), (step) => JSON.stringify(step), makeStep);
}

/** @param {import("./view.js").Step} step */
function makeStep({ name, title, state, word, detail, advice }) {
  const attributes = { "data-state": state, "data-step": name };
  const details = [detail && h("p.soft", {}, detail), advice && h("p", {}, advice)];
  return h("li", attributes, h("span", {}, title), h("span.word", {}, word), ...details);
}

/** @param {"pair" | "unpair"} command */
async function changePairing(command) {
  const { ok, error, detail } = await ask(command);
  setText(byId("pairing-problem", HTMLElement), ok ? (detail ?? "") : (error ?? "That did not work."));
}

/** @param {import("./view.js").PairingView} view */
function drawPairing({ severity, title, text, code, words, command, canPair, canUnpair }) {
  byId("pairing", HTMLElement).dataset.severity = severity;
  setText(byId("pairing-title", HTMLElement), title);
  setText(byId("pairing-text", HTMLElement), text);
  byId("pairing-shown", HTMLElement).hidden = !code;
  setText(byId("pairing-code", HTMLElement), code);
  setText(byId("pairing-words", HTMLElement), words);
  setText(byId("pairing-command", HTMLElement), command);
  byId("pair", HTMLButtonElement).hidden = !canPair;
  byId("unpair", HTMLButtonElement).hidden = !canUnpair;
}

async function testPage() {
  drawSelfTest(selfTestView(await ask("self_test")));
}

/** @param {import("./view.js").SelfTest} result */
function drawSelfTest({ severity, title, text, missing }) {
  const box = byId("self-test-result", HTMLElement);
  box.hidden = false;
  box.dataset.severity = severity;
  setText(byId("self-test-title", HTMLElement), title);
  setText(byId("self-test-text", HTMLElement), text);
  keyed(
    byId("missing", HTMLElement),
    missing,
    ({ purpose }) => purpose,
    ({ purpose, words }) => h("li", {}, words, h("code", {}, purpose)),
  );
}

/** Shows what is wrong with the address, and what to know about it. @param {string} error */
function drawAddress(error) {
  setText(byId("broker-url-error", HTMLElement), error);
  address.setAttribute("aria-invalid", String(Boolean(error)));
  setText(byId("broker-url-note", HTMLElement), addressNote(address.value).text);
}

/** @param {string} text @param {import("../shared/states.js").Severity} severity */
function say(text, severity) {
  const saved = byId("saved", HTMLElement);
  saved.dataset.severity = severity;
  setText(saved, text);
}

/** @param {Kind} kind */
function kindBox(kind) {
  return byId(`kind-${kind}`, HTMLInputElement);
}
