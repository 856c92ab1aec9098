// The service worker: adds every listener at once, as Chromium demands, starts the loop, and keeps itself alive while
// there is a broker to poll. Nothing else is here.

import { obey } from "./commands.js";
import { closeToPages } from "./session.js";
import { Worker } from "./worker.js";

const ALARM = "wake";
/** A service worker is ended after 30 s in which it called nothing of the extension API. */
const PULSE_MS = 20_000;

const worker = new Worker();

chrome.runtime.onConnect.addListener((port) => worker.pages.take(port));
chrome.runtime.onMessage.addListener((message, sender, answer) => obey(worker, message, sender, answer));
chrome.alarms.onAlarm.addListener(() => worker.start());
chrome.tabs.onRemoved.addListener((tab) => worker.pages.forgetTab(tab));
chrome.runtime.onStartup.addListener(() => worker.start());
chrome.runtime.onInstalled.addListener(() => worker.start());
chrome.storage.onChanged.addListener((changes, area) => {
  if (area === "local" && changes.settings) worker.stir();
});

setInterval(() => {
  void chrome.runtime.getPlatformInfo();
  for (const page of worker.pages.all()) page.tell({ do: "tick" });
}, PULSE_MS);

// Alarms do not survive an update of the extension, so it is made anew at each start.
void chrome.alarms.create(ALARM, { periodInMinutes: 0.5 });
void closeToPages().then(() => worker.start());
