/**
 * One worker that is here, or a word on how to get one.
 */

import { tellWorker } from "../api.js";
import { h } from "../dom.js";
import { reason } from "../format.js";

/**
 * @param {any} worker
 * @param {() => void} refresh
 */
export function workerCard(worker, refresh) {
  if (!worker.id) return nobody();
  const trouble = troubleOf(worker);
  return h(
    "li.worker",
    {},
    h(`span.lamp${worker.is_paused ? "" : trouble ? ".is-down" : ".is-live"}`),
    h("strong", { title: worker.id }, worker.name || worker.id),
    h(
      "span.tags",
      {},
      ...(worker.kinds ?? []).map((/** @type {string} */ kind) => h(`span.kind.${kind}`, {}, kind)),
    ),
    h("span.page", {}, worker.is_paused ? "paused" : trouble || "ready"),
    worker.page_detail && h("span.page", {}, worker.page_detail),
    h("span.seen"),
    pauseButton(worker, refresh),
    details(worker),
  );
}

/** What it said of itself, as it said it; folded away. @param {any} worker */
function details({ version, page_state, pack_version, capabilities, quota }) {
  const pairs = Object.entries({
    Version: version,
    "Page state": page_state,
    "Page pack": pack_version,
    Capabilities: told(capabilities),
    Quota: told(quota),
  }).filter(([, value]) => value);
  if (!pairs.length) return null;
  return h(
    "details.about",
    {},
    h("summary", {}, "details"),
    h("dl", {}, ...pairs.flatMap(([name, value]) => [h("dt", {}, name), h("dd", {}, value)])),
  );
}

/** @param {any} value */
const told = (value) => (Object.keys(value ?? {}).length ? JSON.stringify(value) : "");

/** Why it takes no job of some kind; empty when it takes them all. @param {any} worker */
function troubleOf(worker) {
  const reasons = new Set(Object.values(worker.aside ?? {}));
  return [...reasons].map(reason).join(", ");
}

/**
 * @param {any} worker
 * @param {() => void} refresh
 */
function pauseButton(worker, refresh) {
  const directive = worker.is_paused ? "resume" : "pause";
  const button = h("button.small", { type: "button" }, worker.is_paused ? "Resume" : "Pause");
  button.addEventListener("click", async () => {
    try {
      await tellWorker(worker.id, directive);
      refresh();
    } catch (error) {
      button.textContent = error instanceof Error ? error.message : String(error);
    }
  });
  return button;
}

function nobody() {
  return h(
    "li.worker.nobody",
    {},
    h("span.lamp"),
    h(
      "span",
      {},
      "No worker is here. Load the extension in a browser that is signed in to Grok, or try ",
    ),
    h("code", {}, "python -m broker.demo.worker"),
  );
}
