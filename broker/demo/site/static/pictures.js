/** Asks for pictures and shows a batch as tiles: over the socket, or the HTTP stream for an edit. */
import { config } from "./config.js";
import { el, fill, icon } from "./dom.js";
import { chosen } from "./options.js";
import { Refused, objects, post } from "./traffic.js";
import { toast } from "./toasts.js";
import { tell } from "./troubles.js";

/**
 * @typedef {import("./composer.js").Uploaded} Uploaded
 * @typedef {{ id: string, url: string | null, state: string }} Told
 */

/** @type {WebSocket | null} */
let socket = null;

/** By the id of the request. @type {Map<string, { frame: (frame: any) => void, lost: () => void }>} */
const batches = new Map();

/** Opened when /imagine is shown, as the real page does. */
export function openSocket() {
  if (!config.signed_in) return null;
  if (socket && socket.readyState <= WebSocket.OPEN) return socket;
  socket = new WebSocket(`wss://${location.host}/ws/imagine/listen`);
  socket.addEventListener("message", (message) => {
    const frame = JSON.parse(message.data);
    batches.get(frame.request_id)?.frame(frame);
  });
  socket.addEventListener("close", () => {
    for (const batch of batches.values()) batch.lost();
    batches.clear();
  });
  return socket;
}

/** The tiles of one submit. */
export class Batch {
  /** @type {Map<string, Tile>} */
  #tiles = new Map();

  /** @param {string} sectionId */
  constructor(sectionId) {
    this.list = el("div", { role: "list", class: "tiles" });
    this.element = el("section", { id: sectionId, class: "masonry" }, this.list);
  }

  /** @param {string} id */
  tile(id) {
    const found = this.#tiles.get(id) ?? new Tile(id);
    if (!this.#tiles.has(id)) this.list.append(found.element);
    this.#tiles.set(id, found);
    return found;
  }

  /**
   * A frame of the socket. A picture that comes before its end is a preview.
   * @param {any} frame
   */
  take(frame) {
    const tile = this.tile(frame.image_id);
    if (frame.type === "image") {
      if (frame.percentage_complete < 100) tile.preview(`data:image/jpeg;base64,${frame.blob}`);
      else tile.url = frame.url;
    } else if (frame.current_status === "completed") {
      tile.finish(frame.moderated);
      if (frame.moderated) toast("Content Moderated. Try a different idea.");
    }
  }

  /** @param {Told[]} pictures as the server remembers them */
  show(pictures) {
    for (const told of pictures) {
      const tile = this.tile(told.id);
      tile.url = told.url ?? "";
      if (told.state !== "running") tile.finish(told.state !== "done");
    }
  }
}

class Tile {
  #isFinished = false;

  /** @param {string} id */
  constructor(id) {
    this.id = id;
    this.url = "";
    this.canvas = el("canvas", { class: "rendering", width: "64", height: "96" });
    this.element = el("div", { role: "listitem", class: "tile" }, this.canvas);
  }

  /** @param {string} url */
  preview(url) {
    if (this.#isFinished) return;
    fill(this.element, el("img", { src: url, alt: "Loading", class: "preview" }), this.canvas);
  }

  /** @param {boolean} isModerated */
  finish(isModerated) {
    if (this.#isFinished) return;
    this.#isFinished = true;
    if (isModerated) {
      fill(
        this.element,
        el("img", { alt: "Moderated", class: "blocked" }),
        icon("eye-off", "icon lucide lucide-eye-off"),
      );
      return;
    }
    const picture = el("img", { src: this.url, alt: "Generated image" });
    fill(this.element, el("a", { href: `/imagine/post/${this.id}` }, picture));
  }
}

/**
 * Submits once; settles when the first frame shows that it was accepted.
 * @param {string} prompt
 * @param {Batch} batch
 * @returns {Promise<void>}
 */
export function makePictures(prompt, batch) {
  const line = openSocket();
  if (!line) return Promise.reject(new Refused(401, "Log in to continue."));
  const request = crypto.randomUUID();
  const sent = new Promise((/** @type {(value: void) => void} */ accepted, refused) => {
    const lost = () => refused(new Refused(0, "Connection lost. Please try again."));
    const frame = (/** @type {any} */ found) => {
      if (found.type === "error") {
        refused(new Refused(found.error.status, found.error.message));
        return;
      }
      accepted();
      batch.take(found);
    };
    batches.set(request, { frame, lost });
  });
  const properties = {
    aspect_ratio: chosen.aspect,
    enable_pro: chosen.speed === "Quality",
    number_of_images: config.image_count,
  };
  const content = [{ requestId: request, text: prompt, type: "input_text", properties }];
  const text = JSON.stringify({
    type: "conversation.item.create",
    timestamp: Date.now(),
    item: { type: "message", content },
  });
  if (line.readyState === WebSocket.OPEN) line.send(text);
  else line.addEventListener("open", () => line.send(text), { once: true });
  return config.accepts_silently ? Promise.resolve() : sent;
}

/**
 * Submits once, with pictures to start from.
 * @param {string} prompt
 * @param {Uploaded[]} images
 * @param {Batch} batch
 */
export async function editPictures(prompt, images, batch) {
  const imageReferences = images.map((image) => image.id);
  const model = { imageReferences, aspectRatio: chosen.aspect };
  const response = await post("/rest/app-chat/conversations/new", {
    temporary: true,
    modelName: "imagine-image-edit",
    message: prompt,
    fileAttachments: imageReferences,
    responseMetadata: { modelConfigOverride: { modelMap: { imageEditModelConfig: model } } },
  });
  if (!config.accepts_silently) void readEdit(response, batch).catch(tell);
}

/**
 * @param {Response} response
 * @param {Batch} batch
 */
async function readEdit(response, batch) {
  for await (const { result } of objects(response)) {
    const told = result?.response?.streamingImageGenerationResponse;
    if (!told) continue;
    const tile = batch.tile(told.imageId);
    if (!told.isFinal) continue;
    tile.url = told.imageUrl;
    tile.finish(told.moderated);
    if (told.moderated) toast("Content Moderated. Try a different idea.");
  }
}
