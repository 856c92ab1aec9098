/** The words for states: every state has them, and docs/extension.md tells of the same ones. */

import assert from "node:assert/strict";
import { readFileSync, readdirSync } from "node:fs";
import test from "node:test";

import { KINDS } from "../../extension/shared/settings.js";
import {
  EXPLICIT_STATES,
  KIND_WORDS,
  OUTCOME_WORDS,
  PHASE_WORDS,
  asWords,
  wordsFor,
} from "../../extension/shared/states.js";
import { KIND_STATES, PAGE_STATES } from "../../extension/shared/troubles.js";

const ELEVEN = [
  ["needs_login", "needs_human", "rate_limited", "moderated", "paywalled", "page_stale"],
  ["selector_missing", "option_not_set", "submit_unknown", "stalled", "incomplete"],
].flat();
const CONNECTION = ["connected", "unreachable", "refused", "unknown"];
const PAGE = ["ready", "unknown", ...PAGE_STATES, ...KIND_STATES];

/** @param {string} path */
const page = (path) => readFileSync(new URL(`../../docs/${path}`, import.meta.url), "utf8");

test("there are eleven explicit states, in the order of the documents", () => {
  assert.deepEqual(Object.keys(EXPLICIT_STATES), ELEVEN);
});

for (const name of ELEVEN)
  test(`${name} says what it means and what it asks, as state of page and of job`, () => {
    const words = wordsFor("page", name);

    assert.deepEqual(wordsFor("job", name), words);
    for (const text of [words.meaning, words.asks]) assert.match(text, /^[A-Z].{9,}\.$/);
    assert.doesNotMatch(words.title, /_|\.$/);
  });

for (const [group, names] of /** @type {const} */ ([
  ["connection", CONNECTION],
  ["page", PAGE],
]))
  test(`every state of the ${group} has a meaning, and asks for something unless all is well`, () => {
    for (const name of names) {
      const { meaning, asks, severity } = wordsFor(group, name);
      assert.ok(meaning, name);
      assert.equal(asks === "", severity === "good", name);
    }
  });

test("a state that asks the person to act is of that severity, one that mends itself is not", () => {
  const asked = ELEVEN.filter((name) => EXPLICIT_STATES[name].severity === "act");

  assert.deepEqual(asked, ["needs_login", "needs_human", "paywalled", "selector_missing"]);
  for (const name of ELEVEN)
    assert.equal(
      /^Nothing/.test(EXPLICIT_STATES[name].asks),
      /wait|fault/.test(EXPLICIT_STATES[name].severity) && name !== "option_not_set",
    );
});

test("a state without words is shown by its own name", () => {
  assert.deepEqual(wordsFor("page", "on_the_moon"), {
    title: "On the moon",
    meaning: "",
    asks: "",
    severity: "fault",
  });
});

for (const name of ["constructor", "__proto__", "toString", ""])
  test(`the name ${JSON.stringify(name)} finds nothing that was not written down`, () => {
    assert.equal(wordsFor("job", name).meaning, "");
    assert.equal(wordsFor("job", name).title, asWords(name));
  });

test("a failure class that is no page state has a title of its own", () => {
  assert.equal(wordsFor("job", "download_failed").title, "The result could not be fetched");
});

test("every code that a page script can report has words", () => {
  const folder = new URL("../../extension/page/", import.meta.url);
  const text = readdirSync(folder)
    .map((name) => readFileSync(new URL(name, folder), "utf8"))
    .join("");
  const codes = new Set([...text.matchAll(/new PageTrouble\("(\w+)"/g)].map(([, code]) => code));

  assert.ok(codes.size > 10);
  for (const code of codes) assert.notEqual(wordsFor("job", code).title, asWords(code), code);
});

test("kinds and phases have words, the phases in the order of the documents", () => {
  const told = [
    ...page("job-life.md")
      .split("## Phases")[1]
      .split("## ")[0]
      .matchAll(/^\| `(\w+)`/gm),
  ];

  assert.deepEqual(
    Object.keys(PHASE_WORDS),
    told.map(([, name]) => name),
  );
  assert.deepEqual(Object.keys(KIND_WORDS), KINDS);
});

test("every outcome that the background writes has words", () => {
  assert.deepEqual(Object.keys(OUTCOME_WORDS), ["completed", "failed", "handed_back", "cancelled", "lost"]);
});

test("the document tells of every explicit state, by its title", () => {
  const table = page("extension.md").split("## What a state means")[1].split("\n## ")[0];
  const rows = [...table.matchAll(/^\| `(\w+)`<br>([^|]+?) \|/gm)].map(([, name, title]) => [name, title]);

  assert.deepEqual(
    rows,
    ELEVEN.map((name) => [name, EXPLICIT_STATES[name].title]),
  );
});
