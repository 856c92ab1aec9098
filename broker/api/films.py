"""Films and pictures go out: whole, in ranges, or just their headers. The unguessable job id is the permission."""

import re
from typing import NamedTuple

from broker.api.deps import Deps
from broker.api.errors import problem
from broker.api.lean import Call, Door, Handler, Headers, Reply, Route
from broker.errors import Gone, NotFound, NotReady
from broker.ids import JobId, parse_job_id
from broker.jobs import JobKind
from broker.outputs import PICTURE_ENDINGS, Result, picture_names
from broker.ports import Record

_RANGE = re.compile(r"bytes=(\d{0,18})-(\d{0,18})", re.ASCII)
_FIXED: Headers = [
    (b"accept-ranges", b"bytes"),
    # A result never changes under its name, but it can be pruned: ask again, by tag.
    (b"cache-control", b"private, no-cache"),
    (b"content-security-policy", b"sandbox; default-src 'none'"),
    (b"cross-origin-resource-policy", b"cross-origin"),
]


_FILM_TYPES = ("video/mp4",)
_PICTURE_TYPES = tuple(PICTURE_ENDINGS)


class _Span(NamedTuple):
    start: int
    stop: int


class _File(NamedTuple):
    """A file as it goes out."""

    #: In the media store.
    name: str
    shown_name: str
    mime: str
    sha256: str
    removed_at: float | None


class FilmDoor:
    def __init__(self, deps: Deps) -> None:
        self._store = deps.store
        self._media = deps.media
        self._links = deps.links

    def routes(self) -> list[Route]:
        return [
            _route("/videos/{file_name}", Door.MEDIA, self.read, _FILM_TYPES),
            _route("/images/{file_name}", Door.MEDIA, self.read_picture, _PICTURE_TYPES),
            _route("/jobs/{job_id}/late.mp4", Door.MEDIA, self.read_late, _FILM_TYPES),
            _route(
                "/jobs/{job_id}/late/{file_name}",
                Door.MEDIA,
                self.read_late_picture,
                _PICTURE_TYPES,
            ),
        ]

    async def read(self, call: Call) -> Reply | None:
        """Download a video"""
        stem, _, ending = call.params["file_name"].rpartition(".")
        record = await self._open(call, stem) if ending == "mp4" else None
        if record is None or record.job.kind != JobKind.VIDEO:
            raise NotFound("There is no such video.")
        return await self.serve(call, record)

    async def serve(self, call: Call, record: Record) -> Reply | None:
        """The film of a video job, whatever the path that it is asked for by. Raises `NotReady`, `NotFound`."""
        if record.result is None:
            raise _unready(record.job.state.is_final)
        return await self._serve(call, _film(record.job.id, record.result, record.job.id))

    async def read_picture(self, call: Call) -> Reply | None:
        """Download an image"""
        stem, _, ending = call.params["file_name"].partition(".")
        record = await self._open(call, stem)
        found = _picture(record.job.id, record.result, ending) if record else None
        if found is None:
            raise NotFound("There is no such image.")
        return await self._serve(call, found)

    async def read_late(self, call: Call) -> Reply | None:
        """Download a video that came after its job had ended"""
        record = await self._open(call, call.params["job_id"])
        if record is None or record.late is None or record.job.kind != JobKind.VIDEO:
            raise NotFound("There is no late video of this job.")
        return await self._serve(call, _film(f"{record.job.id}.late", record.late, record.job.id))

    async def read_late_picture(self, call: Call) -> Reply | None:
        """Download an image that came after its job had ended"""
        record = await self._open(call, call.params["job_id"])
        ending = call.params["file_name"]
        found = _picture(f"{record.job.id}.late", record.late, ending) if record else None
        if found is None:
            raise NotFound("There is no such late image of this job.")
        return await self._serve(call, found)

    async def _open(self, call: Call, text: str) -> Record | None:
        """A job whose files this caller may fetch: by its key, or by the link it has. Raises `LinkOver`."""
        record = await self._find(text)
        # An operator hears what is not there; to anybody else it looks like what is not theirs.
        if call.visible(record) is None and call.caller.only_owner is not None:
            self._links.check(call)
        return record

    async def _find(self, text: str) -> Record | None:
        job_id = parse_job_id(text)
        return await self._store.get(job_id) if job_id else None

    async def _serve(self, call: Call, file: _File) -> Reply | None:
        film = await self._media.find(file.name)
        if film is None or file.removed_at is not None:
            raise Gone()
        tag = f'"{file.sha256}"'
        headers = [
            *_FIXED,
            (b"content-type", file.mime.encode()),
            (b"etag", tag.encode()),
            (b"content-disposition", f'inline; filename="{file.shown_name}"'.encode()),
        ]
        if tag in (call.header(b"if-none-match") or ""):
            await _send_head(call, 304, headers)
            return None
        span = _asked_span(call, film.size_bytes, tag)
        if span is None:
            told = problem("range_not_satisfiable", f"The file has {film.size_bytes} bytes.")
            return told._replace(
                headers=((b"content-range", b"bytes */%d" % film.size_bytes),)
            ).reply()
        await self._send(call, file.name, span, film.size_bytes, headers)
        return None

    async def _send(
        self, call: Call, name: str, span: _Span, size_bytes: int, headers: Headers
    ) -> None:
        is_part = span != (0, size_bytes)
        if is_part:
            told = b"bytes %d-%d/%d" % (span.start, span.stop - 1, size_bytes)
            headers = [*headers, (b"content-range", told)]
        headers = [*headers, (b"content-length", b"%d" % (span.stop - span.start))]
        status = 206 if is_part else 200
        if call.scope["method"] == "HEAD":
            await _send_head(call, status, headers)
            return
        pieces = self._media.read(name, span.start, span.stop)
        try:
            # Before the answer begins: it may have been pruned this moment.
            first = await anext(pieces, b"")
        except NotFound:
            raise Gone() from None
        await call.start(status, headers)
        await call.send_part(first)
        async for piece in pieces:
            await call.send_part(piece)
        await call.send_part(b"", is_last=True)


def _route(path: str, door: Door, handle: Handler, types: tuple[str, ...]) -> Route:
    answers = dict.fromkeys((206, 304, 404, 409, 410, 416))
    return Route("GET", path, door, handle=handle, types=types, answers=answers)


async def _send_head(call: Call, status: int, headers: Headers) -> None:
    await call.start(status, headers)
    await call.send_part(b"", is_last=True)


def _film(name: str, result: Result, job_id: JobId) -> _File:
    return _File(name, f"{job_id}.mp4", "video/mp4", result.sha256, result.removed_at)


def _picture(stem: str, result: Result | None, ending: str) -> _File | None:
    """The picture whose name goes on like this after its job's, if the result has it."""
    if result is None:
        return None
    names = picture_names(stem, result.pictures)
    for name, picture in zip(names, result.pictures, strict=True):
        if name == f"{stem}.{ending}":
            return _File(name, name, picture.mime, picture.sha256, result.removed_at)
    return None


def _unready(is_final: bool) -> NotFound | NotReady:
    return NotFound("The job has ended without a video.") if is_final else NotReady()


def _asked_span(call: Call, size_bytes: int, tag: str) -> _Span | None:
    """The bytes asked for; all of them unless one well-formed range was; None where it lies outside."""
    whole = _Span(0, size_bytes)
    asked = call.header(b"range")
    if asked is None or call.header(b"if-range") not in (None, tag):
        return whole
    match = _RANGE.fullmatch(asked.strip())
    if match is None or match.groups() == ("", ""):
        return whole
    first, last = match.groups()
    if not first:
        start, stop = max(0, size_bytes - int(last)), size_bytes
    else:
        start, stop = int(first), min(size_bytes, int(last) + 1 if last else size_bytes)
    return _Span(start, stop) if start < stop else None
