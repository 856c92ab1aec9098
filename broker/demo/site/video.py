"""Makes films as the site does: accepts, tells how far it is, and ends with a file, a block or nothing."""

import asyncio
import tempfile
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

from starlette.responses import Response

from broker.demo.film import render_film
from broker.demo.mishaps import UnusableImage
from broker.demo.site.ledger import Submit
from broker.demo.site.lines import streamed
from broker.demo.site.refusals import refusal
from broker.demo.site.world import Post, Video, Wire, World, new_id, now

STEPS = (1, 14, 27, 41, 55, 68, 82, 94)
SIZES = {
    "16:9": (320, 180),
    "9:16": (180, 320),
    "1:1": (240, 240),
    "3:2": (288, 192),
    "2:3": (192, 288),
}
#: The oldest page keeps reading after the last useful object, and the site keeps the stream open so long.
LINGER_STEPS = 20
#: After so many objects a stream is cut off.
CUT_AFTER = 5


class Videos:
    """Takes submits, runs generations, and streams one to whoever asked for it."""

    def __init__(self, world: World) -> None:
        self._world = world

    def submit(self, body: Wire) -> Response:
        world = self._world
        wanted = read_request(body)
        if refused := refusal(world, "video", wanted["prompt"]):
            return refused.response()
        post = self._begin(wanted)
        if world.switches.accepts_silently:
            return Response(b"", media_type="application/json")
        return streamed(self._watch(post))

    def _begin(self, wanted: dict[str, Any]) -> Post:
        world = self._world
        post = Post(
            id=wanted["post_id"] or new_id(),
            kind="video",
            prompt=wanted["prompt"],
            options=wanted["options"],
            conversation_id=new_id(),
            images=world.attached(wanted["images"]),
            parent_id=wanted["post_id"],
        )
        first = Video(id=new_id() if post.parent_id else post.id, side=0)
        post.videos = [first, Video(new_id(), 1)] if world.switches.side_by_side else [first]
        world.add_post(post)
        world.ledger.submit(
            Submit(
                kind="video",
                prompt=post.prompt,
                images=tuple(image.sha256 for image in post.images),
                options=post.options,
                post_id=post.id,
                conversation_id=post.conversation_id,
                generation=world.switches.generation,
            )
        )
        world.spawn(post.id, self._generate(post))
        return post

    async def _generate(self, post: Post) -> None:
        world = self._world
        films = [asyncio.create_task(self._film(post, video)) for video in post.videos]
        try:
            await world.holds.pass_by("accepted")
            _write_opening(post)
            await self._progress(post)
            for video, film in zip(post.videos, films, strict=True):
                video.film = await film
                if video.side == 0:
                    world.films[post.id] = video.film
            await world.holds.pass_by("final")
            self._finish(post)
        except asyncio.CancelledError:
            post.state = "stopped"
            raise
        finally:
            for film in films:
                film.cancel()
            post.tape.end()

    async def _progress(self, post: Post) -> None:
        world = self._world
        for step, percent in enumerate(STEPS):
            for video in post.videos:
                video.progress = percent
                post.tape.write(self._line(post, video))
            if step == 0:
                await world.holds.pass_by("progress")
                if world.switches.stalled:
                    await asyncio.Event().wait()
            await world.step()

    async def _film(self, post: Post, video: Video) -> bytes:
        if path := self._world.switches.film_path:
            return await asyncio.to_thread(path.read_bytes)
        return await asyncio.to_thread(
            film_bytes,
            video.id,
            post.prompt,
            self._world.switches.film_seconds,
            SIZES.get(str(post.options.get("aspect")), SIZES["16:9"]),
            post.images[0].data if post.images else None,
        )

    def _finish(self, post: Post) -> None:
        world = self._world
        post.state = "moderated" if world.switches.moderation else "done"
        for video in post.videos:
            video.progress, video.state = 100, post.state
            post.tape.write(self._line(post, video))
        post.tape.write(self._closing(post))

    def _line(self, post: Post, video: Video) -> Wire:
        found: Wire = {
            "videoId": video.id,
            "progress": video.progress,
            "videoPrompt": post.prompt,
            "videoPostId": post.id,
            "parentPostId": post.parent_id or post.id,
            "modelName": "imagine-video-gen",
            "mode": post.options.get("preset") or "custom",
            "moderated": video.state == "moderated",
            "resolutionName": post.options.get("resolution"),
        }
        if post.images:
            found["imageReference"] = post.images[0].path
        if len(post.videos) > 1:
            found["sideBySideIndex"] = video.side
        if video.state == "done":
            found |= self._ending(post, video)
        return _response({"streamingVideoGenerationResponse": found})

    def _ending(self, post: Post, video: Video) -> Wire:
        width, height = SIZES.get(str(post.options.get("aspect")), SIZES["16:9"])
        return {
            "videoUrl": self.address(video),
            "assetId": video.id,
            "thumbnailImageUrl": f"users/{self._world.user_id}/generated/{video.id}/preview_image.jpg",
            "width": width,
            "height": height,
        }

    def address(self, video: Video) -> str:
        """A path below https://assets.grok.com/ as the site gives it, or whatever the switch says."""
        path = f"users/{self._world.user_id}/generated/{video.id}/generated_video.mp4"
        return self._world.switches.media_address or path

    def _closing(self, post: Post) -> Wire:
        done = [video for video in post.videos if video.state == "done"]
        return _response(
            {
                "modelResponse": {
                    "responseId": new_id(),
                    "message": f"I generated a video with the prompt: '{post.prompt}'",
                    "sender": "ASSISTANT",
                    "createTime": now(),
                    "fileAttachments": [video.id for video in done],
                    "generatedImageUrls": [],
                    "steps": [],
                    "webSearchResults": [],
                }
            }
        )

    async def _watch(self, post: Post) -> AsyncIterator[Wire]:
        number = 0
        async for found in post.tape.read():
            yield found
            number += 1
            if number >= CUT_AFTER and self._world.switches.cut_off:
                return
        if self._world.switches.generation == "february":
            for _ in range(LINGER_STEPS):
                await self._world.step()


def read_request(body: Wire) -> dict[str, Any]:
    """The page's request in one shape, whichever generation sent it."""
    if made := body.get("mediaGenInput"):
        way, given = next(iter(made.items()))
        return _wanted(
            given["prompt"], given, given.get("duration"), given["inputAssets"], None, way
        )
    model = body["responseMetadata"]["modelConfigOverride"]["modelMap"]["videoGenModelConfig"]
    prompt, _, preset = body["message"].rpartition(" --mode=")
    files = body.get("fileAttachments", [])
    way = "imageToVideo" if files else "textToVideo"
    wanted = _wanted(prompt, model, model.get("videoLength"), files, model.get("parentPostId"), way)
    wanted["options"]["preset"] = preset
    return wanted


def _wanted(
    prompt: str, given: Wire, seconds: int | None, images: Sequence[str], post: str | None, way: str
) -> dict[str, Any]:
    options = {
        "mode": "Video",
        "aspect": given.get("aspectRatio"),
        "duration": f"{seconds}s" if seconds else None,
        "resolution": given.get("resolutionName"),
        "way": way,
    }
    return {"prompt": prompt, "options": options, "images": list(images), "post_id": post}


def _write_opening(post: Post) -> None:
    conversation = {
        "conversationId": post.conversation_id,
        "title": post.prompt[:60],
        "createTime": post.created,
        "modifyTime": post.created,
        "temporary": False,
    }
    post.tape.write({"result": {"conversation": conversation}})
    model = {
        "parentPostId": post.parent_id or post.id,
        "aspectRatio": post.options.get("aspect"),
        "videoLength": int(str(post.options.get("duration") or "6s")[:-1]),
        "resolutionName": post.options.get("resolution"),
    }
    echo = {
        "responseId": new_id(),
        "message": f"{post.prompt} --mode={post.options.get('preset') or 'custom'}",
        "sender": "human",
        "createTime": post.created,
        "metadata": {"modelConfigOverride": {"modelMap": {"videoGenModelConfig": model}}},
    }
    post.tape.write(_response({"userResponse": echo}))


def _response(found: Wire) -> Wire:
    return {"result": {"response": {**found, "isThinking": False, "isSoftStop": False}}}


def film_bytes(
    film_id: str, prompt: str, seconds: float, size: tuple[int, int], image: bytes | None = None
) -> bytes:
    """Blocks for about a tenth of a second for each second of film."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "film.mp4"
        try:
            render_film(
                path, job_id=film_id, prompt=prompt, seconds=seconds, size=size, image=image
            )
        except UnusableImage:
            render_film(path, job_id=film_id, prompt=prompt, seconds=seconds, size=size)
        return path.read_bytes()
