// What the drivers for films and pictures share: filling in the Imagine page, and knowing one's own post.

import { PageTrouble } from "../shared/troubles.js";
import { attachImages } from "./attachments.js";
import { refuseUnlessReady } from "./inspect.js";
import { flippedOptions, setOptions } from "./options.js";
import { squeezed } from "./traffic.js";
import { wantedOptions } from "./wanted.js";

/** A longer address, in characters, is not told as evidence. */
const LONGEST_ADDRESS = 250;
/** How many posts a job without evidence looks into. */
const POSTS_OPENED = 3;

/** @typedef {import("./context.js").Context} Context */

/**
 * Fills the form in and presses submit, once.
 * @param {Context} context
 */
export async function fillAndSubmit(context) {
  const { job, locator } = context;
  context.emit({ event: "phase", phase: "preparing" });
  refuseUnlessReady(locator);
  await context.find("imagine.editor");
  const wanted = wantedOptions(job);
  await setOptions(context, wanted);
  const place = job.images.length > 0 ? await attachImages(context, "imagine") : "composer";
  if (place === "post") return submitOnPost(context);
  // Attaching may have set the mode back.
  if (flippedOptions(context, wanted).length > 0) await setOptions(context, wanted);
  const editor = await context.find("imagine.editor");
  await context.write(editor);
  const flipped = flippedOptions(context, wanted);
  if (flipped.length > 0) await setOptions(context, wanted);
  await context.submit("imagine.submit", editor, baselineOf(context));
}

/** The page of February 2026 goes on to a post as soon as it has the image; the prompt is given there. */
async function submitOnPost(/** @type {Context} */ context) {
  // Before the post shows its image, a press would make a film without it.
  await context.find("imagine.post_image");
  const editor = await context.find("imagine.post_editor");
  await context.write(editor);
  await context.submit("imagine.post_submit", editor, { ...baselineOf(context), parent: postIn(context.path) });
}

/**
 * What is there before submit, so that only what is new is taken afterwards; short enough for the broker to keep.
 * @param {Context} context
 */
function baselineOf(context) {
  const media = mediaShown(context).filter((address) => address.length <= LONGEST_ADDRESS);
  return { path: context.path, posts: postsShown(context).slice(-40), media: media.slice(-15) };
}

/** Posts that the page links to or shows. @param {Context} context @returns {string[]} */
function postsShown({ locator }) {
  const links = /** @type {HTMLAnchorElement[]} */ (locator.all("imagine.posts"));
  return [...new Set(links.map((link) => postIn(link.pathname ?? "")).filter((id) => id !== null))];
}

/** Addresses of the films and pictures that the page shows, without what follows a `?`. @param {Context} context */
function mediaShown({ locator }) {
  const shown = [...locator.all("imagine.video"), ...locator.all("imagine.tile_image")];
  return shown.map(sourceOf).filter((address) => address !== "").map(plain);
}

/** @param {Element} element */
export function sourceOf(element) {
  const source = element instanceof HTMLVideoElement ? element.currentSrc || element.src : null;
  return source ?? (element instanceof HTMLImageElement ? element.currentSrc || element.src : "");
}

/** @param {string} address */
export const plain = (address) => address.split("?")[0];

/**
 * The site often names a path only. What is no address stays as it is, to be refused.
 * @param {Context} context @param {string} address
 */
export function absolute({ locator }, address) {
  const { base } = locator.pack.media;
  return URL.canParse(address, base) ? new URL(address, base).href : address;
}

/** The post's id in a path of the site. @param {string} path */
export const postIn = (path) => /^\/imagine\/post\/([\w-]{8,64})/.exec(path)?.[1] ?? null;

/**
 * Finds the post of a prompt that was submitted before: the one that the job's evidence names, or a new one. Whoever
 * else names a post, it is the job's only if it bears the job's prompt.
 * @param {Context} context
 */
export async function findOwnPost(context) {
  const { evidence, locator, job } = context;
  if (!evidence.post_id && !context.exchange()) return openNewPost(context);
  if (job.isSeen) return undefined;
  const lost = () => new PageTrouble("submit_unknown", "The post does not show the job's prompt.");
  const look = () => context.exchange() !== null || showsPrompt(context, evidence.post_id);
  await context.until(look, locator.limit("recover_seconds"), lost);
}

/**
 * Looks through the newest posts of one's own for one that shows this prompt and is no other job's. What was there
 * before submit, or belongs to an earlier job, is not even opened.
 * @param {Context} context
 */
async function openNewPost(context) {
  const { locator, job } = context;
  const known = new Set([...(context.evidence.baseline?.posts ?? []), ...job.others]);
  const seconds = locator.limit("element_seconds");
  const lost = () => new PageTrouble("submit_unknown", "No new post of one's own was found.");
  const fresh = await context.until(() => nonEmpty(postsShown(context).filter((id) => !known.has(id))), seconds, lost);
  for (const id of fresh.slice(0, POSTS_OPENED)) {
    const back = context.path;
    linkTo(context, id)?.click();
    const own = await context.until(() => showsPrompt(context, id), seconds, lost).catch(() => false);
    if (own) return context.tell({ post_id: id });
    locator.document.defaultView?.history.back();
    await context.settled(() => context.path === back && linkTo(context, id) !== undefined);
  }
  throw new PageTrouble("submit_unknown", `No new post shows the prompt of ${job.id}.`);
}

/** @param {Context} context @param {string} id */
function linkTo({ locator }, id) {
  const links = /** @type {HTMLAnchorElement[]} */ (locator.all("imagine.posts"));
  return links.find((link) => postIn(link.pathname) === id);
}

/** @template T @param {T[]} list */
const nonEmpty = (list) => (list.length > 0 ? list : null);

/** Whether the post that is open bears the job's own prompt. @param {Context} context @param {string} id */
function showsPrompt(context, id) {
  const { locator, job, traffic } = context;
  if (postIn(context.path) !== id) return false;
  const wanted = squeezed(job.prompt);
  if (squeezed(String(traffic.posts.get(id)?.originalPrompt ?? "")) === wanted) return true;
  return locator.all("imagine.prompt").some((element) => squeezed(element.textContent ?? "") === wanted);
}
