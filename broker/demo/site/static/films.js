/** Asks for films, and knows how far each one is: from its stream, or by asking again after a reload. */
import { config, isAutumn, isFebruary } from "./config.js";
import { pause } from "./dom.js";
import { chosen } from "./options.js";
import { objects, post } from "./traffic.js";
import { toast } from "./toasts.js";

/**
 * @typedef {object} Film
 * @property {string} id
 * @property {"running" | "done" | "moderated" | "stopped"} state
 * @property {number} progress
 * @property {{ id: string, url: string }[]} videos
 * @property {string | null} conversationId
 * @property {string} prompt
 *
 * @typedef {import("./composer.js").Uploaded} Uploaded
 */

const LOOK_AGAIN_MS = 400;
const ASSETS = "https://assets.grok.com/";

/** Films whose stream this page is reading. @type {Map<string, Film>} */
const known = new Map();

/** @type {Set<(film: Film) => void>} */
const listeners = new Set();

/**
 * @param {string} id
 * @returns {Film | undefined}
 */
export const film = (id) => known.get(id);

/**
 * @param {(film: Film) => void} listener
 * @returns {() => void}
 */
export function onFilm(listener) {
  listeners.add(listener);
  return () => listeners.delete(listener);
}

/** @param {string} path as the site tells it: mostly without a host */
const address = (path) => (/^[a-z][a-z0-9+.-]*:/i.test(path) ? path : ASSETS + path);

/**
 * Submits once; settles when the site has accepted it and named the post.
 * @param {string} prompt
 * @param {Uploaded[]} images
 * @param {string} [parentPostId]
 * @returns {Promise<string | null>} the post's id, or null where the page is to show nothing
 */
export async function makeFilm(prompt, images, parentPostId = "") {
  const response = await post("/rest/app-chat/conversations/new", request(prompt, images, parentPostId));
  if (config.accepts_silently) return null;
  return new Promise((named, lost) => {
    read(response, prompt, named).catch(lost);
  });
}

/**
 * @param {Response} response
 * @param {string} prompt
 * @param {(id: string) => void} named
 */
async function read(response, prompt, named) {
  let conversationId = null;
  let id = "";
  for await (const { result, error } of objects(response)) {
    if (error) throw new Error(error.message);
    conversationId = result.conversation?.conversationId ?? conversationId;
    const told = result.response?.streamingVideoGenerationResponse;
    if (told) {
      id = isFebruary ? told.parentPostId : told.videoPostId;
      take(id, told, prompt, conversationId);
      named(id);
    }
    if (result.response?.modelResponse) break;
  }
  if (!id) throw new Error("The stream ended before it named a post.");
  // The line was cut while the site goes on: the rest is asked for.
  if (known.get(id)?.state === "running") void follow(id);
}

/**
 * @param {string} id
 * @param {any} told
 * @param {string} prompt
 * @param {string | null} conversationId
 */
function take(id, told, prompt, conversationId) {
  const before = told.progress < 100 ? undefined : known.get(id);
  const videos = before?.videos ?? [];
  const isDone = told.progress === 100 && told.videoUrl;
  if (isDone) videos.push({ id: told.videoId, url: address(told.videoUrl) });
  const state = told.moderated ? "moderated" : isDone ? "done" : "running";
  tell({ id, state, progress: told.progress, videos, conversationId, prompt });
}

/** @param {Film} film */
function tell(film) {
  const before = known.get(film.id);
  known.set(film.id, film);
  if (film.state === "moderated" && before?.state === "running")
    toast("Content Moderated. Try a different idea.");
  for (const listener of listeners) listener(film);
}

/**
 * What the server says about a post; follows it while it is being made.
 * @param {string} id
 * @param {() => boolean} isWanted
 * @returns {Promise<any>} what it said first
 */
export async function look(id, isWanted = () => true) {
  const told = (await (await post("/rest/media/post/get", { id })).json()).post;
  if (told.mediaType === "MEDIA_POST_TYPE_VIDEO") {
    tell(fromPost(told));
    if (told.state === "running") void follow(id, isWanted);
  }
  return told;
}

/**
 * @param {string} id
 * @param {() => boolean} isWanted
 */
async function follow(id, isWanted = () => true) {
  while (isWanted()) {
    await pause(LOOK_AGAIN_MS);
    const told = (await (await post("/rest/media/post/get", { id })).json()).post;
    tell(fromPost(told));
    if (told.state !== "running") return;
  }
}

/**
 * @param {any} told
 * @returns {Film}
 */
function fromPost(told) {
  return {
    id: told.id,
    state: told.state,
    progress: told.progress,
    videos: told.videos.map((/** @type {any} */ video) => ({ id: video.id, url: address(video.url) })),
    conversationId: told.conversationId,
    prompt: told.originalPrompt,
  };
}

/** @param {Film} film */
export async function cancel(film) {
  tell({ ...film, state: "stopped" });
  await post(`/rest/app-chat/conversations/${film.conversationId}/stop`, {});
}

/**
 * @param {string} prompt
 * @param {Uploaded[]} images
 * @param {string} parentPostId
 */
function request(prompt, images, parentPostId) {
  const common = {
    temporary: true,
    modelName: "imagine-video-gen",
    message: `${prompt} --mode=${prompt ? "custom" : "normal"}`,
    fileAttachments: images.map((image) => image.id),
    toolOverrides: { videoGen: true },
  };
  const seconds = parseInt(chosen.duration, 10);
  if (isAutumn) {
    const way = images.length > 1 ? "referenceToVideo" : images.length ? "imageToVideo" : "textToVideo";
    const input = {
      prompt,
      inputAssets: common.fileAttachments,
      aspectRatio: chosen.aspect,
      duration: seconds,
      resolutionName: chosen.resolution,
      mode: "custom",
    };
    return { ...common, kind: "CONVERSATION_KIND_IMAGINE", mediaGenInput: { [way]: input } };
  }
  const model = {
    parentPostId,
    aspectRatio: chosen.aspect,
    videoLength: seconds,
    resolutionName: chosen.resolution,
  };
  const override = { modelConfigOverride: { modelMap: { videoGenModelConfig: model } } };
  return { ...common, responseMetadata: override };
}
