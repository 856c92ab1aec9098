"""Recurring housekeeping, one function a deed: expire, grace, prune, adopt, back up. Says nothing of when.

The lease sweep is started by `sweeper.py`; what a calendar may do, by `scheduler/`.
"""

from collections.abc import Sequence
from contextlib import suppress
from typing import NamedTuple

from broker.errors import NotFound, ResultRejected
from broker.ids import JobId, parse_job_id
from broker.jobs import Job, JobKind, Payload
from broker.media_ports import Film, MediaStore
from broker.outputs import Result, digest_of
from broker.ports import Clock, Store
from broker.queue import JobQueue
from broker.repeats import KEY_SECONDS

#: So few that one transaction never holds the event loop up for long.
BATCH = 100
DAY_SECONDS = 86_400.0
#: A film that has just been finished is never pruned, however full the store is.
FRESH_SECONDS = 3600.0
#: The size cap removes films down to this part of it, so that it does not work for each new film.
LOW_WATER = 0.6
#: How long streamed pieces are kept beside the whole answer, for readers that are still behind.
CHUNKS_SECONDS = 600.0


async def expire_due(queue: JobQueue, store: Store, clock: Clock) -> int:
    """Acts on every deadline that has passed; returns how many there were."""
    count = 0
    while due := await store.due(clock.now(), BATCH):
        for job_id in due:
            with suppress(NotFound):  # Deleted meanwhile.
                await queue.expire(job_id)
        count += len(due)
    return count


async def grant_grace(queue: JobQueue, store: Store) -> int:
    """One lease of grace for every live lease: after a start or a pause, silence proves nothing."""
    held = await store.under_way()
    for job in held:
        with suppress(NotFound):
            await queue.grant_grace(job.id)
    return len(held)


class FilmLimits(NamedTuple):
    """How long films are kept, and how much room they may take. Zero keeps for ever."""

    max_age_days: float
    max_bytes: int


async def prune_films(store: Store, media: MediaStore, clock: Clock, limits: FilmLimits) -> int:
    """Removes films that are too old, then the oldest over the size cap. Their jobs' rows stay.

    Age is counted on the steady clock: a step of the machine's clock makes no film old.
    """
    count = 0
    if limits.max_age_days > 0:
        before = clock.now() - limits.max_age_days * DAY_SECONDS
        while old := await store.films(before, BATCH):
            for record in old:
                await _remove_film(store, media, clock, record.job.id)
            count += len(old)
    return count + await _prune_to_size(store, media, clock, limits.max_bytes)


async def _prune_to_size(store: Store, media: MediaStore, clock: Clock, max_bytes: int) -> int:
    films = await media.films()
    total = sum(film.size_bytes for film in films)
    if not max_bytes or total <= max_bytes:
        return 0
    count = 0
    fresh_since = clock.wall() - FRESH_SECONDS
    for film in films:
        if total <= max_bytes * LOW_WATER or film.modified_at > fresh_since:
            break
        job_id = parse_job_id(film.name.removesuffix(".late"))
        if job_id is not None:
            await _remove_film(store, media, clock, job_id)
            total -= film.size_bytes
            count += 1
    return count


async def _remove_film(store: Store, media: MediaStore, clock: Clock, job_id: JobId) -> None:
    """The file first: it is what takes the room, and a row without a file says so when it is asked for."""
    await media.remove(job_id)
    await media.remove(f"{job_id}.late")
    await store.forget_film(job_id, clock.now())


async def prune_jobs(store: Store, media: MediaStore, clock: Clock, max_age_days: float) -> int:
    """Deletes the rows of jobs that ended long ago, with all they left."""
    count = 0
    before = clock.now() - max_age_days * DAY_SECONDS
    while old := await store.old_jobs(before, BATCH):
        count += await delete_jobs(store, media, old)
    return count


async def delete_jobs(store: Store, media: MediaStore, job_ids: Sequence[JobId]) -> int:
    """Deletes these jobs but for those that are processing, with their films and images."""
    removed = await store.delete(job_ids)
    for job, payload in removed:
        await _remove_media(media, job.id, payload)
    return len(removed)


async def _remove_media(media: MediaStore, job_id: JobId, payload: Payload) -> None:
    await media.remove(job_id)
    await media.remove(f"{job_id}.late")
    for name in payload.inputs:
        await media.remove_input(name)


async def prune_chunks(store: Store, clock: Clock) -> int:
    """Drops the streamed pieces of answers that are whole."""
    count = 0
    while dropped := await store.prune_chunks(clock.now() - CHUNKS_SECONDS, BATCH):
        count += dropped
    return count


async def prune_request_keys(store: Store, clock: Clock) -> int:
    """Forgets requests that can no longer be repeated."""
    count = 0
    while dropped := await store.prune_request_keys(clock.now() - KEY_SECONDS, BATCH):
        count += dropped
    return count


async def adopt_films(queue: JobQueue, store: Store, media: MediaStore, clock: Clock) -> int:
    """Finishes what an earlier run began: whole files whose row had not been written complete their job.

    A film or a folder of pictures is renamed into place only after it was checked and the sender's right to it
    judged, so one that is there belongs to its job.
    """
    await media.sweep_leftovers()
    count = 0
    for film in await media.films():
        job_id = parse_job_id(film.name)
        record = await store.get(job_id) if job_id else None
        if record is not None and record.result is None:
            count += await _adopt(queue, media, clock, record.job, film)
    return count


async def _adopt(queue: JobQueue, media: MediaStore, clock: Clock, job: Job, film: Film) -> bool:
    if job.state.is_final or not job.kind.leaves_files:
        return False
    try:
        result = await _read_result(media, job, film, clock.now())
    except (ResultRejected, NotFound):
        return False
    await queue.adopt(job.id, result)
    return True


async def _read_result(media: MediaStore, job: Job, film: Film, now: float) -> Result:
    if job.kind == JobKind.IMAGE:
        pictures = tuple(await media.inspect_pictures(film.name))
        digest = digest_of(pictures)
        return Result(digest, film.size_bytes, job.attempt, now, pictures=pictures)
    facts = await media.inspect(film.name)
    return Result(await media.digest(film.name), film.size_bytes, job.attempt, now, *facts)
