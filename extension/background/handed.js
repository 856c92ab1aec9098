// Which images came with a job: beside it, or within the messages of a chat. Pure.

/** @typedef {Pick<import("./broker.js").HandedJob, "job_type" | "image" | "images" | "request">} Handed */

/** As base64, in order. @param {Handed} handed @returns {string[]} */
export function imagesOf({ job_type: kind, image, images, request }) {
  if (kind !== "chat") return images ?? (image ? [image] : []);
  const messages = /** @type {any[]} */ (Array.isArray(request?.messages) ? request.messages : []);
  const parts = messages.flatMap((message) => (Array.isArray(message?.content) ? message.content : []));
  return parts.map(dataUrlIn).filter((url) => url.startsWith("data:image/")).map((url) => url.slice(url.indexOf(",") + 1));
}

/** The address in a part of a message, in whichever way clients write it. @param {any} part */
const dataUrlIn = (part) => String(part?.image_url?.url ?? part?.image_url ?? part?.file?.file_data ?? "");
