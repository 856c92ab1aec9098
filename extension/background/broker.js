// The worker protocol over fetch: one function a call, refusals by name. The only file that talks to the broker.

/** @typedef {import("../shared/settings.js").Kind} Kind */
/** @typedef {{id: string, token: string}} Lease */
/** @typedef {{job_id: string, job_type: Kind, prompt: string, image: string | null, images?: string[],
 *   request: Record<string, any> | null, lease_token: string, attempt: number, lease_seconds: number,
 *   action: "submit" | "recover", options: Record<string, any> | null, evidence: Record<string, any> | null,
 *   directives: string[]}} HandedJob */

const CALL_SECONDS = 30;
const UPLOAD_SECONDS = 900;

/** The broker said no; `code` says why. */
export class BrokerRefusal extends Error {
  /** @param {number} status @param {Record<string, any>} body */
  constructor(status, body) {
    super(String(body?.error?.message ?? body?.detail ?? `The broker answered ${status}.`));
    this.name = "BrokerRefusal";
    this.status = status;
    this.code = String(body?.error?.code ?? "");
    /** What the refusal tells beside its code. @type {Record<string, any>} */
    this.more = body?.error ?? {};
  }

  /** The broker asks for a key, and what it was sent, if anything, is none. */
  get isOfKey() {
    return this.status === 401;
  }

  /** The same call may succeed later. */
  get isPassing() {
    return this.status >= 500;
  }
}

/** The broker does not answer. */
export class BrokerUnreachable extends Error {
  name = "BrokerUnreachable";
}

/** Whether a call that failed so should simply be made again. @param {unknown} error */
export function isPassing(error) {
  return error instanceof BrokerUnreachable || (error instanceof BrokerRefusal && error.isPassing);
}

export class BrokerClient {
  /**
   * @param {string} url  without a slash at the end
   * @param {string} workerId
   * @param {string | null} [key]  that this broker gave
   */
  constructor(url, workerId, key = null) {
    this.url = url;
    this.workerId = workerId;
    this.#key = key;
  }

  /** @type {string | null} */
  #key;

  get hasKey() {
    return this.#key !== null;
  }

  /** @param {Record<string, any>} about @returns {Promise<Record<string, any>>} */
  async hello(about) {
    return (await this.#post("/extension/hello", about)).json();
  }

  /**
   * A job, or null with what the broker says instead.
   * @param {Kind[]} kinds @param {number} waitSeconds @param {AbortSignal} signal
   * @returns {Promise<{job: HandedJob | null, directives: string[], skipped: string, pauseMs: number}>}
   */
  async poll(kinds, waitSeconds, signal) {
    const query = new URLSearchParams([...kinds.map((kind) => ["mode", kind]), ["wait", String(waitSeconds)]]);
    const answer = await this.#call(`/extension/poll?${query}`, { method: "GET" }, waitSeconds + 10, signal);
    const skipped = answer.headers.get("X-Broker-Skipped") ?? "";
    if (answer.status !== 204) {
      const job = /** @type {HandedJob} */ (await answer.json());
      return { job, directives: job.directives ?? [], skipped, pauseMs: 0 };
    }
    const directives = (answer.headers.get("X-Broker-Directives") ?? "").split(",").map((word) => word.trim());
    const pauses = [Number(answer.headers.get("X-Next-Poll-Ms")), 1000 * Number(answer.headers.get("Retry-After"))];
    const pauseMs = Math.max(0, ...pauses.filter(Number.isFinite));
    return { job: null, directives: directives.filter(Boolean), skipped, pauseMs };
  }

  /** @param {Lease} lease @param {{phase?: string, progress?: number, evidence?: Record<string, any>}} news */
  async beat(lease, news) {
    return (await this.#post("/extension/beat", { ...named(lease), ...news })).json();
  }

  /** @param {Lease} lease @param {{seq: number, kind: string, delta: string}[]} chunks @returns {Promise<number>} the highest number stored */
  async chunks(lease, chunks) {
    const answer = await (await this.#post("/extension/chunks", { ...named(lease), chunks })).json();
    return Number(answer.stored_seq);
  }

  /** @param {Lease} lease @param {{content: string, reasoning: string | null, finish_reason?: string}} answer */
  async completeChat(lease, answer) {
    await this.#post("/extension/complete/chat", { ...named(lease), ...answer });
  }

  /** @param {Lease} lease @param {Blob} film */
  async putFilm(lease, film) {
    const headers = { "Content-Type": "video/mp4", "X-Lease-Token": lease.token };
    const path = `/extension/result/${encodeURIComponent(lease.id)}`;
    await this.#call(path, { method: "PUT", headers, body: film }, UPLOAD_SECONDS);
  }

  /** @param {Lease} lease @param {Blob[]} pictures */
  async postPictures(lease, pictures) {
    const form = new FormData();
    form.append("job_id", lease.id);
    form.append("lease_token", lease.token);
    pictures.forEach((picture, index) => form.append("image", picture, `image-${index}`));
    await this.#call("/extension/complete", { method: "POST", body: form }, UPLOAD_SECONDS);
  }

  /** @param {Lease} lease @param {{error: string, code: string, retry_at?: number | null}} failure */
  async error(lease, failure) {
    return (await this.#post("/extension/error", { ...named(lease), ...failure })).json();
  }

  /** @param {Lease} lease @param {string} reason */
  async release(lease, reason) {
    await this.#post("/extension/release", { ...named(lease), reason });
  }

  /** The broker's page pack, unchecked; null where it has none. @returns {Promise<unknown>} */
  async pack() {
    try {
      return await (await this.#call("/extension/pack", { method: "GET" })).json();
    } catch (error) {
      if (error instanceof BrokerRefusal && error.status === 404) return null;
      throw error;
    }
  }

  /** @param {string} nonce @param {string} name @returns {Promise<Record<string, any>>} */
  async pair(nonce, name) {
    return (await this.#post("/extension/pair", { nonce, name })).json();
  }

  /** @param {string} id @param {string} nonce @param {number} waitSeconds @returns {Promise<{state: string, key: string | null}>} */
  async pairing(id, nonce, waitSeconds) {
    const path = `/extension/pair/${encodeURIComponent(id)}?wait=${waitSeconds}`;
    const headers = { "X-Pairing-Nonce": nonce };
    return (await this.#call(path, { method: "GET", headers }, waitSeconds + 10)).json();
  }

  /** Ends the key that this client calls with. */
  async unpair() {
    await this.#call("/extension/unpair", { method: "POST" }, 5);
  }

  /** @returns {Promise<Record<string, any>>} */
  async health() {
    return (await this.#call("/health", { method: "GET" }, 5)).json();
  }

  /** @param {string} path @param {Record<string, any>} body */
  #post(path, body) {
    const headers = { "Content-Type": "application/json" };
    return this.#call(path, { method: "POST", headers, body: JSON.stringify(body) });
  }

  /** What every call says of its caller. @returns {Record<string, string>} */
  #own() {
    const named = { "X-Worker-Id": this.workerId };
    return this.#key === null ? named : { ...named, Authorization: `Bearer ${this.#key}` };
  }

  /**
   * @param {string} path @param {RequestInit} options @param {number} [seconds] @param {AbortSignal} [signal]
   * @returns {Promise<Response>}
   */
  async #call(path, options, seconds = CALL_SECONDS, signal) {
    const limit = AbortSignal.timeout(seconds * 1000);
    let answer;
    try {
      answer = await fetch(this.url + path, {
        ...options,
        headers: { ...options.headers, ...this.#own() },
        // Two polls that look the same would wait for one another in the cache.
        cache: "no-store",
        credentials: "omit",
        redirect: "error",
        signal: signal ? AbortSignal.any([signal, limit]) : limit,
      });
    } catch (error) {
      if (signal?.aborted) throw error;
      throw new BrokerUnreachable(`The broker at ${this.url} does not answer.`);
    }
    if (answer.ok) return answer;
    throw new BrokerRefusal(answer.status, await answer.json().catch(() => ({})));
  }
}

/** @param {Lease} lease */
const named = (lease) => ({ job_id: lease.id, lease_token: lease.token });
