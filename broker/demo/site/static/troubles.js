/** What may stand between a person and their result: refusals, walls and banners. */
import { config } from "./config.js";
import { el, icon } from "./dom.js";
import { toast } from "./toasts.js";
import { Refused } from "./traffic.js";

/**
 * Tells the person why something was not done.
 * @param {unknown} error
 */
export function tell(error) {
  if (error instanceof Refused && error.isChallenge) humanCheck();
  else if (error instanceof Refused && error.status === 402) paywall();
  else if (error instanceof Refused) toast(error.message);
  else if (!(error instanceof DOMException)) toast("Something went wrong. Please try again.");
}

/** Banners and dialogs that wait for the person from the first moment on. */
export function standingTroubles() {
  if (config.cookie_banner) document.body.append(cookieBanner());
  if (config.age_dialog) {
    const attributes = { "data-analytics-name": "age_verification" };
    dialog(
      "Enter your birth year",
      "Imagine is for adults. Confirm your age to go on.",
      "Continue",
      attributes,
    );
  }
}

export function paywall() {
  if (location.hash !== "#subscribe") history.pushState({}, "", "#subscribe");
  dialog(
    "Unlock your creativity with Imagine",
    "Subscribe to SuperGrok to make more.",
    "Upgrade to continue",
  );
}

function humanCheck() {
  dialog(
    "Verify you are human",
    "grok.com needs to review the security of your connection.",
    "I am a person",
  );
}

/**
 * @param {string} title
 * @param {string} text
 * @param {string} action
 * @param {Record<string, string>} [attributes]
 */
function dialog(title, text, action, attributes = {}) {
  if (document.querySelector('[role="dialog"]')) return;
  const close = () => overlay.remove();
  const box = el(
    "div",
    {
      role: "dialog",
      "aria-modal": "true",
      "aria-label": title,
      class: "dialog",
      "data-state": "open",
      ...attributes,
    },
    el("h2", {}, title),
    el("p", {}, text),
    el("button", { type: "button", class: "primary", click: close }, action),
    el("button", { type: "button", class: "close", "aria-label": "Close", click: close }, icon("close")),
  );
  const overlay = el("div", { class: "overlay" }, box);
  document.body.append(overlay);
}

function cookieBanner() {
  const close = () => banner.remove();
  const banner = el(
    "div",
    {
      id: "onetrust-banner-sdk",
      "data-cookie-banner": "true",
      role: "region",
      "aria-label": "Cookie banner",
    },
    el("p", {}, "We use cookies to make this site work and to understand how it is used."),
    el("button", { id: "onetrust-reject-all-handler", type: "button", click: close }, "Reject All"),
    el(
      "button",
      { id: "onetrust-accept-btn-handler", type: "button", class: "primary", click: close },
      "Accept All Cookies",
    ),
  );
  return banner;
}
