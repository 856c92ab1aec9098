/**
 * One job: what was asked, how far it is, what came of it, and every attempt at it.
 */

import { ApiError, deleteJob, fetchJob, retryJob } from "../api.js";
import { h, keyed } from "../dom.js";
import { keepFresh } from "../live.js";
import { moment, ownPath, size, span, words } from "../format.js";
import { statePill, waiting } from "./row.js";

const LATE = "A result came after this job had ended. It is kept and not published.";
const PARTIAL = "The answer broke off. What had come of it is kept.";
const PHASES = ["assigned", "preparing", "submitted", "generating", "downloading", "uploading"];

/**
 * @param {HTMLElement} root
 * @param {{id: string}} params
 * @param {AbortSignal} signal
 */
export function show(root, params, signal) {
  const page = h("article.detail");
  root.append(h("p.back", {}, h("a", { href: "#/" }, "← All jobs")), page);
  const refresh = keepFresh(async () => {
    const job = await found(params.id, signal);
    keyed(
      page,
      job ? sections(job) : [{ part: "absent", id: params.id }],
      (item) => item.part,
      make,
    );
  }, signal);
  const make = (/** @type {Section} */ item) => MAKERS[item.part](item, refresh);
}

/** @typedef {{part: string, [name: string]: any}} Section */

/**
 * @param {string} id
 * @param {AbortSignal} signal
 */
async function found(id, signal) {
  try {
    return await fetchJob(id, signal);
  } catch (error) {
    if (error instanceof ApiError && error.code === "not_found") return null;
    throw error;
  }
}

/**
 * What there is to show. Each section holds only what it shows, so that it is renewed only when that changes:
 * a film that plays is left alone.
 * @param {any} job
 * @returns {Section[]}
 */
function sections(job) {
  const { id, kind, model, status, phase, progress, error } = job;
  const isOpen = status === "pending" || status === "processing";
  /** @type {(Section | false | null | undefined)[]} */
  const all = [
    { part: "head", id, kind, model, status, prompt: job.prompt_preview },
    status === "pending" && { part: "waiting", why: waiting(job) },
    status === "processing" && { part: "steps", phase, progress },
    error && { part: "error", code: error.code, message: error.message },
    status === "completed" && job.video_url && { part: "film", url: ownPath(job.video_url) },
    job.image_urls.length > 0 && { part: "pictures", urls: job.image_urls.map(ownPath) },
    job.text && { part: "answer", text: job.text },
    job.late_result && { part: "late", ...late(job.late_result) },
    { part: "facts", ...facts(job) },
    job.attempts?.length && { part: "attempts", attempts: job.attempts },
    { part: "actions", id, isOpen, canRetry: status === "failed" || status === "cancelled" },
  ];
  return all.flatMap((section) => section || []);
}

/** @param {any} result */
const late = ({ text, video_url, image_urls, finish_reason }) => ({
  text,
  film: video_url && ownPath(video_url),
  pictures: image_urls.map(ownPath),
  isPartial: finish_reason === "incomplete",
});

/** @param {any} job */
function facts(job) {
  const ended = job.finished_at ?? null;
  return {
    Created: moment(job.created),
    Started: job.started_at && moment(job.started_at),
    Finished: ended && moment(ended),
    "Tried again for": job.retry_of,
    Took: ended && job.started_at && span(ended - job.started_at),
    Worker: job.worker_id,
    Attempts: job.attempt || null,
    "Film size": job.video_size && size(job.video_size),
    "Size of the images": job.image_size && size(job.image_size),
  };
}

/** @type {Record<string, (item: Section, refresh: () => void) => HTMLElement>} */
const MAKERS = {
  absent: ({ id }) => h("p.nothing", {}, `There is no job ${id}. It may have been deleted.`),
  head: ({ id, kind, model, status, prompt }) =>
    h(
      "header",
      {},
      h(
        "div.labels",
        {},
        h(`span.kind.${kind}`, {}, kind),
        statePill({ status }),
        h("span.model", {}, model),
      ),
      h("h1", {}, prompt || "(no text)"),
      h("code.id", {}, id),
    ),
  waiting: ({ why }) => h("section.steps", {}, h("p", {}, why)),
  steps: stepList,
  error: ({ code, message }) =>
    h(
      "section.error",
      { role: "alert" },
      h("h2", {}, words(code ?? "error")),
      h("p", {}, message ?? ""),
    ),
  film: filmPlayer,
  pictures: ({ urls }) => h("section", {}, h("h2", {}, "Images"), gallery(urls)),
  answer: ({ text }) => h("section", {}, h("h2", {}, "Answer"), h("p.answer", {}, text)),
  late: ({ text, film, pictures, isPartial }) =>
    h(
      "section.late",
      {},
      h("p", {}, isPartial ? PARTIAL : LATE),
      text && h("p.answer", {}, text),
      film && h("a", { href: film, download: true }, "Save the late film"),
      pictures.length > 0 && gallery(pictures),
    ),
  facts: ({ part: _, ...pairs }) =>
    h(
      "dl.facts",
      {},
      ...Object.entries(pairs)
        .filter(([, value]) => value)
        .map(([name, value]) => h("div", {}, h("dt", {}, name), h("dd", {}, value))),
    ),
  attempts: attemptTable,
  actions: actionBar,
};

/** @param {Section} item */
function stepList({ phase, progress }) {
  const reached = PHASES.indexOf(phase);
  const steps = PHASES.map((name, place) =>
    h("li", { class: place < reached ? "is-done" : place === reached ? "is-now" : null }, name),
  );
  return h(
    "section.steps",
    {},
    h("ol.phases", {}, ...steps),
    h("progress", { max: 100, value: progress ?? 0, "aria-label": "Progress" }),
    h("span.percent", {}, `${progress ?? 0} %`),
  );
}

/** @param {Section} item */
function filmPlayer({ url }) {
  const lost = h(
    "p.nothing",
    { hidden: true },
    "The film cannot be played here. It may have been removed.",
  );
  const player = h("video", {
    src: url,
    controls: true,
    playsinline: true,
    preload: "metadata",
    onerror: () => (lost.hidden = false),
  });
  return h(
    "section.film",
    {},
    player,
    lost,
    h("a", { href: url, download: true }, "Save the film"),
  );
}

/** Pictures side by side, each a link to itself. @param {string[]} urls */
function gallery(urls) {
  const pictures = urls.map((url, place) =>
    h("a", { href: url, target: "_blank" }, h("img", { src: url, alt: `Image ${place + 1}`, loading: "lazy" })),
  );
  return h("div.pictures", {}, ...pictures);
}

/** @param {Section} item */
function attemptTable({ attempts }) {
  const titles = ["#", "Worker", "Got as far as", "Outcome", "Took"];
  const rows = attempts.map((/** @type {any} */ one) =>
    h(
      "tr",
      {},
      h("td", {}, one.number),
      h("td", {}, one.worker_id ?? ""),
      h("td", {}, one.phase ?? ""),
      h("td", {}, outcome(one)),
      h("td", {}, one.ended_at ? span(one.ended_at - one.claimed_at) : "under way"),
    ),
  );
  return h(
    "section.attempts",
    {},
    h("h2", {}, "Attempts"),
    h(
      "table",
      {},
      h("thead", {}, h("tr", {}, ...titles.map((title) => h("th", { scope: "col" }, title)))),
      h("tbody", {}, ...rows),
    ),
  );
}

/** @param {any} one */
function outcome(one) {
  const parts = [one.outcome ?? "under way", one.failure && words(one.failure), one.detail];
  return parts.filter(Boolean).join(" · ");
}

/**
 * @param {Section} item
 * @param {() => void} refresh
 */
function actionBar({ id, isOpen, canRetry }, refresh) {
  const said = h("span.said", { role: "status" });
  const told = async (/** @type {() => Promise<any>} */ deed) => {
    try {
      await deed();
    } catch (error) {
      said.textContent = error instanceof Error ? error.message : String(error);
    }
  };
  const again = () =>
    told(async () => {
      location.hash = `#/jobs/${(await retryJob(id)).id}`;
    });
  const end = () => told(() => deleteJob(id).then(refresh));
  return h(
    "div.actions",
    {},
    canRetry && h("button", { type: "button", onclick: again }, "Try again"),
    isOpen
      ? asking("Cancel this job", "Really cancel?", end)
      : asking("Delete this job", "Really delete, with all it left?", end),
    said,
  );
}

/**
 * A button that asks once more before it acts.
 * @param {string} name
 * @param {string} question
 * @param {() => Promise<void>} deed
 */
function asking(name, question, deed) {
  const button = h("button.danger", { type: "button" }, name);
  const arm = (/** @type {boolean} */ isArmed) => {
    button.classList.toggle("is-armed", isArmed);
    button.textContent = isArmed ? question : name;
  };
  button.addEventListener("blur", () => arm(false));
  button.addEventListener("click", () => {
    const isMeant = button.classList.contains("is-armed");
    arm(!isMeant);
    if (isMeant) deed();
  });
  return button;
}
