// The pages of the site that are open, each at the end of a line of its own. What comes from a page is data about the
// page: it is checked here for where it comes from and what shape it has, and it can command nothing.

const SITE = "https://grok.com";
/** A page whose line breaks is given this long to call again; a page that is gone will not. */
const GONE_MS = 3000;
const MOST_CHARS = 4_000_000;
const MOST_KEPT = 20_000;

/** @typedef {Record<string, any> & {event: string}} PageEvent */

export class Page {
  /** @type {string | null} what it is running, as `job/attempt` */
  running = null;
  /** @type {string[]} jobs that it has submitted */
  did = [];
  isGone = false;
  /** @type {() => void} */
  onGone = () => {};
  /** Highest number of an event that came: after a break a page sends again what was not acknowledged. */
  #received = 0;
  /** What came while nobody listened: a page calls as soon as we are awake, before we know what we were doing. */
  #kept = /** @type {PageEvent[]} */ ([]);
  /** @type {((event: PageEvent) => void) | null} */
  #listener = null;

  /** @param {string} id @param {number} tab @param {chrome.runtime.Port} port */
  constructor(id, tab, port) {
    this.id = id;
    this.tab = tab;
    this.port = port;
  }

  /** @param {Record<string, any>} order */
  tell(order) {
    try {
      this.port.postMessage(order);
    } catch {
      // Its line is down: it calls again, or it is gone, and either is noticed.
    }
  }

  /** @param {number} upTo */
  acknowledge(upTo) {
    this.tell({ do: "ack", upTo });
  }

  /** @param {PageEvent} event */
  deliver(event) {
    const number = Number(event.n);
    if (number <= this.#received) return;
    if (Number.isFinite(number)) this.#received = number;
    if (this.#listener) this.#listener(event);
    else if (this.#kept.length < MOST_KEPT) this.#kept.push(event);
  }

  /**
   * Hands every event to this listener from now on, and first those that came before; null stops that.
   * @param {((event: PageEvent) => void) | null} listener
   */
  listen(listener) {
    this.#listener = listener;
    if (!listener) return;
    for (const event of this.#kept.splice(0)) listener(event);
  }
}

export class Pages {
  /** @type {Map<string, Page>} by the page's own id */
  #pages = new Map();
  /** @type {Set<(page: Page) => void>} */
  #arrivals = new Set();

  /**
   * @param {object} hooks
   * @param {(page: Page) => void} hooks.onHere  a page has called, for the first time or again
   * @param {(page: Page, event: PageEvent) => void} hooks.onStanding  it tells how it stands
   */
  constructor({ onHere, onStanding }) {
    this.onHere = onHere;
    this.onStanding = onStanding;
  }

  /** @param {chrome.runtime.Port} port */
  take(port) {
    const tab = port.sender?.tab?.id;
    if (port.name !== "page" || tab === undefined || !isOurs(port.sender)) return port.disconnect();
    /** @type {Page | null} */
    let page = null;
    port.onMessage.addListener((message) => {
      if (!isEvent(message)) return;
      if (message.event === "here") page = this.#arrive(message, tab, port);
      else if (page) this.#deliver(page, message);
    });
    port.onDisconnect.addListener(() => {
      void chrome.runtime.lastError;
      if (page) this.#lose(page, port);
    });
  }

  /** The tab is closed: its page will not call again. @param {number} tab */
  forgetTab(tab) {
    for (const page of this.inTab(tab)) this.#drop(page);
  }

  /** @param {number | null} tab @returns {Page[]} */
  inTab(tab) {
    return [...this.#pages.values()].filter((page) => page.tab === tab);
  }

  all() {
    return [...this.#pages.values()];
  }

  /**
   * The first page in this tab that is as wanted, now or later; null when `seconds` have passed.
   * @param {number} tab @param {(page: Page) => boolean} isWanted @param {number} seconds
   * @returns {Promise<Page | null>}
   */
  waitFor(tab, isWanted, seconds) {
    const found = this.inTab(tab).find(isWanted);
    if (found) return Promise.resolve(found);
    return new Promise((resolve) => {
      const finish = (/** @type {Page | null} */ page) => {
        clearTimeout(timer);
        this.#arrivals.delete(look);
        resolve(page);
      };
      const look = (/** @type {Page} */ page) => {
        if (page.tab === tab && isWanted(page)) finish(page);
      };
      const timer = setTimeout(() => finish(null), seconds * 1000);
      this.#arrivals.add(look);
    });
  }

  /** @param {PageEvent} message @param {number} tab @param {chrome.runtime.Port} port @returns {Page | null} */
  #arrive(message, tab, port) {
    const id = String(message.page).slice(0, 64);
    const known = this.#pages.get(id);
    if (known && known.tab !== tab) return null;
    // Another document is in this tab now: the one before is gone.
    for (const other of this.inTab(tab)) if (other.id !== id) this.#drop(other);
    const page = known ?? new Page(id, tab, port);
    page.port = port;
    page.running = typeof message.running === "string" ? message.running : null;
    page.did = Array.isArray(message.did) ? message.did.filter((job) => typeof job === "string").slice(0, 200) : [];
    this.#pages.set(id, page);
    this.onHere(page);
    for (const look of [...this.#arrivals]) look(page);
    return page;
  }

  /** @param {Page} page @param {PageEvent} message */
  #deliver(page, message) {
    if (message.event === "standing") this.onStanding(page, message);
    else page.deliver(message);
  }

  /** @param {Page} page @param {chrome.runtime.Port} port */
  #lose(page, port) {
    setTimeout(() => {
      if (page.port === port) this.#drop(page);
    }, GONE_MS);
  }

  /** @param {Page} page */
  #drop(page) {
    if (page.isGone) return;
    page.isGone = true;
    this.#pages.delete(page.id);
    page.onGone();
  }
}

/** Only our own script, in the top frame of the site itself. @param {chrome.runtime.MessageSender | undefined} sender */
function isOurs(sender) {
  const origin = sender?.origin ?? (sender?.url ? new URL(sender.url).origin : "");
  return sender?.id === chrome.runtime.id && sender.frameId === 0 && origin === SITE;
}

/** @param {unknown} message @returns {message is PageEvent} */
function isEvent(message) {
  if (typeof message !== "object" || message === null || Array.isArray(message)) return false;
  const { event, detail, delta, content } = /** @type {Record<string, any>} */ (message);
  const texts = [detail, delta, content].filter((text) => text !== undefined && text !== null);
  return typeof event === "string" && texts.every((text) => typeof text === "string" && text.length <= MOST_CHARS);
}
