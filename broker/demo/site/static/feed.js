/** Other people's posts: there before one's own, and more of them while one's own is being made. */
import { config } from "./config.js";
import { el } from "./dom.js";

const FIRST = 4;
const MOST = 12;
const NEXT_MS = 700;

/**
 * @param {"section" | "beside"} place
 * @returns {{ element: HTMLElement | null, stop: () => void }}
 */
export function feed(place) {
  if (!config.feed) return { element: null, stop: () => {} };
  const list = el("div", { role: "list", class: "tiles" });
  const add = () => list.append(card());
  for (let count = 0; count < FIRST; count += 1) add();
  const timer = setInterval(() => list.childElementCount < MOST && add(), NEXT_MS);
  const id = place === "section" ? "imagine-masonry-section-0" : "imagine-masonry-section-discover";
  const title = el("h2", {}, "Discover");
  return {
    element: el("section", { id, class: `masonry feed ${place}` }, title, list),
    stop: () => clearInterval(timer),
  };
}

/** Somebody else's film, with a file input of its own: "remix" is no composer. */
function card() {
  const id = crypto.randomUUID();
  const src = `https://imagine-public.x.ai/imagine-public/share-videos/${id}.mp4`;
  return el(
    "div",
    { role: "listitem", class: "group relative media-post-masonry-card tile" },
    el(
      "a",
      { href: `/imagine/post/${id}` },
      el("video", { src, muted: true, loop: true, playsinline: true, preload: "metadata" }),
    ),
    el("input", { type: "file", accept: "image/*", class: "hidden-input" }),
  );
}
