/**
 * What the person has chosen: its defaults, how it is read back, and which broker addresses are taken.
 * Pure: it neither stores anything nor asks Chrome for anything.
 */

/** @typedef {"video" | "image" | "chat"} Kind */
/** @typedef {{brokerUrl: string, name: string, kinds: Record<Kind, boolean>}} Settings */
/** @typedef {{ok: true, url: string} | {ok: false, error: string}} CheckedUrl */

/** @type {readonly Kind[]} */
export const KINDS = Object.freeze(["video", "image", "chat"]);

/** The broker takes names up to this length. */
export const NAME_LENGTH = 100;

/** @type {Readonly<Settings>} */
export const DEFAULTS = Object.freeze({
  brokerUrl: "http://127.0.0.1:8000",
  name: "",
  kinds: Object.freeze({ video: true, image: true, chat: true }),
});

/**
 * Whole and valid settings, whatever was stored. What cannot be used gives way to its default.
 * @param {unknown} stored
 * @returns {Settings}
 */
export function readSettings(stored) {
  const { brokerUrl, name, kinds } = fieldsOf(stored);
  const checked = checkBrokerUrl(typeof brokerUrl === "string" ? brokerUrl : "");
  return {
    brokerUrl: checked.ok ? checked.url : DEFAULTS.brokerUrl,
    name: typeof name === "string" ? cleanName(name) : DEFAULTS.name,
    kinds: readKinds(fieldsOf(kinds)),
  };
}

/**
 * The address as it is kept (scheme, host and port alone), or what is wrong with it in a sentence.
 * @param {string} text
 * @returns {CheckedUrl}
 */
export function checkBrokerUrl(text) {
  const typed = text.trim();
  if (!typed) return refused("Type the broker's address, like http://127.0.0.1:8000.");
  const url = parsed(typed);
  const problem = url ? problemOf(url) : "This is not an address. Write it like http://127.0.0.1:8000.";
  return url && !problem ? { ok: true, url: url.origin } : refused(problem);
}

/**
 * Whether the address leads to this very machine, by name or by number.
 * @param {string} url
 */
export function isLoopback(url) {
  const host = parsed(url)?.hostname ?? "";
  return (
    host === "localhost" || host.endsWith(".localhost") || host === "[::1]" || /^127(\.\d+){3}$/.test(host)
  );
}

/**
 * What Chrome is asked for, so that the broker at this address may be called: that host and port alone.
 * @param {string} url as `checkBrokerUrl` gives it
 */
export const originPattern = (url) => `${url}/*`;

/** A name without control characters, no longer than the broker takes. @param {string} text */
export function cleanName(text) {
  const printable = text.replace(/\p{Cc}/gu, " ").trim();
  return [...printable].slice(0, NAME_LENGTH).join("").trim();
}

/** @param {string} typed @returns {URL | null} */
function parsed(typed) {
  // "localhost:8000" would be read as the scheme "localhost:".
  const whole = /^[a-z][a-z0-9+.-]*:(\/|[^0-9])/i.test(typed) ? typed : `http://${typed}`;
  return URL.canParse(whole) ? new URL(whole) : null;
}

/** What is wrong with an address, or the empty text. @param {URL} url */
function problemOf(url) {
  if (url.protocol !== "http:" && url.protocol !== "https:")
    return "The address begins with http:// or https://.";
  if (url.username || url.password) return "The address has no user name and no password.";
  if (url.pathname !== "/") return "The address ends after host and port: leave the path out.";
  if (url.search || url.hash) return "The address ends after host and port: leave what follows out.";
  if (url.hostname.includes("*")) return "The address names one host: a * is not one.";
  if (url.hostname === "0.0.0.0" || url.hostname === "[::]")
    return "A broker listens there, but it is called by another address: 127.0.0.1 on its own machine.";
  return "";
}

/** @param {string} error @returns {CheckedUrl} */
const refused = (error) => ({ ok: false, error });

/** @param {Record<string, unknown>} kinds @returns {Record<Kind, boolean>} */
function readKinds({ video, image, chat }) {
  return { video: video !== false, image: image !== false, chat: chat !== false };
}

/** @param {unknown} value @returns {Record<string, unknown>} */
const fieldsOf = (value) => Object(value);
