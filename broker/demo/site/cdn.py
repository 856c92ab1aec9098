"""The two hosts that hold files: one wants the session, one is open to all. Both can be made to fail.

What a page's own `<video>` or `<img>` loads is always served: holds and failures are for whoever fetches the bytes.
"""

import re
from collections.abc import AsyncIterator, Iterator

from starlette.requests import Request
from starlette.responses import PlainTextResponse, RedirectResponse, Response, StreamingResponse
from starlette.routing import Route

from broker.demo.site.paint import as_jpeg, paint
from broker.demo.site.video import film_bytes
from broker.demo.site.world import World

COOKIE = "stand_in_session"
PIECE_BYTES = 64 * 1024
_RANGE = re.compile(r"bytes=(\d+)-(\d*)$")
_ELEMENTS = ("video", "image", "audio")


class Cdn:
    """Answers for assets.grok.com and imagine-public.x.ai."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._feed: dict[str, bytes] = {}

    def private_routes(self) -> list[Route]:
        folder = "/users/{user}/generated/{id}"
        return [
            Route(f"{folder}/generated_video.mp4", self.film),
            Route(f"{folder}/preview_image.jpg", self.thumbnail),
            Route(f"{folder}/image.jpg", self.private_picture),
            Route("/users/{user}/{id}/content", self.upload),
            Route("/moved", self.moved),
        ]

    def public_routes(self) -> list[Route]:
        return [
            Route("/imagine-public/images/{id}.jpg", self.picture),
            Route("/imagine-public/share-videos/{id}.mp4", self.other_film),
            Route("/imagine-public/share-images/{id}.jpg", self.other_picture),
        ]

    async def film(self, request: Request) -> Response:
        found = self._world.videos.get(request.path_params["id"])
        if not self._has_session(request):
            return self._no(request, 403)
        if not _is_fetch(request):
            return self._send(request, found[1].film if found else None, "video/mp4")
        await self._world.holds.pass_by("media")
        if refused := self._failure():
            return self._no(request, refused)
        if not found or found[1].state != "done":
            return self._no(request, 404)
        post, video = found
        data = self._served(video.film or b"", video.id)
        self._world.films[post.id] = data
        padding = self._world.switches.huge_bytes if self._world.switches.film == "huge" else 0
        return self._send(request, data, "video/mp4", padding=padding)

    def _failure(self) -> int | None:
        switches = self._world.switches
        if switches.cdn_refusals > 0:
            switches.cdn_refusals -= 1
            return 403
        if switches.cdn_missing > 0:
            switches.cdn_missing -= 1
            return 404
        return None

    def _served(self, own: bytes, video_id: str) -> bytes:
        match self._world.switches.film:
            case "empty":
                return b""
            case "placeholder":
                return film_bytes("placeholder", "Your video is on its way", 0.2, (320, 180))
            case "previous":
                return self._previous(video_id) or own
        return own

    def _previous(self, video_id: str) -> bytes | None:
        films = {found: video.film for found, (_, video) in self._world.videos.items()}
        before = list(films)[: list(films).index(video_id)]
        return next((film for found in reversed(before) if (film := films[found])), None)

    async def thumbnail(self, request: Request) -> Response:
        found = self._world.videos.get(request.path_params["id"])
        if not found or not self._has_session(request):
            return self._no(request, 404 if self._has_session(request) else 403)
        aspect = str(found[0].options.get("aspect"))
        data = as_jpeg(paint(found[1].id, found[0].prompt, aspect))
        return self._send(request, data, "image/jpeg")

    async def private_picture(self, request: Request) -> Response:
        if not self._has_session(request):
            return self._no(request, 403)
        return await self.picture(request)

    async def picture(self, request: Request) -> Response:
        if _is_fetch(request):
            await self._world.holds.pass_by("media")
            if refused := self._failure():
                return self._no(request, refused)
        found = self._world.pictures.get(request.path_params["id"])
        is_done = found is not None and found[1].state == "done"
        return self._send(request, found[1].data if found and is_done else None, "image/jpeg")

    async def upload(self, request: Request) -> Response:
        if not self._has_session(request):
            return self._no(request, 403)
        found = self._world.uploads.get(request.path_params["id"])
        return self._send(request, found.data if found else None, found.type if found else "")

    async def other_film(self, request: Request) -> Response:
        """Somebody else's post in the feed."""
        name = request.path_params["id"]
        if name not in self._feed:
            self._feed[name] = film_bytes(name, "Somebody else's video", 1, (180, 320))
        return self._send(request, self._feed[name], "video/mp4")

    async def other_picture(self, request: Request) -> Response:
        name = request.path_params["id"]
        return self._send(request, as_jpeg(paint(name, "Somebody else", "2:3")), "image/jpeg")

    async def moved(self, request: Request) -> Response:
        """Leads wherever it is told to: what a worker follows is for the worker to decide."""
        return RedirectResponse(request.query_params["to"], 302)

    def _has_session(self, request: Request) -> bool:
        is_ours = request.cookies.get(COOKIE) == self._world.session
        return is_ours and self._world.switches.signed_in

    def _no(self, request: Request, status: int) -> Response:
        self._note(request, status)
        return PlainTextResponse(f"{status}", status, _headers(request))

    def _send(
        self, request: Request, data: bytes | None, media_type: str, *, padding: int = 0
    ) -> Response:
        if data is None:
            return self._no(request, 404)
        headers = _headers(request) | {"Accept-Ranges": "bytes"}
        wanted = _RANGE.match(request.headers.get("range", ""))
        status = 200
        if wanted and data and int(wanted[1]) < len(data) and not padding:
            first, last = int(wanted[1]), min(int(wanted[2] or len(data)), len(data) - 1)
            headers["Content-Range"] = f"bytes {first}-{last}/{len(data)}"
            data, status = data[first : last + 1], 206
        self._note(request, status)
        body = self._body(data, padding, is_fetch=_is_fetch(request))
        headers["Content-Length"] = str(len(data) + padding)
        return StreamingResponse(body, status, headers, media_type)

    async def _body(self, data: bytes, padding: int, *, is_fetch: bool) -> AsyncIterator[bytes]:
        middle = (len(data) + 1) // 2
        yield data[:middle]
        if is_fetch:
            await self._world.holds.pass_by("media_middle")
        yield data[middle:]
        for piece in _padding(padding):
            yield piece

    def _note(self, request: Request, status: int) -> None:
        self._world.ledger.note(
            "cdn",
            host=request.headers.get("host"),
            path=request.url.path,
            status=status,
            fetched=_is_fetch(request),
            origin=request.headers.get("origin"),
        )


def _padding(size: int) -> Iterator[bytes]:
    """One box that players pass over: the film stays playable, only too large."""
    if not size:
        return
    yield size.to_bytes(4, "big") + b"free"
    left = size - 8
    while left > 0:
        yield bytes(min(PIECE_BYTES, left))
        left -= PIECE_BYTES


def _is_fetch(request: Request) -> bool:
    """By a script or a worker, not by an element of a page."""
    return request.headers.get("sec-fetch-dest") not in _ELEMENTS


def _headers(request: Request) -> dict[str, str]:
    headers = {"Cache-Control": "no-store", "Vary": "Origin"}
    if request.headers.get("origin") == "https://grok.com":
        headers["Access-Control-Allow-Origin"] = "https://grok.com"
        headers["Access-Control-Allow-Credentials"] = "true"
    return headers
