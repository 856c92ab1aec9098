/** Media: only https and only the site's own hosts; what is no film or picture is refused by name. */

import assert from "node:assert/strict";
import test from "node:test";

import { download, refuseForeign, refuseUnlike } from "../../extension/background/media.js";
import { PageTrouble } from "../../extension/shared/troubles.js";

const pack = /** @type {any} */ ({
  media: { base: "https://assets.grok.com/", hosts: ["assets.grok.com", "imagine-public.x.ai"] },
  limits: { download_tries: 5, download_pause_seconds: 1 },
});
const FILM = new Blob([new Uint8Array([0, 0, 0, 24]), "ftypmp42", "x".repeat(2000)], { type: "video/mp4" });
const ADDRESS = "https://assets.grok.com/users/u/generated/v/generated_video.mp4";

const FOREIGN = [
  "http://127.0.0.1:8000/x.mp4", "http://192.168.1.1/", "file:///etc/passwd", "data:video/mp4;base64,AAAA",
  "http://assets.grok.com/x.mp4", "https://assets.grok.com.evil.example/x.mp4", "https://evil.example/assets.grok.com",
  "https://assets.grok.com:8443/x.mp4", "https://user@assets.grok.com/x.mp4", "blob:https://grok.com/1", "", "nonsense",
  "chrome-extension://abc/x", "https://localhost/x.mp4", "https://[::1]/x.mp4",
];
for (const address of FOREIGN) {
  test(`a result at ${JSON.stringify(address)} is refused`, () => {
    assert.throws(() => refuseForeign(address, pack), (error) => error instanceof PageTrouble && error.code === "result_rejected");
  });
}

test("a result at the site's own hosts is taken", () => {
  refuseForeign(ADDRESS, pack);
  refuseForeign("https://imagine-public.x.ai/imagine-public/images/1.jpg", pack);
});

test("an empty file, a page and a picture are no films", async () => {
  for (const body of ["", "<!doctype html>" + "x".repeat(2000), "\x89PNG" + "x".repeat(2000)]) {
    await assert.rejects(refuseUnlike(new Blob([body]), "video"), { code: "result_rejected" });
  }
  await refuseUnlike(FILM, "video");
});

/** @param {any[]} answers what the site answers, one after the other */
function site(answers) {
  const seen = /** @type {any[]} */ ([]);
  globalThis.fetch = /** @type {any} */ (async (/** @type {string} */ address, /** @type {any} */ options) => {
    seen.push({ address, options });
    const answer = answers.shift();
    if (answer instanceof Error) throw answer;
    return typeof answer === "number" ? new Response("no", { status: answer }) : new Response(answer);
  });
  return seen;
}

/** @param {(address: string) => Promise<Blob>} [viaPage] */
function ways(viaPage = () => Promise.reject(new Error("no page"))) {
  const pauses = /** @type {number[]} */ ([]);
  return { pauses, pause: async (/** @type {number} */ ms) => void pauses.push(ms), viaPage };
}

test("a refusal or a film that is not there yet is asked for again, with growing pauses", async () => {
  const seen = site([403, 404, FILM]);
  const own = ways();
  const blob = await download(ADDRESS, "video", pack, own);
  assert.equal(blob.size, FILM.size);
  assert.deepEqual(own.pauses, [1000, 2000]);
  assert.ok(seen.every(({ options }) => options.redirect === "error" && options.credentials === "include"));
});

test("after three refusals the page is asked to fetch it", async () => {
  site([403, 403, 403]);
  const asked = /** @type {string[]} */ ([]);
  const own = ways(async (address) => {
    asked.push(address);
    return FILM;
  });
  await download(ADDRESS, "video", pack, own);
  assert.deepEqual(asked, [ADDRESS]);
});

test("what cannot be had in all tries is download_failed, with the last reason", async () => {
  site([500, 500, new TypeError("redirect")]);
  await assert.rejects(download(ADDRESS, "video", pack, ways()), (error) => {
    assert.ok(error instanceof PageTrouble);
    assert.equal(error.code, "download_failed");
    assert.match(error.message, /no page/);
    return true;
  });
});

test("a file that is no film is refused at once, not asked for again", async () => {
  const seen = site(["<!doctype html>" + "x".repeat(2000), FILM]);
  await assert.rejects(download(ADDRESS, "video", pack, ways()), { code: "result_rejected" });
  assert.equal(seen.length, 1);
});
