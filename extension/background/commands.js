// What the popup and the options page may ask. Pages of the site cannot: commands come from the extension's own pages
// only, and anything else is not answered.

import { checkBrokerUrl, readSettings } from "../shared/settings.js";
import { testConnection } from "./connection_test.js";
import { loadSettings } from "./session.js";
import { show } from "./tabs.js";
import { packInUse } from "./pack.js";

/** @typedef {import("./worker.js").Worker} Worker */

/** @type {Record<string, (worker: Worker, message: Record<string, any>) => Promise<Record<string, any>>>} */
const COMMANDS = {
  pause: async (worker) => done(worker.pause(true)),
  resume: async (worker) => done(worker.pause(false)),
  open_grok: async () => done(show((await packInUse()).pack.addresses.chat)),
  self_test: async (worker) => worker.selfTest(),
  pair: async (worker) => worker.pairing.start(),
  unpair: async (worker) => worker.pairing.unpair(),
  test_connection: async (worker, { brokerUrl }) => testConnection(worker.board.now, brokerUrl ?? (await loadSettings()).brokerUrl),
  save_settings: saveSettings,
};

/**
 * Whether the message is a command of one of our own pages; if so it is obeyed and answered.
 * @param {Worker} worker @param {unknown} message @param {chrome.runtime.MessageSender} sender
 * @param {(answer: Record<string, any>) => void} answer
 */
export function obey(worker, message, sender, answer) {
  const { command } = /** @type {Record<string, any>} */ (message ?? {});
  const isOwnPage = sender.id === chrome.runtime.id && (sender.url ?? "").startsWith(chrome.runtime.getURL(""));
  if (!isOwnPage || typeof command !== "string" || !Object.hasOwn(COMMANDS, command)) return false;
  COMMANDS[command](worker, /** @type {any} */ (message)).then(answer, (error) => {
    answer({ ok: false, error: error instanceof Error ? error.message : String(error) });
  });
  return true;
}

/** @param {Promise<any>} deed */
async function done(deed) {
  await deed;
  return { ok: true };
}

/** @param {Worker} worker @param {Record<string, any>} message */
async function saveSettings(worker, message) {
  if (typeof message.settings !== "object" || message.settings === null) return { ok: false, error: "There are no settings." };
  const settings = { ...(await loadSettings()), ...message.settings };
  const checked = checkBrokerUrl(String(settings.brokerUrl ?? ""));
  if (!checked.ok) return { ok: false, error: checked.error };
  await chrome.storage.local.set({ settings: readSettings(settings) });
  worker.stir();
  return { ok: true };
}
