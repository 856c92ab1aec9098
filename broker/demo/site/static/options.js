/** What a person can choose on /imagine: rows of radios, or in the oldest page one menu with all of it. */
import { config, has, isAutumn, isFebruary } from "./config.js";
import { el, fill } from "./dom.js";
import { menuButton } from "./menus.js";
import { radioGroup } from "./radios.js";
import { say } from "./words.js";

/** @typedef {{ mode: string, aspect: string, duration: string, resolution: string, speed: string }} Chosen */

const ASPECTS = ["2:3", "3:2", "1:1", "9:16", "16:9"];
const MODES = isAutumn ? ["Image", "Video", "Agent"] : ["Image", "Video"];
const DURATIONS = isAutumn ? ["6s", "10s", "15s"] : ["6s", "10s"];
const RESOLUTIONS = ["480p", "720p"];
const SPEEDS = ["Speed", "Quality"];

/** What was chosen last holds for the next view as well. @type {Chosen} */
export const chosen = { mode: "Image", aspect: "2:3", duration: "6s", resolution: "480p", speed: "Speed" };

export class Options {
  #isVideoOnly;

  /** @param {boolean} isVideoOnly on a post nothing but films can be made */
  constructor(isVideoOnly = false) {
    this.#isVideoOnly = isVideoOnly;
    this.element = el("div", { class: "options" });
    this.#show();
  }

  get mode() {
    return this.#isVideoOnly ? "Video" : chosen.mode;
  }

  backToImage() {
    this.#choose("mode", "Image");
  }

  /**
   * @param {keyof Chosen} name
   * @param {string} value
   */
  #choose(name, value) {
    chosen[name] = value;
    this.#show();
  }

  #show() {
    fill(this.element, isFebruary ? this.#menu() : this.#rows());
  }

  #rows() {
    const isVideo = this.mode === "Video";
    return [
      !this.#isVideoOnly && this.#radios("Generation mode", MODES, "mode"),
      this.mode === "Image" && this.#radios("Image generation speed", SPEEDS, "speed"),
      isVideo && this.#radios("Video resolution", RESOLUTIONS, "resolution"),
      isVideo && this.#radios("Video duration", DURATIONS, "duration"),
      has("imagine.aspect") && this.#aspects(),
    ];
  }

  /**
   * @param {string} label
   * @param {string[]} values
   * @param {keyof Chosen} name
   */
  #radios(label, values, name) {
    if (!has(`imagine.${name}`)) return null;
    return radioGroup(
      label,
      values,
      () => chosen[name],
      (value) => this.#choose(name, value),
    ).element;
  }

  #aspects() {
    const items = ASPECTS.map((aspect) => ({ name: aspect, value: aspect }));
    return menuButton(
      { "aria-label": say("Aspect Ratio") },
      () => chosen.aspect,
      () => [{ items, choose: (value) => this.#choose("aspect", value) }],
    ).element;
  }

  #menu() {
    /** @type {[string, string[], keyof Chosen][]} */
    const groups = [["Aspect Ratio", ASPECTS, "aspect"]];
    if (!this.#isVideoOnly) groups.unshift(["Generation mode", MODES, "mode"]);
    if (this.mode === "Video") groups.push(["Video duration", DURATIONS, "duration"]);
    if (this.mode === "Video") groups.push(["Video resolution", RESOLUTIONS, "resolution"]);
    return menuButton(
      { id: "model-select-trigger", "aria-label": say("Model select") },
      () => `${say(this.mode)} · ${chosen.aspect}`,
      () => groups.filter(([, , name]) => has(`imagine.${name}`)).map((group) => this.#group(...group)),
    ).element;
  }

  /**
   * @param {string} label
   * @param {string[]} values
   * @param {keyof Chosen} name
   */
  #group(label, values, name) {
    return {
      label: say(label),
      items: values.map((value) => ({ name: say(value), value })),
      value: () => chosen[name],
      choose: (/** @type {string} */ value) => config.radios_ignore_clicks || this.#choose(name, value),
    };
  }
}
