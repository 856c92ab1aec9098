// Input images: handed to the composer's own file input, and waited for until the page has taken them.

import { PageTrouble } from "../shared/troubles.js";
import { attach, filesOf } from "./composer.js";

/** @typedef {import("./context.js").Context} Context */

/**
 * Attaches the job's images. `place` is `chat` or `imagine`. Returns `post` where the page went on to a post of its
 * own with them, as it did in February 2026, else `composer`. Throws `PageTrouble` where the page refuses them.
 * @param {Context} context @param {"chat" | "imagine"} place
 * @returns {Promise<"composer" | "post">}
 */
export async function attachImages(context, place) {
  const { locator, job, traffic } = context;
  const address = locator.document.location.pathname;
  const files = filesOf(job.images);
  const uploads = traffic.uploads;
  const input = /** @type {HTMLInputElement} */ (await context.find(`${place}.files`));
  if (input.multiple || files.length === 1) attach(input, files);
  else throw new PageTrouble("option_refused", `The page takes one image, and the job has ${files.length}.`);
  return context.until(
    () => {
      if (locator.one("state.upload_failed")) throw new PageTrouble("upload_rejected", "The site refused the image.");
      if (locator.document.location.pathname !== address && locator.one("imagine.post_editor")) return "post";
      const isBusy = locator.one(`${place}.attachment_busy`) !== null;
      const shown = locator.all(`${place}.attachment`).length;
      const isSeen = shown >= files.length || (shown > 0 && traffic.uploads - uploads >= files.length);
      return isSeen && !isBusy ? "composer" : null;
    },
    locator.limit("upload_seconds"),
    () => new PageTrouble("upload_rejected", "The page did not take the image in time."),
  );
}
