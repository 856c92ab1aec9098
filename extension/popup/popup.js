/**
 * The popup: draws what `view.js` makes of the background's status, and passes the person's wishes on.
 * Live by storage events; the one timer only lets the times on it grow.
 */

import { ask } from "../shared/ask.js";
import { byId, h, keyed, setText } from "../shared/dom.js";
import { readSettings } from "../shared/settings.js";
import { popupView } from "./view.js";

/** @typedef {import("./view.js").PopupView} PopupView */
/** @typedef {import("../shared/settings.js").Settings} Settings */
/** @typedef {import("../shared/states.js").Status} Status */
/** @typedef {import("../shared/states.js").PastJob} PastJob */

/** @type {{status: Status | undefined, history: PastJob[]}} */
const told = { status: undefined, history: [] };
let settings = readSettings(undefined);
/** Settings on their way to the background: shown as if they were kept. @type {Settings | null} */
let wished = null;

chrome.storage.onChanged.addListener(() => void refresh());
byId("pause", HTMLButtonElement).addEventListener("click", togglePause);
byId("open-grok", HTMLButtonElement).addEventListener("click", openGrok);
byId("pair", HTMLButtonElement).addEventListener("click", () => chrome.runtime.openOptionsPage());
byId("open-options", HTMLButtonElement).addEventListener("click", () => chrome.runtime.openOptionsPage());
setInterval(draw, 1000);
await refresh();

async function refresh() {
  const [session, local] = await Promise.all([
    chrome.storage.session.get(["status"]),
    chrome.storage.local.get(["settings", "history"]),
  ]);
  told.status = /** @type {Status | undefined} */ (session.status);
  told.history = Array.isArray(local.history) ? local.history : [];
  settings = readSettings(local.settings);
  draw();
}

function draw() {
  const view = popupView(told.status, told.history, wished ?? settings, Date.now());
  drawLine("connection", view.connection);
  drawLine("page", view.page);
  byId("open-grok", HTMLButtonElement).classList.toggle("is-main", view.needsGrok);
  byId("pair", HTMLButtonElement).hidden = !view.needsPairing;
  drawPause(view.pause);
  drawJob(view);
  drawKinds(view.kinds);
  drawPast(view.past);
  setText(byId("pack", HTMLElement), view.pack);
  setText(byId("pack-problem", HTMLElement), view.packProblem);
}

/** @param {"connection" | "page"} id @param {import("./view.js").Line} line */
function drawLine(id, { severity, title, text, detail }) {
  const element = byId(id, HTMLElement);
  element.dataset.severity = severity;
  setText(part(element, ".title"), title);
  setText(part(element, ".text"), text);
  setText(part(element, ".detail"), detail);
}

/** @param {PopupView["pause"]} pause */
function drawPause({ isPaused, label, title, text }) {
  const button = byId("pause", HTMLButtonElement);
  setText(button, label);
  button.classList.toggle("is-main", isPaused);
  setText(byId("paused-title", HTMLElement), title);
  setText(byId("paused-text", HTMLElement), text);
  byId("paused", HTMLElement).hidden = !isPaused;
}

/** @param {PopupView} view */
function drawJob({ job, idle }) {
  byId("job", HTMLElement).hidden = !job;
  setText(byId("idle", HTMLElement), job ? "" : idle);
  if (!job) return;
  setText(byId("job-kind", HTMLElement), job.title);
  setText(byId("job-phase", HTMLElement), job.phase);
  setText(byId("job-figure", HTMLElement), job.figure);
  const bar = byId("job-progress", HTMLProgressElement);
  if (job.percent === null) bar.removeAttribute("value");
  else bar.value = job.percent;
  setText(byId("job-recovering", HTMLElement), job.recovering);
  setText(byId("job-note", HTMLElement), job.note);
  setText(byId("job-since", HTMLElement), job.since);
}

/** @param {PopupView["kinds"]} kinds */
function drawKinds(kinds) {
  keyed(
    byId("kinds", HTMLElement),
    kinds,
    ({ kind }) => kind,
    makeSwitch,
    (element, { isOn }) => {
      /** @type {HTMLInputElement} */ (part(element, "input")).checked = isOn;
    },
  );
  const noted = kinds.filter(({ note }) => note);
  keyed(
    byId("kind-notes", HTMLElement),
    noted,
    ({ kind }) => kind,
    () => h("p"),
    (element, { title, note }) => setText(element, `${title}: ${note}`),
  );
}

/** @param {PopupView["kinds"][number]} item */
function makeSwitch({ kind, title }) {
  const input = h("input", { type: "checkbox", role: "switch", name: kind });
  input.addEventListener(
    "change",
    () => void switchKind(kind, /** @type {HTMLInputElement} */ (input).checked),
  );
  return h("label.switch", {}, input, title);
}

/** @param {PopupView["past"]} past */
function drawPast(past) {
  byId("no-past", HTMLElement).hidden = past.length > 0;
  const list = byId("past", HTMLElement);
  list.hidden = past.length === 0;
  keyed(
    list,
    past,
    ({ key }) => key,
    makePast,
    (element, { ago }) => setText(part(element, ".ago"), ago),
  );
}

/** @param {PopupView["past"][number]} item */
function makePast({ kind, outcome, severity, code, hint, details }) {
  const outcomeWords = h("span.outcome", { "data-severity": severity }, outcome);
  const summary = h("summary", { title: hint }, h("span.tag", {}, kind), outcomeWords, h("code", {}, code));
  summary.append(h("span.ago.soft"));
  return h("details", {}, summary, ...details.map((text) => h("p", {}, text)));
}

/** @param {import("../shared/settings.js").Kind} kind @param {boolean} isOn */
async function switchKind(kind, isOn) {
  const before = wished ?? settings;
  const mine = { ...before, kinds: { ...before.kinds, [kind]: isOn } };
  wished = mine;
  draw();
  await command("save_settings", { settings: mine });
  if (wished === mine) wished = null;
  await refresh();
}

async function togglePause() {
  const { pause } = popupView(told.status, [], settings, Date.now());
  await command(pause.command);
}

async function openGrok() {
  if (await command("open_grok")) window.close();
}

/**
 * Asks the background; says what went wrong, if it did.
 * @param {string} name
 * @param {Record<string, unknown>} [fields]
 */
async function command(name, fields) {
  const answer = await ask(name, fields);
  setText(byId("problem", HTMLElement), answer.ok ? "" : (answer.error ?? "That did not work."));
  return answer.ok;
}

/** @param {HTMLElement} element @param {string} selector @returns {HTMLElement} */
function part(element, selector) {
  const found = element.querySelector(selector);
  if (found instanceof HTMLElement) return found;
  throw new Error(`No ${selector} in ${element.tagName}.`);
}
