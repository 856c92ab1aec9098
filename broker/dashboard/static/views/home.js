/**
 * The first page: how many jobs there are in each state, who is here to do them, and the newest of them.
 */

import { fetchHealth, fetchJobs, fetchPairings } from "../api.js";
import { byId, h, keyed } from "../dom.js";
import { age, span } from "../format.js";
import { keepFresh } from "../live.js";
import { firstJob } from "./first.js";
import { pairingCard } from "./pairing.js";
import { jobRow } from "./row.js";
import { workerCard } from "./worker.js";

const STATES = ["pending", "processing", "completed", "failed", "cancelled"];
const KINDS = { "": "All", video: "Video", image: "Image", chat: "Chat" };
const PAGE = 50;
const MOST = 500;

/**
 * @param {HTMLElement} root
 * @param {{status?: string, kind?: string}} params
 * @param {AbortSignal} signal
 */
export function show(root, params, signal) {
  const parts = frame(params);
  root.append(parts.page);
  let limit = PAGE;
  const refresh = keepFresh(async () => {
    const wanted = { status: params.status, kind: params.kind, limit };
    const asked = [fetchHealth(signal), fetchJobs(wanted, signal), fetchPairings(signal)];
    const [health, jobs, pairings] = await Promise.all(asked);
    showPairings(parts, pairings.data, () => refresh());
    showHealth(health, parts, params);
    showWorkers(parts, health.workers, () => refresh());
    showJobs(parts, jobs.data, params);
    parts.more.hidden = !jobs.has_more || limit >= MOST;
  }, signal);
  parts.more.addEventListener("click", () => {
    limit = Math.min(MOST, limit + PAGE);
    refresh();
  });
}

/**
 * The parts of the page that stay; only what is in them is renewed.
 * @param {{status?: string, kind?: string}} params
 */
function frame(params) {
  const parts = {
    alarm: h(
      "p.alarm",
      { role: "alert", hidden: true },
      "The disk is nearly full: no new job is taken.",
    ),
    pairings: h("ul.pairings", { "aria-live": "polite" }),
    counts: h("nav.counts", { "aria-label": "Jobs by state" }),
    workers: h("ul.workers"),
    jobs: h("ul.jobs"),
    empty: h("div"),
    more: h("button.more", { type: "button", hidden: true }, "Show more"),
  };
  const page = h(
    "div.home",
    {},
    parts.alarm,
    parts.pairings,
    parts.counts,
    h("section", {}, h("h2", {}, "Workers"), parts.workers),
    h(
      "section",
      {},
      h("div.heading", {}, h("h2", {}, "Jobs"), kinds(params)),
      parts.jobs,
      parts.empty,
    ),
    parts.more,
  );
  return { page, ...parts };
}

/** @param {{status?: string, kind?: string}} params */
function kinds(params) {
  const links = Object.entries(KINDS).map(([kind, name]) => {
    const isOn = (params.kind ?? "") === kind;
    return h("a", { href: address({ ...params, kind }), "aria-current": isOn && "true" }, name);
  });
  return h("nav.kinds", { "aria-label": "Kind of job" }, ...links);
}

/**
 * @param {any} health
 * @param {ReturnType<typeof frame>} parts
 * @param {{status?: string, kind?: string}} params
 */
function showHealth(health, parts, params) {
  const counts = STATES.map((state) => ({ state, count: health.jobs?.[state] ?? 0, params }));
  keyed(parts.counts, counts, (item) => item.state, countTile);
  byId("version").textContent = health.version ? `v${health.version}` : "";
  const busy = health.jobs?.processing;
  document.title = busy ? `(${busy}) Grok Broker` : "Grok Broker";
  parts.alarm.hidden = !health.disk_full;
}

/**
 * When each was seen is written beside the cards' renewal: it changes all the time, the cards hardly ever.
 * @param {ReturnType<typeof frame>} parts
 * @param {any[]} workers
 * @param {() => void} refresh
 */
function showWorkers(parts, workers, refresh) {
  const shown = workers.map(({ last_seen_seconds: _, ...steady }) => steady);
  const make = (/** @type {any} */ worker) => workerCard(worker, refresh);
  keyed(parts.workers, shown.length ? shown : [{}], (item) => item.id ?? "none", make);
  parts.workers.querySelectorAll(".seen").forEach((element, place) => {
    element.textContent = `seen ${span(workers[place].last_seen_seconds)} ago`;
  });
}

/**
 * A card stays as it is while somebody types in it: what changes of a pairing is not shown on it.
 * @param {ReturnType<typeof frame>} parts
 * @param {any[]} pairings
 * @param {() => void} refresh
 */
function showPairings(parts, pairings, refresh) {
  const shown = pairings.map(({ id, name, words, address }) => ({ id, name, words, address }));
  const make = (/** @type {any} */ pairing) => pairingCard(pairing, refresh);
  keyed(parts.pairings, shown, (item) => item.id, make);
}

/** @param {{state: string, count: number, params: {status?: string, kind?: string}}} item */
function countTile({ state, count, params }) {
  const isOn = params.status === state;
  const href = address({ ...params, status: isOn ? "" : state });
  return h(
    `a.count.${state}`,
    { href, "aria-current": isOn && "true" },
    h("strong", {}, count.toLocaleString()),
    h("span", {}, state),
  );
}

/**
 * @param {ReturnType<typeof frame>} parts
 * @param {any[]} jobs
 * @param {{status?: string, kind?: string}} params
 */
function showJobs(parts, jobs, params) {
  keyed(parts.jobs, jobs, (job) => job.id, jobRow);
  const isFiltered = Boolean(params.status || params.kind);
  keyed(parts.empty, jobs.length ? [] : [{ isFiltered }], () => "empty", emptyState);
  const now = Date.now() / 1000;
  for (const time of parts.jobs.querySelectorAll("time")) {
    time.textContent = age(Number(time.dataset.at), now);
  }
}

/** @param {{isFiltered: boolean}} item */
function emptyState({ isFiltered }) {
  if (!isFiltered) return firstJob();
  return h("p.nothing", {}, "No job matches. ", h("a", { href: "#/" }, "Show all"));
}

/** @param {Record<string, string | undefined>} params */
function address(params) {
  const given = Object.entries(params).filter(([, value]) => value);
  const query = new URLSearchParams(given.map(([name, value]) => [name, String(value)])).toString();
  return query ? `#/?${query}` : "#/";
}
