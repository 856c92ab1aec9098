/** The page where films and pictures are made, and the page of all that were. */
import { upload } from "./attachments.js";
import { Composer } from "./composer.js";
import { config, isFebruary } from "./config.js";
import { el, fill, icon } from "./dom.js";
import { feed } from "./feed.js";
import { makeFilm } from "./films.js";
import { main } from "./frame.js";
import { Options } from "./options.js";
import { Batch, editPictures, makePictures, openSocket } from "./pictures.js";
import { go } from "./router.js";
import { post } from "./traffic.js";
import { paywall, tell } from "./troubles.js";

let sections = 0;

class Imagine {
  #isGone = false;

  constructor() {
    this.options = new Options();
    this.feed = feed("section");
    this.own = el("div", { class: "own" });
    this.hint = el("div", { class: "greeting" }, icon("image"), el("span", {}, "Imagine"));
    this.composer = this.#composer();
    const bar = el("div", { class: "query-bar dock" }, this.composer.element);
    fill(
      main,
      el(
        "div",
        { class: "imagine" },
        el("div", { class: "scroller" }, this.hint, this.own, this.feed.element),
        bar,
      ),
    );
    openSocket();
    if (config.paywall_on_load) paywall();
  }

  leave() {
    this.#isGone = true;
    this.feed.stop();
    this.composer.destroy();
  }

  #composer() {
    return new Composer({
      place: "imagine",
      kind: "rich",
      label: null,
      placeholder: "Type to imagine",
      submitLabel: "Submit",
      options: this.options.element,
      onSubmit: (text, images) => this.#send(text, images),
      onAttach: () => config.flip_to_image && this.options.backToImage(),
      onEscape: () => this.options.backToImage(),
      // The oldest page makes a post of the picture at once and moves there.
      onFiles: isFebruary ? (files) => void this.#moveToPicture(files).catch(tell) : null,
    });
  }

  /** @param {File[]} files */
  async #moveToPicture(files) {
    if (!files[0]) return;
    const uploaded = await upload(files[0]);
    const created = await (await post("/rest/media/post/create", { fileMetadataId: uploaded.id })).json();
    if (!this.#isGone) go(`/imagine/post/${created.post.id}`);
  }

  /**
   * @param {string} text
   * @param {import("./composer.js").Uploaded[]} images
   */
  async #send(text, images) {
    try {
      await (this.options.mode === "Video" ? this.#makeFilm(text, images) : this.#makePictures(text, images));
    } catch (error) {
      tell(error);
      throw error;
    }
  }

  /**
   * @param {string} text
   * @param {import("./composer.js").Uploaded[]} images
   */
  async #makeFilm(text, images) {
    const id = await makeFilm(text, images);
    if (id && !this.#isGone) go(`/imagine/post/${id}`);
  }

  /**
   * @param {string} text
   * @param {import("./composer.js").Uploaded[]} images
   */
  async #makePictures(text, images) {
    sections += 1;
    const batch = new Batch(`imagine-masonry-section-${sections}`);
    if (!config.accepts_silently) {
      this.own.prepend(batch.element);
      this.hint.hidden = true;
    }
    try {
      await (images.length ? editPictures(text, images, batch) : makePictures(text, batch));
    } catch (error) {
      batch.element.remove();
      throw error;
    }
  }
}

/** @returns {() => void} */
export function imagineView() {
  const page = new Imagine();
  return () => page.leave();
}

/** All posts of this account, newest first. */
export function savedView() {
  const list = el("div", { role: "list", class: "tiles" });
  fill(main, el("div", { class: "imagine" }, el("div", { class: "scroller" }, el("h1", {}, "Saved"), list)));
  post("/rest/media/post/list", {})
    .then((response) => response.json())
    .then(({ posts }) => fill(list, posts.map(savedTile)))
    .catch(tell);
}

/** @param {any} told */
function savedTile(told) {
  const first = told.pictures.find((/** @type {any} */ picture) => picture.url);
  const picture = first
    ? el("img", { src: first.url, alt: "" })
    : el("span", { class: "saved-kind" }, told.state);
  const link = el(
    "a",
    { href: `/imagine/post/${told.id}` },
    picture,
    el("span", { class: "truncate" }, told.originalPrompt),
  );
  return el("div", { role: "listitem", class: "tile saved" }, link);
}
