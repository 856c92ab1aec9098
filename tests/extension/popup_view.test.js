/** The popup: what it shows of each status; and that its files keep to text, to the policy and to their own ids. */

import assert from "node:assert/strict";
import { readFileSync, readdirSync } from "node:fs";
import test from "node:test";

import { NOTHING_KNOWN, ago, popupView, span, timeOfDay } from "../../extension/popup/view.js";
import { DEFAULTS } from "../../extension/shared/settings.js";

/** @typedef {import("../../extension/shared/states.js").Status} Status */
/** @typedef {import("../../extension/shared/states.js").PastJob} PastJob */

const NOW = new Date(2026, 10, 20, 14, 0, 0).getTime();
const MINUTE = 60_000;

/** A worker at rest, with what a test changes of it. @param {Partial<Status>} [changes] @returns {Status} */
const status = (changes = {}) => ({
  ...NOTHING_KNOWN,
  connection: { state: "connected", detail: "", at: NOW },
  page: { state: "ready", detail: "", at: NOW },
  ...changes,
});

/** @param {Partial<import("../../extension/shared/states.js").JobNow>} [changes] @returns {Status} */
const working = (changes = {}) => {
  /** @type {import("../../extension/shared/states.js").JobNow} */
  const job = {
    id: "j1",
    kind: "video",
    action: "submit",
    phase: "generating",
    progress: 42,
    note: "",
    since: NOW,
  };
  return status({ job: { ...job, ...changes } });
};

/** @param {Partial<PastJob>} [changes] @returns {PastJob} */
const past = (changes = {}) => ({
  id: "j0",
  kind: "chat",
  outcome: "completed",
  code: null,
  detail: null,
  startedAt: NOW - 2 * MINUTE,
  endedAt: NOW - MINUTE,
  ...changes,
});

/** @param {Status | undefined} told @param {PastJob[]} [history] @param {typeof DEFAULTS} [settings] */
const shown = (told, history = [], settings = DEFAULTS) => popupView(told, history, settings, NOW);

test("only a broker that asks for a key makes the popup offer pairing", () => {
  const connection = { state: "pairing_needed", detail: "", at: NOW };
  const view = shown(status({ connection }));

  assert.deepEqual([view.needsPairing, view.connection.title, view.connection.severity], [true, "Pairing needed", "act"]);
  assert.equal(shown(status()).needsPairing, false);
  assert.equal(shown(undefined).needsPairing, false);
});

test("before the background has told anything, nothing is claimed", () => {
  const view = shown(undefined);

  assert.equal(view.connection.severity, "quiet");
  assert.equal(view.page.title, "Not looked at yet");
  assert.equal(view.job, null);
  assert.equal(view.pack, "Page pack not read yet");
  assert.deepEqual(view.past, []);
});

test("a worker at rest shows two good lines, no demand and that it waits", () => {
  const view = shown(status());

  assert.deepEqual([view.connection.severity, view.page.severity], ["good", "good"]);
  assert.deepEqual([view.connection.text, view.page.text], ["", ""]);
  assert.equal(view.needsGrok, false);
  assert.equal(view.idle, "No job. Waiting for one.");
});

for (const state of ["needs_login", "needs_human", "paywalled"])
  test(`${state} asks the person to open Grok`, () => {
    const view = shown(status({ page: { state, detail: "", at: NOW } }));

    assert.equal(view.needsGrok, true);
    assert.match(view.page.text, /\. [A-Z].+\.$/);
    assert.equal(view.idle, "No job.");
  });

test("a changed page asks for the self-test, not for Grok, and shows what is missing", () => {
  const page = { state: "selector_missing", detail: "imagine.submit: none of its 4 rungs matches.", at: NOW };
  const pack = { ...NOTHING_KNOWN.pack, version: "7", missing: ["imagine.submit"] };
  const view = shown(status({ page, pack }));

  assert.equal(view.needsGrok, false);
  assert.match(view.page.text, /self-test/);
  assert.equal(view.page.detail, page.detail);
  assert.equal(view.packProblem, "1 element not found on the page: imagine.submit");
});

test("a broker out of reach is told with its reason", () => {
  const view = shown(status({ connection: { state: "unreachable", detail: "Failed to fetch", at: NOW } }));

  assert.equal(view.connection.severity, "act");
  assert.match(view.connection.text, /Start the broker/);
  assert.equal(view.connection.detail, "Failed to fetch");
});

test("a running job shows kind, phase, progress and how long it runs", () => {
  const { job } = shown(working({ since: NOW - 123_000 }));

  assert.equal(job?.title, "Video");
  assert.equal(job?.phase, "Grok is working");
  assert.deepEqual([job?.percent, job?.figure], [42, "42 %"]);
  assert.equal(job?.since, "Since 13:57, 2 min 3 s so far");
  assert.equal(job?.recovering, "");
});

test("a job that recovers says that nothing is submitted again", () => {
  assert.match(
    shown(working({ action: "recover" })).job?.recovering ?? "",
    /^Recovering: .*Nothing is submitted again/,
  );
});

test("a job without progress shows its step instead, and an unknown phase its own name", () => {
  const step = shown(working({ progress: 0, phase: "preparing" })).job;
  const strange = shown(working({ progress: 0, phase: "thinking_hard" })).job;

  assert.deepEqual([step?.percent, step?.figure], [null, "step 2 of 6"]);
  assert.deepEqual([strange?.phase, strange?.figure], ["Thinking hard", ""]);
});

test("progress stays between nothing and all", () => {
  assert.equal(shown(working({ progress: 250 })).job?.percent, 100);
  assert.equal(shown(working({ progress: -3 })).job?.percent, null);
});

test("the button pauses a worker that works and resumes one that is paused", () => {
  assert.deepEqual(shown(status()).pause, {
    isPaused: false,
    command: "pause",
    label: "Pause",
    title: "",
    text: "",
  });
  const paused = shown(status({ pausedBy: "person" }));
  assert.deepEqual(
    [paused.pause.command, paused.pause.label, paused.pause.title],
    ["resume", "Resume", "Paused"],
  );
  assert.equal(paused.idle, "No job, and none is taken while paused.");
});

test("a pause by the broker says who can end it", () => {
  const { title, text } = shown(status({ pausedBy: "broker" })).pause;

  assert.equal(title, "Paused by the broker");
  assert.match(text, /operator/);
});

test("the switches show the person's settings", () => {
  const settings = { ...DEFAULTS, kinds: { video: true, image: false, chat: true } };

  assert.deepEqual(
    shown(status(), [], settings).kinds.map(({ kind, isOn }) => [kind, isOn]),
    [
      ["video", true],
      ["image", false],
      ["chat", true],
    ],
  );
});

test("with every kind switched off it says so", () => {
  const settings = { ...DEFAULTS, kinds: { video: false, image: false, chat: false } };

  assert.equal(shown(status(), [], settings).idle, "All kinds are switched off.");
});

test("a kind that waits says until when, in whole minutes, as long as it does", () => {
  /** @param {number} waitsUntil */
  const note = (waitsUntil) => {
    const video = { enabled: true, waitsUntil, note: "Limit reached." };
    return shown(status({ kinds: { ...NOTHING_KNOWN.kinds, video } })).kinds[0].note;
  };

  assert.equal(note(NOW + 12 * MINUTE), "Waits until 14:12, 12 min from now. Limit reached.");
  assert.equal(note(NOW + 61 * MINUTE), "Waits until 15:01, 1 h 1 min from now. Limit reached.");
  assert.equal(note(NOW - 1), "Limit reached.");
});

test("a past job shows its outcome and code, and in its details what the code means", () => {
  const [line] = shown(status(), [
    past({ outcome: "failed", code: "moderated", detail: "A toast said so." }),
  ]).past;

  assert.deepEqual(
    [line.kind, line.outcome, line.severity, line.code],
    ["Chat", "Failed", "fault", "moderated"],
  );
  assert.equal(line.ago, "1 min ago");
  assert.equal(line.details[0], "Grok refused the content.");
  assert.ok(line.details.includes("A toast said so."));
  assert.ok(line.details.includes("Took 1 min 0 s, ended at 13:59."));
  assert.equal(line.hint, line.details.join("\n"));
});

test("a detail that repeats the title is shown once", () => {
  const [line] = shown(status(), [
    past({ outcome: "lost", code: "tab_closed", detail: "Grok's tab was closed." }),
  ]).past;

  assert.equal(line.details.filter((text) => text === "Grok's tab was closed.").length, 1);
});

test("ten past jobs are shown at most, each under a key of its own", () => {
  const history = Array.from({ length: 14 }, (_, place) => past({ endedAt: NOW - place * MINUTE }));
  const lines = shown(status(), history).past;

  assert.equal(lines.length, 10);
  assert.equal(new Set(lines.map(({ key }) => key)).size, 10);
});

test("the page pack shows its version and where it is from", () => {
  const pack = { ...NOTHING_KNOWN.pack, version: "2026.11.2" };

  assert.equal(shown(status({ pack })).pack, "Page pack 2026.11.2, bundled");
  assert.equal(
    shown(status({ pack: { ...pack, source: "broker" } })).pack,
    "Page pack 2026.11.2, from the broker",
  );
});

test("spans and ages are told in the largest units that matter", () => {
  assert.deepEqual([-5, 0, 59_400, 61_000, 3_660_000].map(span), [
    "0 s",
    "0 s",
    "59 s",
    "1 min 1 s",
    "1 h 1 min",
  ]);
  assert.deepEqual([0, MINUTE, 60 * MINUTE, 2880 * MINUTE].map(ago), [
    "just now",
    "1 min ago",
    "1 h ago",
    "2 days ago",
  ]);
  assert.equal(timeOfDay(NOW), "14:00");
});

// The files.

const ROOT = new URL("../../extension/", import.meta.url);
/** @param {string} path */
const source = (path) => readFileSync(new URL(path, ROOT), "utf8");
const scripts = ["popup/", "options/", "shared/"].flatMap((folder) =>
  readdirSync(new URL(folder, ROOT))
    .filter((name) => name.endsWith(".js"))
    .map((name) => folder + name),
);

for (const path of scripts)
  test(`${path} sets text as text only`, () => {
    assert.doesNotMatch(source(path), /innerHTML|outerHTML|insertAdjacentHTML|document\.write|srcdoc|eval\(/);
  });

for (const name of ["popup", "options"]) {
  const html = source(`${name}/${name}.html`);

  test(`${name}.html has no script and no style of its own in the page`, () => {
    assert.doesNotMatch(html, /<style|\sstyle=|\son\w+=|javascript:|<script(?![^>]*\ssrc=)/);
    assert.doesNotMatch(html, /(?:src|href)="(?:https?:)?\/\//);
  });

  test(`every id that ${name}.js asks for is in its page`, () => {
    const asked = [...source(`${name}/${name}.js`).matchAll(/(?:byId|onClick)\("([\w-]+)"/g)].map(
      ([, id]) => id,
    );

    assert.ok(asked.length > 5);
    for (const id of asked) assert.ok(html.includes(`id="${id}"`), id);
  });

  test(`what ${name}.html refers to by id is there, and each id once`, () => {
    const ids = [...html.matchAll(/\sid="([\w-]+)"/g)].map(([, id]) => id);
    const referred = [...html.matchAll(/(?:for|aria-labelledby|aria-describedby)="([^"]+)"/g)];

    assert.equal(new Set(ids).size, ids.length);
    for (const id of referred.flatMap(([, list]) => list.split(/\s+/))) assert.ok(ids.includes(id), id);
  });

  test(`every field of ${name}.html has a label`, () => {
    for (const [, id] of html.matchAll(/<input[^>]*\sid="([\w-]+)"/g))
      assert.match(html, new RegExp(`<label for="${id}"|<label[^>]*><input id="${id}"`), id);
  });
}
