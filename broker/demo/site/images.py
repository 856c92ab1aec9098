"""Makes pictures as the site does: a batch for each submit, told frame by frame over a WebSocket.

With a picture to start from it is an edit instead, and goes over the HTTP stream that films use.
"""

import asyncio
import base64
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Any

from starlette.responses import Response
from starlette.websockets import WebSocket, WebSocketDisconnect

from broker.demo.site.ledger import Submit
from broker.demo.site.lines import streamed
from broker.demo.site.paint import SIZES, as_jpeg, paint, preview
from broker.demo.site.refusals import Refusal, refusal
from broker.demo.site.world import Picture, Post, Wire, World, new_id, now

#: Shares of a picture at which the site shows a preview.
PREVIEWS = (25, 60, 90)


class Images:
    """Takes submits, runs batches, and tells one to whoever asked for it."""

    def __init__(self, world: World) -> None:
        self._world = world

    async def serve(self, socket: WebSocket) -> None:
        """One page's socket, from its opening to its end."""
        if self._world.switches.human_check:
            await socket.close()
            return
        await socket.accept()
        self._world.ledger.note("socket", path="/ws/imagine/listen")
        tellers: set[asyncio.Task[None]] = set()
        try:
            while True:
                self._take(socket, await socket.receive_json(), tellers)
        except WebSocketDisconnect:
            self._world.ledger.note("socket_closed", path="/ws/imagine/listen")
        finally:
            for task in tellers:
                task.cancel()

    def _take(self, socket: WebSocket, message: Wire, tellers: set[asyncio.Task[None]]) -> None:
        if message.get("type") != "conversation.item.create":
            return
        part = message["item"]["content"][0]
        request, prompt, given = part["requestId"], part["text"], part.get("properties", {})
        options = {
            "mode": "Image",
            "aspect": given.get("aspect_ratio"),
            "speed": "Quality" if given.get("enable_pro") else "Speed",
        }
        if refused := refusal(self._world, "image", prompt):
            task = asyncio.create_task(_send(socket, _refused(request, refused)))
        else:
            post = self._begin(prompt, options, [])
            task = asyncio.create_task(self._tell(socket, request, post))
        tellers.add(task)
        task.add_done_callback(tellers.discard)

    def edit(self, body: Wire) -> Response:
        """A submit with pictures to start from, by HTTP."""
        prompt = str(body["message"])
        if refused := refusal(self._world, "image", prompt):
            return refused.response()
        model = body["responseMetadata"]["modelConfigOverride"]["modelMap"]["imageEditModelConfig"]
        options = {"mode": "Image", "aspect": model.get("aspectRatio"), "speed": None}
        post = self._begin(prompt, options, model["imageReferences"])
        if self._world.switches.accepts_silently:
            return Response(b"", media_type="application/json")
        return streamed(self._watch_edit(post))

    def _begin(self, prompt: str, options: dict[str, Any], files: list[str]) -> Post:
        world = self._world
        images = world.attached(files)
        count = min(2, world.switches.image_count) if images else world.switches.image_count
        pictures = [Picture(new_id(), order, private=bool(images)) for order in range(count)]
        post = Post(new_id(), "image", prompt, options, new_id(), images, pictures=pictures)
        world.add_post(post)
        world.ledger.submit(
            Submit(
                kind="image",
                prompt=prompt,
                images=tuple(image.sha256 for image in images),
                options=options | {"n": count},
                post_id=post.id,
                conversation_id=post.conversation_id,
                generation=world.switches.generation,
            )
        )
        world.spawn(post.id, self._generate(post))
        return post

    async def _generate(self, post: Post) -> None:
        world = self._world
        try:
            await world.holds.pass_by("accepted")
            for picture in post.pictures:
                post.tape.write(_state(post, picture, "started"))
            await self._paint(post)
            await world.holds.pass_by("final")
            self._finish(post)
        except asyncio.CancelledError:
            post.state = "stopped"
            raise
        finally:
            post.tape.end()

    async def _paint(self, post: Post) -> None:
        world = self._world
        for step, percent in enumerate(PREVIEWS):
            for picture in post.pictures:
                picture.progress = percent
                blurred = await asyncio.to_thread(_paint_step, post, picture)
                post.tape.write(self._frame(picture, blurred))
                post.tape.write(_state(post, picture, "processing"))
                if step == 0 and picture.order == 0:
                    await world.holds.pass_by("progress")
                    if world.switches.stalled:
                        await asyncio.Event().wait()
            await world.step()

    def _finish(self, post: Post) -> None:
        switches = self._world.switches
        blocked = switches.moderated_slots if switches.moderation else 0
        for picture in post.pictures:
            is_blocked = picture.order >= len(post.pictures) - blocked
            picture.state = "moderated" if is_blocked else "done"
            picture.progress = 100
            if is_blocked:
                picture.data = None
            elif picture.data:
                post.tape.write(self._frame(picture, picture.data))
            post.tape.write(_state(post, picture, "completed"))
        every = {picture.state for picture in post.pictures}
        post.state = "moderated" if every == {"moderated"} else "done"

    def address(self, picture: Picture) -> str:
        if picture.private:
            user = self._world.user_id
            return f"https://assets.grok.com/users/{user}/generated/{picture.id}/image.jpg"
        return f"https://imagine-public.x.ai/imagine-public/images/{picture.id}.jpg"

    def _frame(self, picture: Picture, data: bytes) -> Wire:
        return {
            "type": "image",
            "id": picture.id,
            "image_id": picture.id,
            "url": self.address(picture),
            "blob": base64.b64encode(data).decode(),
            "percentage_complete": picture.progress,
            "grid_index": picture.order,
            "order": picture.order,
        }

    async def _tell(self, socket: WebSocket, request: str, post: Post) -> None:
        if self._world.switches.accepts_silently:
            return
        count = 0
        async for frame in post.tape.read():
            await _send(socket, frame | {"request_id": request, "job_id": post.id})
            count += 1
            if self._world.switches.cut_off and count > len(post.pictures) * 2:
                await socket.close()
                return

    async def _watch_edit(self, post: Post) -> AsyncIterator[Wire]:
        opened = {"conversationId": post.conversation_id, "title": post.prompt[:60]}
        pictures = {picture.id: picture for picture in post.pictures}
        is_open = False
        async for frame in post.tape.read():
            if not is_open:
                yield {"result": {"conversation": opened}}
                is_open = True
            if frame["type"] == "json":
                told = self._edit_line(post, pictures[frame["image_id"]], frame)
                yield {"result": {"response": {"streamingImageGenerationResponse": told}}}
        done = [picture for picture in post.pictures if picture.state == "done"]
        closing = {
            "responseId": new_id(),
            "message": "I edited the image.",
            "createTime": now(),
            "generatedImageUrls": [self.address(picture) for picture in done],
        }
        yield {"result": {"response": {"modelResponse": closing}}}

    def _edit_line(self, post: Post, picture: Picture, frame: Wire) -> Wire:
        is_final = frame["current_status"] == "completed"
        return {
            "imageId": picture.id,
            "imageUrl": self.address(picture) if is_final and not frame["moderated"] else "",
            "imageIndex": picture.order,
            "progress": frame["percentage_complete"],
            "moderated": frame["moderated"],
            "isFinal": is_final,
            "postId": post.id,
        }


def _paint_step(post: Post, picture: Picture) -> bytes:
    """The preview; the whole picture is kept for the end."""
    source = post.images[0].data if post.images else None
    painted = paint(picture.id, post.prompt, str(post.options.get("aspect")), source)
    picture.data = picture.data or as_jpeg(painted)
    return preview(painted)


def _state(post: Post, picture: Picture, status: str) -> Wire:
    width, height = SIZES.get(str(post.options.get("aspect")), SIZES["2:3"])
    return {
        "type": "json",
        "job_id": post.id,
        "image_id": picture.id,
        "current_status": status,
        "percentage_complete": picture.progress,
        "moderated": picture.state == "moderated",
        "r_rated": False,
        "prompt": post.prompt,
        "full_prompt": post.prompt,
        "model_name": "imagine-image-gen",
        "order": picture.order,
        "width": width,
        "height": height,
    }


def _refused(request: str, refused: Refusal) -> Wire:
    return {"type": "error", "request_id": request, "error": refused.frame}


async def _send(socket: WebSocket, frame: Wire) -> None:
    # Who has gone away hears nothing more; the batch is made all the same.
    with suppress(WebSocketDisconnect, RuntimeError):
        await socket.send_json(frame)
