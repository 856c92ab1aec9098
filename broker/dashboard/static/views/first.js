/**
 * What an empty broker shows: how to send the first job.
 */

import { h } from "../dom.js";

export function firstJob() {
  const command = [
    `curl ${location.origin}/v1/videos/generations \\`,
    '  -H "Content-Type: application/json" \\',
    '  -d \'{"model": "grok", "prompt": "A cat playing piano"}\'',
  ].join("\n");
  const copy = h("button", { type: "button", onclick: () => copied(copy, command) }, "Copy");
  return h(
    "div.first",
    {},
    h("h3", {}, "No job has been sent yet"),
    h("p", {}, "Send the first one from a terminal; it appears here at once."),
    h("div.command", {}, h("pre", {}, h("code", {}, command)), copy),
  );
}

/**
 * @param {HTMLElement} button
 * @param {string} text
 */
async function copied(button, text) {
  try {
    await navigator.clipboard.writeText(text);
    button.textContent = "Copied";
  } catch {
    button.textContent = "Select it and copy by hand";
  }
}
