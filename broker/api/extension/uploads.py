"""A film comes in: as a raw body, or as the seed's multipart form. Either way it goes straight to disk."""

from collections.abc import Mapping
from typing import NamedTuple

from python_multipart.multipart import MultipartParser, parse_options_header

from broker.api.deps import Deps
from broker.api.extension.acts import known_job, sent_token, verdict_reply
from broker.api.extension.wire import Outcome
from broker.api.lean import MIB, Body, Call, Door, Reply, Route
from broker.errors import InvalidValue, MissingParameter, NotFound, ResultRejected, TooLarge
from broker.ids import JobId
from broker.jobs import JobKind
from broker.ports import Upload

MAX_FIELDS = 8
MAX_FIELD_BYTES = 64 * 1024
#: Boundaries and part headers around the film itself.
_FORM_BYTES = MIB


class UploadDoor:
    def __init__(self, deps: Deps) -> None:
        self._queue = deps.queue
        self._store = deps.store
        self._media = deps.media
        self._settings = deps.settings

    def routes(self) -> list[Route]:
        film_bytes = int(self._settings.max_upload_mib * MIB)
        return [
            Route(
                "PUT",
                "/extension/result/{job_id}",
                Door.WORKER,
                Body(film_bytes, (b"video/mp4", b"application/octet-stream")),
                self.put,
                gives=Outcome,
            ),
            Route(
                "POST",
                "/extension/complete",
                Door.WORKER,
                Body(film_bytes + _FORM_BYTES, (b"multipart/form-data",)),
                self.post,
                gives=Outcome,
            ),
        ]

    async def put(self, call: Call) -> Reply:
        """Complete a video job with its film as the raw body"""
        job_id = await self._open_job(call.params["job_id"])
        upload = await self._media.receive()
        try:
            async for part in call.stream():
                await upload.write(part)
            return await self._finish(
                upload, job_id, call.header(b"x-lease-token"), call.header(b"x-content-sha256")
            )
        finally:
            await upload.discard()

    async def post(self, call: Call) -> Reply:
        """Complete a video job with a form: job_id, video and, where known, lease_token and sha256"""
        upload = await self._media.receive()
        form = _Form(call.header(b"content-type") or "")
        try:
            async for part in call.stream():
                for data in form.take(part):
                    await upload.write(data)
            fields = form.finished()
            job_id = await self._open_job(fields["job_id"])
            return await self._finish(
                upload, job_id, fields.get("lease_token"), fields.get("sha256")
            )
        finally:
            await upload.discard()

    async def _open_job(self, text: str) -> JobId:
        job_id = known_job(text)
        record = await self._store.get(job_id)
        if record is None:
            raise NotFound()
        if record.job.kind != JobKind.VIDEO:
            raise InvalidValue(
                "This is a chat job: use POST /extension/complete/chat.", param="job_id"
            )
        return job_id

    async def _finish(
        self, upload: Upload, job_id: JobId, token: str | None, sha256: str | None
    ) -> Reply:
        await upload.seal()
        if sha256 is not None and sha256.lower() != upload.sha256:
            raise ResultRejected(
                "damaged", "The file's SHA-256 is not the one announced; send it again."
            )
        job, verdict = await self._queue.complete_film(
            job_id, sent_token(self._settings, token), upload
        )
        return verdict_reply(job, verdict)


class _Part(NamedTuple):
    name: str
    is_file: bool


class _Form:
    """The seed's form, parsed as it comes: one file, a few short fields, nothing kept in memory but those."""

    def __init__(self, content_type: str) -> None:
        _, options = parse_options_header(content_type)
        boundary = options.get(b"boundary")
        if not boundary:
            raise InvalidValue("multipart/form-data needs a boundary.")
        self._parser = MultipartParser(
            boundary,
            {
                "on_part_begin": self._begin,
                "on_header_field": self._header_name,
                "on_header_value": self._header_value,
                "on_header_end": self._header_end,
                "on_headers_finished": self._headers_finished,
                "on_part_data": self._data,
                "on_end": self._end,
            },
        )
        self._fields: dict[str, bytes] = {}
        self._film: list[bytes] = []
        self._has_film = False
        self._is_whole = False
        self._name = b""
        self._value = b""
        self._disposition = b""
        self._part = _Part("", is_file=False)
        self._part_count = 0

    def take(self, data: bytes) -> list[bytes]:
        """Parses more of the body; returns what of it belongs to the film."""
        try:
            self._parser.write(data)
        except ValueError:
            raise InvalidValue("The multipart body is malformed.") from None
        film, self._film = self._film, []
        return film

    def finished(self) -> Mapping[str, str]:
        """The form's fields. Raises `MissingParameter` where the seed's two are not there."""
        if not self._is_whole:
            raise InvalidValue("The multipart body ends before its last boundary.")
        if not self._has_film:
            raise MissingParameter("video is required, as a file.", param="video")
        if "job_id" not in self._fields:
            raise MissingParameter("job_id is required.", param="job_id")
        return {name: value.decode("utf-8", "replace") for name, value in self._fields.items()}

    def _begin(self) -> None:
        self._disposition = b""
        self._part_count += 1
        if self._part_count > MAX_FIELDS:
            raise TooLarge(f"The form may have at most {MAX_FIELDS} fields.")

    def _header_name(self, data: bytes, start: int, end: int) -> None:
        self._name += data[start:end]

    def _header_value(self, data: bytes, start: int, end: int) -> None:
        self._value += data[start:end]
        if len(self._value) > MAX_FIELD_BYTES:
            raise TooLarge("A header of the form is too long.")

    def _header_end(self) -> None:
        if self._name.lower() == b"content-disposition":
            self._disposition = self._value
        self._name = self._value = b""

    def _headers_finished(self) -> None:
        _, options = parse_options_header(self._disposition)
        name = options.get(b"name", b"").decode("utf-8", "replace")
        self._part = _Part(name, is_file=name == "video")
        if self._part.is_file:
            if self._has_film:
                raise InvalidValue("The form has two videos.", param="video")
            self._has_film = True

    def _data(self, data: bytes, start: int, end: int) -> None:
        if self._part.is_file:
            self._film.append(data[start:end])
            return
        value = self._fields.get(self._part.name, b"") + data[start:end]
        if len(value) > MAX_FIELD_BYTES:
            raise TooLarge(f"{self._part.name[:40]} is too long.")
        self._fields[self._part.name] = value

    def _end(self) -> None:
        self._is_whole = True
