// Pairing with a broker that asks for keys: begins it, shows code and words, waits for the owner's word, keeps the key.
// The key is read here and in no page; it is sent to the broker that gave it, and to no other.

import { backoff, pause } from "../shared/backoff.js";
import { BrokerClient, BrokerRefusal, isPassing } from "./broker.js";
import { loadKey, loadPairing, loadSettings, saveKey, savePairing, workerId } from "./session.js";

/** @typedef {import("./session.js").PairingAsked} PairingAsked */
/** @typedef {import("./status.js").StatusBoard} StatusBoard */
/** @typedef {import("../shared/states.js").PairingShown} PairingShown */

const WAIT_SECONDS = 20;
/** No broker is asked more often, however quickly it answers. */
const LEAST_MS = 1000;
const MOST_SECONDS = 600;
const GOES_ON = ["pending", "confirmed"];
const ENDS = ["refused", "wrong_codes", "expired"];
/** What can stand in a header. */
const KEY = /^[\x21-\x7e]{1,200}$/;
/** A broker that confirmed at the last moment keeps the key this much longer. */
const GRACE_MS = 60_000;

/** A client of the broker at this address, with the key that this very broker gave. @param {string} url */
export async function brokerAt(url) {
  return new BrokerClient(url, await workerId(), await loadKey(url));
}

export class Pairing {
  /** @type {Pick<PairingShown, "state" | "detail">} how the last one ended, or what it waits for */
  #now = { state: "none", detail: "" };
  /** Of the pairing that is followed; another one has taken its place when it differs. */
  #nonce = "";

  /** @param {StatusBoard} board @param {() => void} onChange a key has come or gone */
  constructor(board, onChange) {
    this.board = board;
    this.onChange = onChange;
  }

  /** Goes on with a pairing that waits, after the service worker was ended. */
  async resume() {
    const asked = await loadPairing();
    if (asked && this.#nonce === "") await this.#carryOn(asked);
  }

  /**
   * Begins a pairing; one that waits already goes on. Answers as soon as there is a code to show.
   * @returns {Promise<{ok: boolean, error?: string}>}
   */
  async start() {
    const { brokerUrl, name } = await loadSettings();
    const waiting = await loadPairing();
    if (waiting?.url === brokerUrl && waiting.until > Date.now()) return { ok: true };
    const asked = { url: brokerUrl, nonce: newNonce(), name, id: "", code: "", words: [], until: 0 };
    // Before the call: asked again with the same nonce, the broker answers with the same pairing.
    await savePairing(asked);
    return this.#carryOn(asked);
  }

  /** Forgets the key, and tells the broker that it is to end. @returns {Promise<{ok: boolean, detail?: string}>} */
  async unpair() {
    const { brokerUrl } = await loadSettings();
    const broker = await brokerAt(brokerUrl);
    await saveKey(null);
    this.#nonce = "";
    await savePairing(null);
    const detail = await broker.unpair().then(
      () => "",
      (error) => (isOver(error) ? "" : "The broker could not be told: end the key there as well."),
    );
    await this.#show({ state: "none", detail });
    this.onChange();
    return { ok: true, detail };
  }

  /** As popup and options show it. @param {string} url @returns {Promise<PairingShown>} */
  async shown(url) {
    const asked = this.#now.state === "waiting" ? await loadPairing() : null;
    const { code, words, until } = asked ?? { code: "", words: [], until: 0 };
    return { isPaired: (await loadKey(url)) !== null, ...this.#now, code, words, until };
  }

  /** @param {PairingAsked} asked @returns {Promise<{ok: boolean, error?: string}>} */
  async #carryOn(asked) {
    this.#nonce = asked.nonce;
    const broker = new BrokerClient(asked.url, await workerId());
    try {
      if (!asked.id) await savePairing((asked = await begin(broker, asked)));
    } catch (error) {
      const detail = error instanceof Error ? error.message : String(error);
      await this.#end("failed", detail);
      return { ok: false, error: detail };
    }
    await this.#show({ state: "waiting", detail: "" });
    void this.#follow(broker, asked);
    return { ok: true };
  }

  /** Until the owner has said yes or no, or nobody has in time. @param {BrokerClient} broker @param {PairingAsked} asked */
  async #follow(broker, asked) {
    for (let tries = 0; this.#nonce === asked.nonce; ) {
      const askedAt = Date.now();
      if (askedAt > asked.until + GRACE_MS) return this.#end("expired");
      try {
        const { state, key } = await broker.pairing(asked.id, asked.nonce, WAIT_SECONDS);
        tries = 0;
        if (this.#nonce !== asked.nonce) return;
        if (state === "paired" && typeof key === "string" && KEY.test(key)) return await this.#take(asked.url, key);
        // The key went to a call of ours that did not live to keep it.
        if (state === "paired") return await this.#end("lost");
        if (ENDS.includes(state)) return await this.#end(state);
        if (!GOES_ON.includes(state)) return await this.#end("failed", "The broker's answer is not known here.");
        await pause(Math.max(0, LEAST_MS - (Date.now() - askedAt)));
        continue;
      } catch (error) {
        if (this.#nonce !== asked.nonce) return;
        if (!isPassing(error) && !isFull(error)) return this.#end(isGone(error) ? "expired" : "failed", messageOf(error));
      }
      await pause(backoff(++tries));
    }
  }

  /** @param {string} url @param {string} key */
  async #take(url, key) {
    await saveKey({ url, key });
    await this.#end("paired");
    this.onChange();
  }

  /** @param {string} state @param {string} [detail] */
  async #end(state, detail = "") {
    this.#nonce = "";
    await savePairing(null);
    await this.#show({ state, detail: state === "failed" ? detail : "" });
  }

  /** @param {Pick<PairingShown, "state" | "detail">} now */
  async #show(now) {
    this.#now = now;
    this.board.show({ pairing: await this.shown((await loadSettings()).brokerUrl) });
  }
}

/** @param {BrokerClient} broker @param {PairingAsked} asked @returns {Promise<PairingAsked>} */
async function begin(broker, asked) {
  const { pairing_id: id, code, words, expires_seconds: seconds } = await broker.pair(asked.nonce, asked.name);
  const shown = Array.isArray(words) ? words.slice(0, 3).map((word) => String(word).slice(0, 20)) : [];
  const until = Date.now() + 1000 * Math.min(MOST_SECONDS, Number(seconds) || 0);
  return { ...asked, id: String(id).slice(0, 100), code: String(code).slice(0, 8), words: shown, until };
}

/** 256 random bits, as text. */
function newNonce() {
  const bytes = crypto.getRandomValues(new Uint8Array(32));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

/** @param {unknown} error */
const messageOf = (error) => (error instanceof Error ? error.message : String(error));
/** The broker has forgotten it. @param {unknown} error */
const isGone = (error) => error instanceof BrokerRefusal && error.status === 404;
/** Too many calls wait for it: an old one of ours is not seen to be dead yet. @param {unknown} error */
const isFull = (error) => error instanceof BrokerRefusal && error.status === 429;
/** The key was not in force, or none is asked for. @param {unknown} error */
const isOver = (error) => error instanceof BrokerRefusal && [401, 404, 409].includes(error.status);
