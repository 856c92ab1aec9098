/** One post: a film that is being made or is done, a batch of pictures, or a picture to make a film of. */
import { Composer } from "./composer.js";
import { config, has, isAutumn, isFebruary } from "./config.js";
import { el, fill, icon, pause } from "./dom.js";
import { textField } from "./editors.js";
import { feed } from "./feed.js";
import { cancel, film, look, makeFilm, onFilm } from "./films.js";
import { main } from "./frame.js";
import { Options } from "./options.js";
import { Batch } from "./pictures.js";
import { go } from "./router.js";
import { get, post } from "./traffic.js";
import { tell } from "./troubles.js";
import { say } from "./words.js";

/** @typedef {import("./films.js").Film} Film */

const LANDED_MS = 150;
const LOOK_AGAIN_MS = 400;

class Post {
  #id;
  #isGone = false;
  #hasAsked = false;
  /** @type {Film["state"] | null} */
  #shown = null;
  /** @type {import("./composer.js").Uploaded | null} */
  #source = null;

  /** @param {string} id */
  constructor(id) {
    this.#id = id;
    this.feed = feed("beside");
    this.media = el("div", { class: "media" }, el("img", { alt: "Loading", class: "loading" }));
    this.prompt = el("p", { class: "prompt" });
    this.actions = el("div", { class: "actions" });
    const back = {
      role: "button",
      tabindex: "0",
      "aria-label": say("Back"),
      class: "round",
      click: () => go("/imagine"),
    };
    const head = el("div", { class: "post-head" }, el("div", back, icon("back")), this.prompt);
    this.article = el("article", { class: "post" }, head, this.media, this.actions);
    this.options = new Options(true);
    this.bar = isFebruary ? new OldBar((text) => this.#make(text)) : this.#composer();
    const dock = el("div", { class: "query-bar dock" }, this.bar.element);
    fill(
      main,
      el(
        "div",
        { class: "imagine" },
        el("div", { class: "scroller columns" }, this.article, this.feed.element),
        dock,
      ),
    );
    this.stopListening = onFilm((found) => found.id === id && this.#show(found));
    const running = film(id);
    if (running) this.#show(running);
    else void this.#load().catch((error) => this.#fail(error));
    if (isAutumn) void this.#appendConversation();
  }

  leave() {
    this.#isGone = true;
    this.stopListening();
    this.feed.stop();
    this.bar.destroy();
  }

  #composer() {
    return new Composer({
      place: "imagine",
      kind: "rich",
      label: null,
      placeholder: "Type to customize video",
      submitLabel: "Make video",
      options: this.options.element,
      onSubmit: (text, images) => this.#make(text, images),
    });
  }

  /**
   * @param {string} text
   * @param {import("./composer.js").Uploaded[]} [images]
   */
  async #make(text, images = []) {
    const from = this.#source ? [this.#source] : [];
    const parent = isFebruary ? this.#id : "";
    try {
      const id = await makeFilm(text, [...from, ...images], parent);
      if (id && id !== this.#id && !this.#isGone) go(`/imagine/post/${id}`);
    } catch (error) {
      tell(error);
      throw error;
    }
  }

  async #load() {
    const told = await look(this.#id, () => !this.#isGone);
    if (this.#isGone) return;
    this.prompt.textContent = told.originalPrompt;
    if (told.pictures.length) await this.#showPictures(told);
    else if (told.mediaType === "MEDIA_POST_TYPE_IMAGE") this.#showSource(told);
  }

  /** @param {any} told */
  async #showPictures(told) {
    const batch = new Batch("imagine-masonry-section-1");
    fill(this.media, batch.element);
    this.article.classList.add("batch");
    for (;;) {
      batch.show(told.pictures);
      if (told.state !== "running" || this.#isGone) return;
      await pause(LOOK_AGAIN_MS);
      told = (await (await post("/rest/media/post/get", { id: this.#id })).json()).post;
    }
  }

  /** @param {any} told */
  #showSource(told) {
    this.#source = { id: told.fileMetadataId, uri: told.mediaUrl, name: "", url: told.mediaUrl };
    fill(this.media, el("img", { src: told.mediaUrl, alt: "Uploaded image" }));
  }

  /** @param {unknown} error */
  #fail(error) {
    fill(this.media, el("p", { class: "gone" }, "This post is not available."));
    tell(error);
  }

  /** @param {Film} found */
  #show(found) {
    this.prompt.textContent = found.prompt;
    if (found.state === "running") this.#showProgress(found);
    else if (found.state !== this.#shown || found.videos.length > 1) this.#showEnd(found);
    this.#shown = found.state;
    if (this.bar instanceof OldBar) this.bar.showProgress(found.state === "running" ? found.progress : null);
  }

  /** @param {Film} found */
  #showProgress(found) {
    if (this.#shown !== "running") {
      this.percent = el("span", { class: "percent" });
      fill(this.media, el("div", { class: "rendering" }), isFebruary ? null : this.#overlay(found));
      fill(this.actions);
    }
    if (this.percent) this.percent.textContent = `${found.progress}%`;
  }

  /** @param {Film} found */
  #overlay(found) {
    const stop = {
      type: "button",
      "aria-label": say("Cancel Video"),
      class: "pill",
      click: () => void cancel(found).catch(tell),
    };
    const text = el("div", { class: "progress" }, el("span", {}, say("Generating")), this.percent);
    return el("div", { class: "progress-overlay" }, text, el("button", stop, say("Cancel Video")));
  }

  /** @param {Film} found */
  #showEnd(found) {
    if (found.state === "moderated") {
      fill(
        this.media,
        el("img", { alt: "Moderated", class: "blocked" }),
        icon("eye-off", "icon lucide lucide-eye-off"),
      );
    } else if (found.state === "stopped") {
      fill(this.media, el("p", { class: "gone" }, "Generation cancelled."));
    } else this.#showFilms(found);
  }

  /** @param {Film} found */
  #showFilms(found) {
    const videos = found.videos.map((video, side) => videoElement(video.url, side));
    fill(this.media, has("imagine.video") && videos[0], isFebruary && hdElement());
    if (videos.length > 1 && !this.#hasAsked) {
      this.#hasAsked = true;
      this.media.append(this.#question(videos));
    }
    const action = (/** @type {string} */ label, /** @type {string} */ picture) =>
      el("button", { type: "button", "aria-label": say(label), class: "round" }, icon(picture));
    fill(this.actions, action("Download", "download"), action("Redo", "redo"), action("Like", "thumb"));
    if (isAutumn && found.conversationId) void this.#readCards(found.conversationId).catch(tell);
  }

  /** @param {HTMLElement[]} videos */
  #question(videos) {
    const skip = () => panel.remove();
    const sides = videos.map((video) =>
      el(
        "div",
        {},
        video.cloneNode(true),
        el("button", { type: "button", class: "pill", click: skip }, "Prefer"),
      ),
    );
    const panel = el(
      "div",
      { class: "side-by-side" },
      el("h2", {}, "Which video do you prefer?"),
      el("div", { class: "sides" }, sides),
      el("button", { type: "button", class: "pill", click: skip }, "Skip"),
    );
    return panel;
  }

  /** @param {string} conversationId */
  #readCards(conversationId) {
    const kind = "conversationKind=CONVERSATION_KIND_IMAGINE";
    return get(`/rest/app-chat/conversations/${conversationId}/responses?${kind}`);
  }

  /** Shortly after landing the address tells the conversation as well. */
  async #appendConversation() {
    await pause(LANDED_MS);
    for (;;) {
      const found = film(this.#id);
      if (this.#isGone || !location.pathname.endsWith(this.#id)) return;
      if (found?.conversationId) {
        history.replaceState({}, "", `${location.pathname}?conversation=${found.conversationId}`);
        return;
      }
      await pause(LOOK_AGAIN_MS);
    }
  }
}

/**
 * @param {string} src
 * @param {number} side
 */
function videoElement(src, side) {
  const id = isAutumn || side > 0 ? null : "sd-video";
  return el("video", {
    id,
    src,
    controls: true,
    loop: true,
    playsinline: true,
    preload: "metadata",
    muted: true,
  });
}

/** The larger version is there as an element long before there is a file for it. */
function hdElement() {
  return el("video", { id: "hd-video", class: "hidden-input", playsinline: true, preload: "none" });
}

/** The oldest page's bar on a post: a plain field, and a button that hears pointers rather than clicks. */
class OldBar {
  /** @param {(text: string) => Promise<void>} make */
  constructor(make) {
    const options = new Options(true);
    this.field = textField("plain", {
      label: say("Make a video"),
      placeholder: say("Type to customize video"),
      onChange: () => {},
      onEnter: () => void press(),
    });
    const press = async () => {
      if (config.ignores_press) return;
      const text = this.field.text();
      if (!config.accepts_silently) this.field.setText("");
      await make(text).catch(() => this.field.setText(text));
    };
    this.options = el(
      "button",
      { type: "button", "aria-label": say("Video Options"), class: "pill" },
      el("span", {}, "Options"),
    );
    const button = this.#button(press);
    const row = el(
      "div",
      { class: "row" },
      options.element,
      this.options,
      el("div", { class: "end" }, has("imagine.submit") && button),
    );
    this.element = el("div", { class: "composer" }, has("imagine.editor") && this.field.element, row);
  }

  /** @param {() => void} press */
  #button(press) {
    const button = el(
      "button",
      { type: "button", "aria-label": say("Make video"), class: "send" },
      icon("up"),
    );
    let isDown = false;
    button.addEventListener("pointerdown", () => (isDown = true));
    button.addEventListener("click", () => {
      if (isDown) press();
      isDown = false;
    });
    return button;
  }

  /** @param {number | null} percent */
  showProgress(percent) {
    fill(this.options, el("span", {}, percent === null ? "Options" : `${percent}%`));
  }

  destroy() {
    this.field.destroy();
  }
}

/**
 * @param {string} id
 * @returns {() => void}
 */
export function postView(id) {
  const shown = new Post(id);
  return () => shown.leave();
}
