/** What stays while the views change: the side bar, the place for a view, and the place for toasts. */
import { config } from "./config.js";
import { el, fill, icon } from "./dom.js";
import { toastSection } from "./toasts.js";
import { get } from "./traffic.js";
import { say } from "./words.js";

const SIGN_IN = "https://accounts.x.ai/sign-in";

export const main = el("main", { class: "main" });
const past = el("nav", { class: "past", "aria-label": "History" });

/** Puts the frame on the page. */
export function showFrame() {
  document.querySelector("#root")?.append(sideBar(), main, toastSection());
  if (!config.signed_in) document.body.append(signInLinks());
}

function sideBar() {
  return el(
    "aside",
    { class: "side-bar" },
    el("a", { href: "/", "aria-label": say("Home page"), class: "logo" }, icon("logo")),
    el("a", { href: "/", class: "entry" }, icon("plus"), say("New Chat")),
    el(
      "a",
      { href: "/c#private", "aria-label": "Switch to Private Chat", class: "entry" },
      icon("ghost"),
      "Private",
    ),
    el("a", { href: "/imagine", class: "entry" }, icon("image"), "Imagine"),
    el("a", { href: "/imagine/saved", class: "entry" }, icon("thumb"), "Saved"),
    el("div", { class: "past-title" }, "History"),
    past,
    config.signed_in && profile(),
  );
}

/** The picture of oneself: one more file input that no prompt goes along with. */
function profile() {
  const input = el("input", { type: "file", name: "avatar", accept: "image/*", class: "hidden-input" });
  const change = el(
    "button",
    { type: "button", class: "avatar", "aria-label": "Change avatar", click: () => input.click() },
    "SI",
  );
  return el("form", { class: "profile" }, change, input, el("span", {}, "Stand-in account"));
}

function signInLinks() {
  return el(
    "div",
    { class: "sign-in" },
    el("a", { href: SIGN_IN, class: "pill" }, say("Log in")),
    el("a", { href: `${SIGN_IN}?new=1`, class: "pill primary" }, say("Sign up")),
  );
}

/** Earlier conversations, newest first. */
export async function showPast() {
  if (!config.signed_in) return;
  const { conversations } = await get("/rest/app-chat/conversations").catch(() => ({ conversations: [] }));
  fill(
    past,
    conversations.map((/** @type {any} */ found) =>
      el(
        "a",
        { href: `/c/${found.conversationId}`, class: "entry past-entry", title: found.title },
        found.title,
      ),
    ),
  );
}
