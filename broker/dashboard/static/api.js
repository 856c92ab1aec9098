/**
 * The only place that talks to the broker. Knows the admin door's calls and the key, if there is one;
 * knows nothing of what is shown.
 */

const KEY = "broker-key";

/** @type {Map<string, () => void>} */
const troubles = new Map();

/** A refusal or a broker that does not answer; `code` says which. */
export class ApiError extends Error {
  /**
   * @param {string} message
   * @param {string} code
   */
  constructor(message, code) {
    super(message);
    this.code = code;
  }
}

/**
 * Calls `deed` whenever a call fails with that code.
 * @param {string} code
 * @param {() => void} deed
 */
export function onTrouble(code, deed) {
  troubles.set(code, deed);
}

/** @param {AbortSignal} signal */
export const fetchHealth = (signal) => call("/", { signal });

/**
 * @param {{status?: string, kind?: string, limit: number}} wanted
 * @param {AbortSignal} signal
 */
export function fetchJobs(wanted, signal) {
  const given = Object.entries(wanted).filter(([, value]) => value);
  const query = new URLSearchParams(given.map(([name, value]) => [name, String(value)]));
  return call(`/jobs?${query}`, { signal });
}

/**
 * @param {string} id
 * @param {AbortSignal} signal
 */
export const fetchJob = (id, signal) => call(`/jobs/${encodeURIComponent(id)}`, { signal });

/** Cancels a job that is open, deletes one that has ended. @param {string} id */
export const deleteJob = (id) => call(`/jobs/${encodeURIComponent(id)}`, { method: "DELETE" });

/** Sends a job that has failed once more, as a new job. @param {string} id */
export const retryJob = (id) => call(`/jobs/${encodeURIComponent(id)}/retry`, { method: "POST" });

/** Workers that ask to be let in. @param {AbortSignal} signal */
export const fetchPairings = (signal) => call("/pairings", { signal });

/**
 * Lets a worker in, with the code that it shows.
 * @param {string} id
 * @param {string} code
 */
export function confirmPairing(id, code) {
  return call(`/pairings/${encodeURIComponent(id)}/confirm`, posted({ code }));
}

/** @param {string} id */
export const refusePairing = (id) => call(`/pairings/${encodeURIComponent(id)}`, { method: "DELETE" });

/**
 * Leaves word for a worker; it hears it on its next call.
 * @param {string} id
 * @param {string} directive
 */
export function tellWorker(id, directive) {
  return call(`/workers/${encodeURIComponent(id)}/directives`, posted({ directive }));
}

/** @param {Record<string, any>} body @returns {RequestInit} */
const posted = (body) => ({
  method: "POST",
  headers: { "Content-Type": "application/json" },
  body: JSON.stringify(body),
});

/** Keeps the key for as long as this browser tab lives. @param {string} key */
export function rememberKey(key) {
  if (key) sessionStorage.setItem(KEY, key);
  else sessionStorage.removeItem(KEY);
}

export const hasKey = () => sessionStorage.getItem(KEY) !== null;

/**
 * @param {string} path
 * @param {RequestInit} options
 * @returns {Promise<any>}
 */
async function call(path, options) {
  const response = await send(path, options);
  if (response.ok) return response.status === 204 ? null : response.json();
  const error = await refusal(response);
  troubles.get(error.code)?.();
  throw error;
}

/**
 * @param {string} path
 * @param {RequestInit} options
 */
async function send(path, options) {
  const key = sessionStorage.getItem(KEY);
  const headers = {
    Accept: "application/json",
    ...(key && { Authorization: `Bearer ${key}` }),
    ...options.headers,
  };
  try {
    return await fetch(path, { ...options, headers, cache: "no-store" });
  } catch (error) {
    if (options.signal?.aborted) throw error;
    throw new ApiError("The broker does not answer.", "unreachable");
  }
}

/** @param {Response} response */
async function refusal(response) {
  const body = await response.json().catch(() => null);
  const message = body?.error?.message ?? `The broker answered ${response.status}.`;
  const code = response.status === 401 ? "unauthorized" : (body?.error?.code ?? "unknown");
  return new ApiError(message, code);
}
