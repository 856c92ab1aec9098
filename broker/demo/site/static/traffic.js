/** The page's own requests, and how it reads a stream of objects. */

/** The server said no, or the line broke. */
export class Refused extends Error {
  /**
   * @param {number} status
   * @param {string} message
   * @param {boolean} isChallenge
   */
  constructor(status, message, isChallenge = false) {
    super(message);
    this.status = status;
    this.isChallenge = isChallenge;
  }
}

/**
 * @param {string} path
 * @param {unknown} body
 * @param {AbortSignal} [signal]
 */
export async function post(path, body, signal) {
  const headers = { "Content-Type": "application/json" };
  const response = await fetch(path, { method: "POST", headers, body: JSON.stringify(body), signal });
  if (!response.ok) throw await refusal(response);
  return response;
}

/** @param {string} path */
export async function get(path) {
  const response = await fetch(path, { cache: "no-store" });
  if (!response.ok) throw await refusal(response);
  return response.json();
}

/** @param {Response} response */
export async function refusal(response) {
  if (response.headers.get("cf-mitigated") === "challenge") {
    return new Refused(response.status, "Verify you are human to continue.", true);
  }
  const body = await response.json().catch(() => ({}));
  return new Refused(response.status, body?.error?.message ?? "Something went wrong.");
}

/**
 * The objects of a stream, by balanced braces: they need not stand on lines of their own.
 * @param {Response} response
 * @returns {AsyncGenerator<any>}
 */
export async function* objects(response) {
  if (!response.body) return;
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  const splitter = new Splitter();
  try {
    for (;;) {
      const { value, done } = await reader.read();
      if (done) return;
      for (const text of splitter.take(value)) yield JSON.parse(text);
    }
  } finally {
    // Whoever has seen enough lets the connection go.
    reader.cancel().catch(() => {});
  }
}

class Splitter {
  #text = "";
  #depth = 0;
  #inString = false;
  #escaped = false;

  /**
   * @param {string} piece
   * @returns {Generator<string>}
   */
  *take(piece) {
    for (const letter of piece) {
      if (this.#depth > 0 || letter === "{") this.#text += letter;
      this.#count(letter);
      if (this.#depth === 0 && this.#text) {
        yield this.#text;
        this.#text = "";
      }
    }
  }

  /** @param {string} letter */
  #count(letter) {
    if (this.#inString) {
      if (this.#escaped) this.#escaped = false;
      else if (letter === "\\") this.#escaped = true;
      else if (letter === '"') this.#inString = false;
    } else if (letter === '"' && this.#depth > 0) this.#inString = true;
    else if (letter === "{") this.#depth += 1;
    else if (letter === "}") this.#depth -= 1;
  }
}
