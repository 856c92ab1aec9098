// The first thing of ours in the page's isolated world: hears the observer from the first moment on, then loads the
// modules that do the work. A classic script, because Chromium starts content scripts as such; stops there.

(() => {
  /** @type {string[]} */
  const early = [];
  /** @type {{take: (text: string) => void, isThere: boolean}} */
  const observed = { take: (text) => void early.push(text), isThere: false };

  // Both scripts run before any script of the page, in either order. Whichever comes second calls the other; the
  // name of the channel is random, so the page, which comes later, knows no name to forge events under.
  /** @param {Event} event */
  const onHello = (event) => {
    document.removeEventListener("grok-broker:observer", onHello);
    const name = /** @type {CustomEvent} */ (event).detail;
    if (typeof name !== "string" || observed.isThere) return;
    event.preventDefault();
    observed.isThere = true;
    document.addEventListener(name, (sent) => {
      const text = /** @type {CustomEvent} */ (sent).detail;
      if (typeof text === "string") observed.take(text);
    });
  };
  document.addEventListener("grok-broker:observer", onHello);
  document.dispatchEvent(new CustomEvent("grok-broker:loader"));
  document.removeEventListener("grok-broker:observer", onHello);
  if (!observed.isThere) {
    // The observer comes second: it says hello as it starts, still before the page's own scripts.
    document.addEventListener("grok-broker:observer", onHello);
    document.addEventListener("readystatechange", () => document.removeEventListener("grok-broker:observer", onHello), {
      once: true,
    });
  }

  const main = chrome.runtime.getURL("page/main.js");
  void import(main).then((module) => module.start(observed, early));
})();
