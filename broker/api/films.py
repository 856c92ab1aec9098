"""Films go out: whole, in ranges, or just their headers. The unguessable job id is the permission."""

import re
from typing import NamedTuple

from broker.api.deps import Deps
from broker.api.errors import problem
from broker.api.lean import Call, Door, Headers, Reply, Route
from broker.errors import Gone, NotFound, NotReady
from broker.ids import JobId, parse_job_id
from broker.jobs import JobKind, Result

_RANGE = re.compile(r"bytes=(\d{0,18})-(\d{0,18})", re.ASCII)
_FIXED: Headers = [
    (b"content-type", b"video/mp4"),
    (b"accept-ranges", b"bytes"),
    # A result never changes under its name, but it can be pruned: ask again, by tag.
    (b"cache-control", b"private, no-cache"),
    (b"content-security-policy", b"sandbox; default-src 'none'"),
    (b"cross-origin-resource-policy", b"cross-origin"),
]


class _Span(NamedTuple):
    start: int
    stop: int


class FilmDoor:
    def __init__(self, deps: Deps) -> None:
        self._store = deps.store
        self._media = deps.media

    def routes(self) -> list[Route]:
        return [
            Route("GET", "/videos/{file_name}", Door.MEDIA, handle=self.read),
            Route("GET", "/jobs/{job_id}/late.mp4", Door.ADMIN, handle=self.read_late),
        ]

    async def read(self, call: Call) -> Reply | None:
        """Download a video"""
        stem, _, ending = call.params["file_name"].rpartition(".")
        job_id = parse_job_id(stem) if ending == "mp4" else None
        record = await self._store.get(job_id) if job_id else None
        if record is None or record.job.kind != JobKind.VIDEO:
            raise NotFound("There is no such video.")
        if record.result is None:
            raise _unready(record.job.state.is_final)
        return await self._serve(call, record.job.id, record.result, record.job.id)

    async def read_late(self, call: Call) -> Reply | None:
        """Download a video that came after its job had ended"""
        job_id = parse_job_id(call.params["job_id"])
        record = await self._store.get(job_id) if job_id else None
        if record is None or record.late is None or record.job.kind != JobKind.VIDEO:
            raise NotFound("There is no late video of this job.")
        return await self._serve(call, f"{record.job.id}.late", record.late, record.job.id)

    async def _serve(self, call: Call, name: str, result: Result, job_id: JobId) -> Reply | None:
        film = await self._media.find(name)
        if film is None or result.removed_at is not None:
            raise Gone()
        tag = f'"{result.sha256}"'
        headers = [
            *_FIXED,
            (b"etag", tag.encode()),
            (b"content-disposition", f'inline; filename="{job_id}.mp4"'.encode()),
        ]
        if tag in (call.header(b"if-none-match") or ""):
            await _send_head(call, 304, headers)
            return None
        span = _asked_span(call, film.size_bytes, tag)
        if span is None:
            told = problem("range_not_satisfiable", f"The video has {film.size_bytes} bytes.")
            return told._replace(
                headers=((b"content-range", b"bytes */%d" % film.size_bytes),)
            ).reply()
        await self._send(call, name, span, film.size_bytes, headers)
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
        await call.start(status, headers)
        async for piece in self._media.read(name, span.start, span.stop):
            await call.send_part(piece)
        await call.send_part(b"", is_last=True)


async def _send_head(call: Call, status: int, headers: Headers) -> None:
    await call.start(status, headers)
    await call.send_part(b"", is_last=True)


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
