"""The calls that ask for films that are there or on their way: one, many, their bytes; and the one that deletes."""

import asyncio
import base64
from collections.abc import Sequence
from contextlib import suppress
from functools import partial
from typing import Any, get_args

from broker import chores
from broker.api.deps import Deps
from broker.api.films import FilmDoor
from broker.api.lean import MIB, Call, Reply
from broker.api.openai.videos.dialects import (
    Dialect,
    deferred_video,
    dialect_of,
    film_path,
    has_film,
    openai_video,
    poll_after_ms,
    seed_video,
)
from broker.api.openai.videos.sources import film_of, id_of
from broker.api.openai.videos.wire import (
    DeferredVideo,
    OpenAIVideo,
    OpenAIVideoList,
    Video,
    VideoDeleted,
)
from broker.api.openai.waiting import wait_of
from broker.api.waits import Waits
from broker.errors import AlreadyFinished, Gone, InvalidValue, NotFound
from broker.jobs import JobKind
from broker.media_ports import Variant
from broker.ports import JobFilter, Record

#: A larger film is told by its URL, also to those who would have it in the answer.
MAX_INLINE_BYTES = 64 * MIB
MAX_LISTED, USUALLY_LISTED = 100, 20
VARIANTS = ("video", *get_args(Variant))


class Reading:
    def __init__(self, deps: Deps) -> None:
        self._queue = deps.queue
        self._store = deps.store
        self._media = deps.media
        self._settings = deps.settings
        self._clock = deps.clock
        self._waits = Waits(deps)
        self._films = FilmDoor(deps)
        self._links = deps.links

    async def read_seed(self, call: Call) -> Reply:
        """Read a video generation job"""
        record = await self._ended(call)
        url = await self._url(call, record)
        return await _reply(200, seed_video(record.job, url), url)

    async def read(self, call: Call) -> Reply:
        """Read a video job, in the dialect of its id's spelling"""
        record = await self._ended(call)
        dialect = dialect_of(call.params["job_id"])
        if dialect == Dialect.OPENAI:
            return await self._openai_reply(record)
        url = await self._url(call, record)
        if dialect == Dialect.SEED:
            return await _reply(200, seed_video(record.job, url), url)
        told = deferred_video(record, url)
        return await _reply(202 if told.status == "pending" else 200, told, url)

    async def list(self, call: Call) -> Reply:
        """List the videos"""
        limit, order = _limit(call), _choice(call, "order", ("desc", "asc"))
        after = _one(call, "after")
        found = await self._store.page(
            JobFilter(call.caller.only_owner, kind=JobKind.VIDEO),
            limit + 1,
            id_of(after) if after else None,
            oldest_first=order == "asc",
        )
        shown = [await self._openai_video(record) for record in found[:limit]]
        has_more = len(found) > limit
        told = OpenAIVideoList(
            data=shown,
            first_id=shown[0].id if shown else None,
            last_id=shown[-1].id if shown and has_more else None,
            has_more=has_more,
        )
        return Reply(200, told.model_dump_json().encode())

    async def delete(self, call: Call) -> Reply:
        """Delete a video with its film; one that is not done yet is cancelled first"""
        job = (await self._ended(call, 0)).job
        if not job.state.is_final:
            with suppress(AlreadyFinished):
                await self._queue.cancel(job.id, None)
        await chores.delete_jobs(self._store, self._media, [job.id])
        told = VideoDeleted(id=call.params["job_id"])
        return Reply(200, told.model_dump_json().encode())

    async def content(self, call: Call) -> Reply | None:
        """Download a video, or a still that stands for it"""
        variant: Any = _choice(call, "variant", VARIANTS)
        record = await self._ended(call)
        if variant == "video":
            return await self._films.serve(call, record)
        _, film = film_of(record)
        if film.removed_at is not None or await self._media.find(record.job.id) is None:
            raise Gone()
        still = await self._media.variant(record.job.id, variant)
        return Reply(200, still.data, still.mime.encode())

    async def _ended(self, call: Call, wait_seconds: float | None = None) -> Record:
        """The job of the path; as it has ended, where the client waits for that. Raises `NotFound`."""
        job_id = id_of(call.params["job_id"])
        seconds = wait_of(call) if wait_seconds is None else wait_seconds
        record = await self._waits.ended(call.caller, job_id, seconds, call.is_alive)
        if record is None or record.job.kind != JobKind.VIDEO:
            raise NotFound()
        return record

    async def _openai_reply(self, record: Record) -> Reply:
        video = await self._openai_video(record)
        headers: tuple[tuple[bytes, bytes], ...] = ()
        if (pause := poll_after_ms(record.job, self._clock.now())) is not None:
            headers = ((b"openai-poll-after-ms", b"%d" % pause),)
        return Reply(200, video.model_dump_json().encode(), headers=headers)

    async def _openai_video(self, record: Record) -> OpenAIVideo:
        payload = await self._store.payload(record.job.id)
        return openai_video(record, payload, self._settings.max_video_age_days)

    async def _url(self, call: Call, record: Record) -> str:
        """Where the film is; the film itself, for clients that would rather not fetch it from this address."""
        result = record.result
        is_small = result is not None and result.size_bytes <= MAX_INLINE_BYTES
        if is_small and has_film(record) and _wants_inline(call):
            with suppress(NotFound):  # Pruned this moment.
                return await self._inline(record)
        return self._links.media(call, film_path(record.job.id))

    async def _inline(self, record: Record) -> str:
        pieces = self._media.read(record.job.id, 0, MAX_INLINE_BYTES)
        film = b"".join([piece async for piece in pieces])
        encoded = await asyncio.to_thread(base64.b64encode, film)
        return f"data:video/mp4;base64,{encoded.decode('ascii')}"


async def _reply(status: int, told: Video | DeferredVideo, url: str) -> Reply:
    dump = partial(told.model_dump_json, exclude_none=isinstance(told, DeferredVideo))
    # A film within the answer is too much to be written down between two other calls.
    text = await asyncio.to_thread(dump) if url.startswith("data:") else dump()
    return Reply(status, text.encode())


def _one(call: Call, name: str) -> str | None:
    """A field of the query, the last where it is given more than once."""
    given = call.query().get(name)
    return given[-1] if given else None


def _choice(call: Call, name: str, choices: Sequence[str]) -> str:
    """A field that is one of these, the first where it is not given. Raises `InvalidValue`."""
    value = _one(call, name) or choices[0]
    if value not in choices:
        raise InvalidValue(f"{name}: one of {', '.join(choices)}.", param=name)
    return value


def _limit(call: Call) -> int:
    value = _one(call, "limit") or str(USUALLY_LISTED)
    if len(value) > 3 or not value.isdecimal() or int(value) > MAX_LISTED:
        raise InvalidValue(f"limit: a whole number from 0 to {MAX_LISTED}.", param="limit")
    return int(value)


def _wants_inline(call: Call) -> bool:
    return "1" in (call.header(b"x-inline-video"), _one(call, "inline"))
