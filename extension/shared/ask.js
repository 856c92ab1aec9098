/**
 * How popup and options ask the background to do something. They never act by themselves.
 */

/**
 * @typedef {object} Answer
 * @property {boolean} ok
 * @property {string} [error]
 * @property {string[]} [missing]
 * @property {string} [detail]
 * @property {{name: string, ok: boolean, detail: string}[]} [steps]
 */

/**
 * Always answers: a background that is not there is an answer too.
 * @param {string} command
 * @param {Record<string, unknown>} [fields]
 * @returns {Promise<Answer>}
 */
export async function ask(command, fields = {}) {
  try {
    const answer = await chrome.runtime.sendMessage({ command, ...fields });
    return answer ?? { ok: false, error: "The extension's background gave no answer. Try again." };
  } catch (error) {
    return { ok: false, error: `The extension's background does not answer: ${messageOf(error)}` };
  }
}

/** @param {unknown} error */
export const messageOf = (error) => (error instanceof Error ? error.message : String(error));
