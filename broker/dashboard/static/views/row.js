/**
 * One line of the job list.
 */

import { h } from "../dom.js";
import { clock, moment, reason, size, words } from "../format.js";

/** @param {any} job */
export function jobRow(job) {
  return h(
    "li",
    {},
    h(
      "a.job",
      { href: `#/jobs/${job.id}` },
      h(`span.kind.${job.kind}`, { title: job.kind }, job.kind),
      h("span.prompt", {}, job.prompt_preview || "(no text)"),
      statePill(job),
      h("span.doing", {}, doing(job)),
      h("time", { "data-at": job.created, title: moment(job.created) }),
    ),
  );
}

/** @param {{status: string}} job */
export const statePill = (job) => h(`span.state.${job.status}`, {}, job.status);

/** Why a job waits, and until when where that is known. @param {any} job */
export function waiting(job) {
  const until = job.retry_at ? ` (again at ${clock(job.retry_at)})` : "";
  return (reason(job.waiting_reason) || "waits for its turn") + until;
}

/** @param {any} job */
function doing(job) {
  if (job.status === "processing") {
    const bar = h("progress", { max: 100, value: job.progress ?? 0, "aria-label": "Progress" });
    return h("span.step", {}, h("span", {}, words(job.phase ?? "working")), bar);
  }
  if (job.status === "failed") return job.error?.code ? words(job.error.code) : "";
  if (job.status === "pending") return waiting(job);
  if (job.late_result) return "a late result is kept";
  const count = job.image_urls.length;
  return [
    count > 0 && (count === 1 ? "1 image" : `${count} images`),
    job.video_seconds && `${job.video_seconds.toFixed(1)} s`,
    job.video_size && size(job.video_size),
    job.image_size && size(job.image_size),
  ]
    .filter(Boolean)
    .join(" · ");
}
