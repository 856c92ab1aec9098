/** A row of choices, one of them taken. */
import { config } from "./config.js";
import { el } from "./dom.js";
import { say } from "./words.js";

/**
 * @param {string} label in English
 * @param {string[]} values in English
 * @param {() => string} current
 * @param {(value: string) => void} choose
 */
export function radioGroup(label, values, current, choose) {
  const buttons = values.map((value) =>
    el(
      "button",
      {
        type: "button",
        role: "radio",
        class: "radio",
        "data-value": value,
        click: () => {
          if (config.radios_ignore_clicks) return;
          choose(value);
        },
      },
      say(value),
    ),
  );
  const element = el("div", { role: "radiogroup", "aria-label": say(label), class: "radios" }, buttons);
  const refresh = () => {
    for (const button of buttons) {
      const chosen = button.dataset.value === current();
      button.setAttribute("aria-checked", String(chosen));
      button.dataset.state = chosen ? "checked" : "unchecked";
    }
  };
  refresh();
  return { element, refresh };
}
