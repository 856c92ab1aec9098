// The connection test: from the address to the page, step by step, so that the first that fails says what to do.

import { checkBrokerUrl, isLoopback, originPattern } from "../shared/settings.js";
import { BrokerClient, BrokerRefusal } from "./broker.js";
import { brokerAt } from "./pairing.js";

/** @typedef {{name: string, ok: boolean, detail: string}} Step */

/**
 * @param {import("./status.js").Status} status @param {string} address
 * @returns {Promise<{ok: boolean, steps: Step[]}>}
 */
export async function testConnection(status, address) {
  /** @type {Step[]} */
  const steps = [];
  const checked = checkBrokerUrl(address);
  const url = checked.ok ? checked.url : "";
  /** @type {[string, () => Promise<string>][]} */
  const plan = [
    ["address", async () => (checked.ok ? url : refuse(checked.error))],
    ["permission", () => permission(url)],
    ["reach", () => reach(url)],
    ["identity", () => identity(url)],
    ["hello", () => hello(url)],
    ["page", async () => pageStep(status)],
  ];
  for (const [name, deed] of plan) {
    try {
      steps.push({ name, ok: true, detail: await deed() });
    } catch (error) {
      steps.push({ name, ok: false, detail: error instanceof Error ? error.message : String(error) });
      return { ok: false, steps };
    }
  }
  return { ok: true, steps };
}

/** @param {string} why @returns {never} */
function refuse(why) {
  throw new Error(why);
}

/** @param {string} url */
async function permission(url) {
  if (await chrome.permissions.contains({ origins: [originPattern(url)] })) return "The extension may call this address.";
  const hint = isLoopback(url) ? "Use 127.0.0.1 or localhost, or save" : "Save";
  return refuse(`The extension may not call this address yet. ${hint} the address and allow it when Chrome asks.`);
}

/** @param {string} url */
async function reach(url) {
  try {
    await new BrokerClient(url, "").health();
    return "Something answers there.";
  } catch (error) {
    if (error instanceof BrokerRefusal) return `It answers with ${error.status}.`;
    return refuse(`Nothing answers at ${url}. Start the broker with: python3 run.py serve`);
  }
}

/** @param {string} url */
async function identity(url) {
  const health = await new BrokerClient(url, "").health().catch((error) => refuse(`It refused us: ${error.message}`));
  if (typeof health?.status !== "string") refuse("What answers there is no Grok Broker: it tells no health.");
  return `A Grok Broker${typeof health.version === "string" ? ` ${health.version}` : ""}.`;
}

/** @param {string} url */
async function hello(url) {
  // Asked without waiting and for nothing in particular: a hello would tell the broker less than it knows already.
  const broker = await brokerAt(url);
  try {
    await broker.pack();
    return broker.hasKey ? "The broker takes this browser's key." : "The broker lets this extension in.";
  } catch (error) {
    if (error instanceof BrokerRefusal && error.isOfKey) return refuse(keyTrouble(broker.hasKey));
    return refuse(`The broker does not let this extension in: ${error instanceof Error ? error.message : error}`);
  }
}

/** @param {boolean} hasKey */
const keyTrouble = (hasKey) =>
  hasKey
    ? "The broker does not take this browser's key any more. Pair it again."
    : "The broker asks for a key, and this browser has none yet. Pair it.";

/** @param {import("./status.js").Status} status */
function pageStep({ page }) {
  if (page.state === "ready") return "Grok's page is open and somebody is signed in.";
  if (page.state === "unknown") return "No page of Grok has been seen yet. It is opened with the first job.";
  return refuse(`Grok's page stands at ${page.state}. ${page.detail}`);
}
