// What the popup and the options page show: one object in session storage, written here and nowhere else.

import { KINDS } from "../shared/settings.js";

/** @typedef {import("../shared/settings.js").Kind} Kind */
/** @typedef {import("../shared/states.js").Status} Status */

/** @returns {Status} */
function unknownStatus() {
  const kind = () => ({ enabled: true, waitsUntil: null, note: "" });
  return {
    connection: { state: "unknown", detail: "", at: 0 },
    page: { state: "unknown", detail: "", at: 0 },
    pausedBy: null,
    kinds: /** @type {Status["kinds"]} */ (Object.fromEntries(KINDS.map((name) => [name, kind()]))),
    job: null,
    pack: { version: "", source: "bundled", missing: [] },
    pairing: { isPaired: false, state: "none", code: "", words: [], until: 0, detail: "" },
  };
}

/** The badge of each situation: the person sees without opening anything whether it works or waits for them. */
const BADGES = {
  trouble: { text: "!", color: "#c2410c" },
  paused: { text: "II", color: "#52525b" },
  working: { text: "…", color: "#15803d" },
  idle: { text: "", color: "#15803d" },
};

export class StatusBoard {
  #status = unknownStatus();
  #written = "";
  /** @type {Promise<void>} */
  #writing = Promise.resolve();

  get now() {
    return this.#status;
  }

  /** @param {Partial<Status>} news */
  show(news) {
    this.#status = { ...this.#status, ...news };
    const text = JSON.stringify(this.#status);
    if (text === this.#written) return;
    this.#written = text;
    const status = this.#status;
    this.#writing = this.#writing.then(() => write(status)).catch(() => {});
  }

  /** Whether the broker could be reached. @param {string} state @param {string} [detail] */
  connection(state, detail = "") {
    const { connection } = this.#status;
    if (connection.state !== state || connection.detail !== detail) {
      this.show({ connection: { state, detail, at: Date.now() } });
    }
  }
}

/** @param {Status} status */
async function write(status) {
  await chrome.storage.session.set({ status });
  const badge = BADGES[situationOf(status)];
  await chrome.action.setBadgeText({ text: badge.text });
  await chrome.action.setBadgeBackgroundColor({ color: badge.color });
}

/** @param {Status} status @returns {keyof typeof BADGES} */
function situationOf(status) {
  if (status.pausedBy) return "paused";
  const isWell = status.connection.state === "connected" || status.connection.state === "unknown";
  if (!isWell || !["ready", "unknown"].includes(status.page.state)) return "trouble";
  return status.job ? "working" : "idle";
}
