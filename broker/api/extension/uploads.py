"""A result comes in as files: a film as a raw body, a film or pictures as a form. They go straight to disk."""

from collections.abc import Mapping

from broker.api.deps import Deps
from broker.api.extension.acts import known_job, sent_token, verdict_reply
from broker.api.extension.forms import FILM, Piece, ResultForm
from broker.api.extension.wire import Outcome
from broker.api.lean import MIB, Body, Call, Door, Reply, Route
from broker.errors import InvalidValue, NotFound, ResultRejected
from broker.ids import JobId
from broker.jobs import JobKind
from broker.media_ports import MediaStore, PicturesUpload, Upload

#: Boundaries and part headers around the files themselves.
_FORM_BYTES = MIB
#: What can become of a result besides being published.
_VERDICTS: Mapping[int, type[Outcome] | None] = {
    202: Outcome,
    **dict.fromkeys((404, 409, 422, 507)),
}
_RIGHT_CALLS = {
    JobKind.VIDEO: "POST /extension/complete with its film as `video`",
    JobKind.IMAGE: "POST /extension/complete with its files as `image`",
    JobKind.CHAT: "POST /extension/complete/chat",
}


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
                answers=_VERDICTS,
            ),
            Route(
                "POST",
                "/extension/complete",
                Door.WORKER,
                Body(film_bytes + _FORM_BYTES, (b"multipart/form-data",)),
                self.post,
                gives=Outcome,
                files=("video", "image"),
                answers=_VERDICTS,
            ),
        ]

    async def put(self, call: Call) -> Reply:
        """Complete a video job with its film as the raw body"""
        job_id = await self._open_job(call.params["job_id"], JobKind.VIDEO)
        upload = await self._media.receive()
        try:
            async for part in call.stream():
                await upload.write(part)
            token, sha256 = call.header(b"x-lease-token"), call.header(b"x-content-sha256")
            return await self._film(call, upload, job_id, token, sha256)
        finally:
            await upload.discard()

    async def post(self, call: Call) -> Reply:
        """Complete a job with a form: job_id, video or up to ten image, and, where known, lease_token and sha256"""
        form = ResultForm(call.header(b"content-type") or "")
        files, size_bytes = _Files(self._media), 0
        try:
            async for part in call.stream():
                # What stands before, between and after the files counts too: a chunked body announces no length.
                size_bytes += len(part)
                call.check_size(size_bytes)
                for piece in form.take(part):
                    await files.take(piece)
            fields = form.finished()
            token = fields.get("lease_token")
            if files.pictures is not None:
                job_id = await self._open_job(fields["job_id"], JobKind.IMAGE)
                return await self._pictures(call, files.pictures, job_id, token)
            assert files.film is not None
            job_id = await self._open_job(fields["job_id"], JobKind.VIDEO)
            return await self._film(call, files.film, job_id, token, fields.get("sha256"))
        finally:
            await files.discard()

    async def _open_job(self, text: str, kind: JobKind) -> JobId:
        job_id = known_job(text)
        record = await self._store.get(job_id)
        if record is None:
            raise NotFound()
        if record.job.kind != kind:
            its_kind = record.job.kind
            raise InvalidValue(
                f"This is a job of kind {its_kind}: use {_RIGHT_CALLS[its_kind]}.", param="job_id"
            )
        return job_id

    async def _film(
        self, call: Call, upload: Upload, job_id: JobId, token: str | None, sha256: str | None
    ) -> Reply:
        await upload.seal()
        if sha256 is not None and sha256.lower() != upload.sha256:
            raise ResultRejected(
                "damaged", "The file's SHA-256 is not the one announced; send it again."
            )
        sent = sent_token(call, self._settings, token)
        return verdict_reply(*await self._queue.complete_film(job_id, sent, upload))

    async def _pictures(
        self, call: Call, upload: PicturesUpload, job_id: JobId, token: str | None
    ) -> Reply:
        await upload.seal()
        sent = sent_token(call, self._settings, token)
        return verdict_reply(*await self._queue.complete_pictures(job_id, sent, upload))


class _Files:
    """The files of a form on their way to disk: one film, or pictures."""

    def __init__(self, media: MediaStore) -> None:
        self.film: Upload | None = None
        self.pictures: PicturesUpload | None = None
        self._media = media
        self._number = -1

    async def take(self, piece: Piece) -> None:
        if piece.number != self._number:
            await self._begin(piece.name)
            self._number = piece.number
        upload = self.film or self.pictures
        assert upload is not None
        if piece.data:
            await upload.write(piece.data)

    async def discard(self) -> None:
        for upload in (self.film, self.pictures):
            if upload is not None:
                await upload.discard()

    async def _begin(self, name: str) -> None:
        if name == FILM:
            self.film = await self._media.receive()
            return
        if self.pictures is None:
            self.pictures = await self._media.receive_pictures()
        await self.pictures.begin()
