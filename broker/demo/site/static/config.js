/** What the server told this page when it was loaded. */

/**
 * @typedef {object} Config
 * @property {"february" | "april" | "autumn"} generation
 * @property {"stream" | "socket"} chat_transport
 * @property {string} language
 * @property {boolean} signed_in
 * @property {boolean} cookie_banner
 * @property {boolean} age_dialog
 * @property {boolean} paywall_on_load
 * @property {boolean} flip_to_image
 * @property {boolean} radios_ignore_clicks
 * @property {boolean} prompt_mangled
 * @property {boolean} ignores_press
 * @property {boolean} accepts_silently
 * @property {boolean} enter_submits
 * @property {boolean} feed
 * @property {number} forged_messages
 * @property {ForgedMessage[] | null} forged
 * @property {number} image_count
 * @property {string[]} missing
 * @property {string} user_id
 *
 * @typedef {{ post?: unknown, event?: string, detail?: unknown }} ForgedMessage
 */

const meta = document.querySelector('meta[name="stand-in"]');

/** @type {Config} */
export const config = JSON.parse(meta?.getAttribute("content") ?? "{}");

export const isFebruary = config.generation === "february";
export const isAutumn = config.generation === "autumn";

/**
 * Whether the page has the element for a purpose.
 * @param {string} purpose
 */
export const has = (purpose) => !config.missing.includes(purpose);
