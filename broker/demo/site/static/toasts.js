/** Short messages in the corner, marked up as the sonner library does. */
import { el, icon } from "./dom.js";

const SHOWN_SECONDS = 6;

const list = el("ol", { "data-sonner-toaster": "true", class: "toasts", tabindex: "-1" });

/** The place where toasts appear; it is there from the start, and empty. */
export function toastSection() {
  return el("section", { "aria-label": "Notifications alt+T", "aria-live": "polite", tabindex: "-1" }, list);
}

/**
 * @param {string} text
 * @param {"error" | "default"} type
 */
export function toast(text, type = "error") {
  const item = el(
    "li",
    { class: "toast", "data-sonner-toast": "", "data-type": type, "data-visible": "true", tabindex: "0" },
    icon(type === "error" ? "alert" : "copy"),
    el("div", { "data-content": "" }, el("div", { "data-title": "" }, text)),
  );
  list.append(item);
  setTimeout(() => item.remove(), SHOWN_SECONDS * 1000);
}
