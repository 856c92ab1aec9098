// A media file through the page, in pieces: the second way, for when the background is refused by the site's servers.

const PIECE_BYTES = 768 * 1024;

/**
 * Fetches a file as the page would and hands it on as base64, one piece at a time; the next is sent when it is asked
 * for. Ends with a piece that says `done`, or `failed` and why.
 * @param {string} address @param {string} ask  the name of the request
 * @param {(piece: Record<string, any>) => void} say
 * @param {Map<string, () => void>} waiting  where to leave the function that asks for more
 */
export async function sendMedia(address, ask, say, waiting) {
  try {
    // A redirect could lead to this machine or the person's network.
    const response = await fetch(address, { credentials: "include", redirect: "error" });
    if (!response.ok) throw new Error(`The site answered ${response.status}.`);
    const file = await response.blob();
    for (let start = 0; start < file.size; start += PIECE_BYTES) {
      const wanted = new Promise((resolve) => waiting.set(ask, () => resolve(undefined)));
      say({ event: "piece", ask, base64: await base64(file.slice(start, start + PIECE_BYTES)) });
      await wanted;
    }
    say({ event: "piece", ask, done: true, type: file.type, size: file.size });
  } catch (error) {
    say({ event: "piece", ask, failed: String(error) });
  } finally {
    waiting.delete(ask);
  }
}

/** @param {Blob} blob @returns {Promise<string>} */
async function base64(blob) {
  const bytes = new Uint8Array(await blob.arrayBuffer());
  let binary = "";
  for (let start = 0; start < bytes.length; start += 0x8000) {
    binary += String.fromCharCode(...bytes.subarray(start, start + 0x8000));
  }
  return btoa(binary);
}
