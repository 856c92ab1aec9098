// Cuts a growing text into the JSON objects in it, however they are separated: one a line, glued together, or behind
// `data:`. Pure.

/** Longest object that is waited for, in characters; a longer one is given up. */
const MOST = 24_000_000;

export class JsonStream {
  #rest = "";
  #at = 0;
  #depth = 0;
  #start = -1;
  #inString = false;
  #escaped = false;

  /**
   * Takes more text; returns the objects that are whole now. What is not JSON between them is dropped.
   * @param {string} text
   * @returns {Record<string, any>[]}
   */
  take(text) {
    this.#rest += text;
    const found = [];
    for (; this.#at < this.#rest.length; this.#at++) {
      if (!this.#step(this.#rest[this.#at])) continue;
      const parsed = parse(this.#rest.slice(this.#start, this.#at + 1));
      if (parsed) found.push(parsed);
      this.#start = -1;
    }
    this.#forget();
    return found;
  }

  /** @param {string} char  True when it closes an outermost object. */
  #step(char) {
    if (this.#inString) {
      if (this.#escaped) this.#escaped = false;
      else if (char === "\\") this.#escaped = true;
      else if (char === '"') this.#inString = false;
      return false;
    }
    if (char === '"' && this.#depth > 0) this.#inString = true;
    if (char === "{" && this.#depth++ === 0) this.#start = this.#at;
    return char === "}" && this.#depth > 0 && --this.#depth === 0;
  }

  /** Keeps only what may still become an object. */
  #forget() {
    const keep = this.#start < 0 ? this.#rest.length : this.#start;
    this.#rest = this.#rest.slice(keep);
    this.#at -= keep;
    if (this.#start >= 0) this.#start = 0;
    if (this.#rest.length > MOST) {
      this.#rest = "";
      this.#at = this.#depth = 0;
      this.#start = -1;
      this.#inString = this.#escaped = false;
    }
  }
}

/** @param {string} text @returns {Record<string, any> | null} */
function parse(text) {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}
