/**
 * Decides which view is on: reads the address behind the #, ends the old view, shows the new one.
 * Fetches nothing and draws nothing itself.
 */

import { onTrouble } from "./api.js";
import { byId } from "./dom.js";
import { show as showHome } from "./views/home.js";
import { show as showJob } from "./views/job.js";
import { show as showKey } from "./views/key.js";

/** @type {AbortController | undefined} */
let current;

/** Shows what the address asks for; the view that was on before is ended first. */
function route() {
  const { path, params } = place();
  const root = begin();
  const job = /^\/jobs\/([\w-]+)$/.exec(path);
  if (job) showJob(root.element, { id: job[1] }, root.signal);
  else showHome(root.element, params, root.signal);
}

/** @returns {{path: string, params: Record<string, string>}} */
function place() {
  const [path, query = ""] = location.hash.slice(1).split("?");
  return { path: path || "/", params: Object.fromEntries(new URLSearchParams(query)) };
}

/** An empty page, and the signal that ends whatever is put on it. */
function begin() {
  current?.abort();
  current = new AbortController();
  const element = byId("view");
  element.replaceChildren();
  return { element, signal: current.signal };
}

function askForKey() {
  const root = begin();
  showKey(root.element, { onReady: route }, root.signal);
}

onTrouble("unauthorized", askForKey);
addEventListener("hashchange", () => {
  route();
  byId("view").focus({ preventScroll: true });
  scrollTo(0, 0);
});
route();
