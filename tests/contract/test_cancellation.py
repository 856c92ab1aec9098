"""A caller that leaves at any moment leaves a whole deed or none: no open transaction, nobody else's commit, no file.

Each deed is cancelled at its first wait, then at its second, until it ends before it can be cancelled; and each
time in three ways: as it begins to wait, while the disk is at work, and when the answer is there but not yet seen.
"""

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Generator
from contextlib import asynccontextmanager, suppress
from enum import StrEnum
from pathlib import Path
from types import coroutine
from typing import Any

import pytest

from broker.handouts import Assignment, Poll
from broker.ids import new_job_id
from broker.jobs import JobKind, JobState
from broker.leases import Phase
from broker.media import disk as disk_module
from broker.media.disk import DiskMedia
from broker.media_ports import FilmFacts
from broker.notifier import Notifier
from broker.ports import JobFilter, Record
from broker.queue import JobQueue
from broker.results import Verdict
from broker.store.sqlite.store import SqliteStore
from broker.workers import Roster
from tests.support.builders import NOW, TIMERS, WORKER, a_new_job
from tests.support.clock import ManualClock
from tests.support.images import png_of
from tests.support.running import run

#: No deed waits as often as this.
MANY = 60


class When(StrEnum):
    BEGINNING = "as it begins to wait"
    WORKING = "while the disk is at work"
    ANSWERED = "when the answer is there"


@coroutine
def cancelled_at(deed: Coroutine[Any, Any, Any], wait: int, when: When) -> Generator[Any, Any, Any]:
    """Goes through a deed and cancels it at one of its waits. Ends as the deed does."""
    task, loop = asyncio.current_task(), asyncio.get_running_loop()
    assert task is not None
    error: BaseException | None = None
    for number in range(MANY):
        try:
            awaited = deed.send(None) if error is None else deed.throw(error)
        except StopIteration as stop:
            return stop.value
        if number == wait and when == When.BEGINNING:
            task.cancel()
        elif number == wait and when == When.WORKING:
            # By then what waited has been handed to the thread that writes.
            loop.call_soon(loop.call_soon, loop.call_soon, task.cancel)
        error = None
        try:
            yield awaited
        except BaseException as raised:
            error = raised
        if number == wait and when == When.ANSWERED:
            error = asyncio.CancelledError()
    raise AssertionError("It waits for ever.")


class Desk:
    """A queue on a file and a folder."""

    def __init__(self, store: SqliteStore, media: DiskMedia, folder: Path) -> None:
        self.store = store
        self.media = media
        self.folder = folder
        self.notifier = Notifier(50)
        parts = (store, self.notifier, Roster(), ManualClock(NOW), TIMERS)
        self.queue = JobQueue(*parts)

    async def record(self, held: Assignment) -> Record:
        record = await self.store.get(held.job.id)
        assert record is not None
        return record

    async def held(self, kind: JobKind) -> Assignment:
        await self.queue.submit(a_new_job(kind))
        held = await self.claim()
        assert held is not None
        return held

    async def claim(self) -> Assignment | None:
        return await self.queue.claim(Poll(WORKER, tuple(JobKind), 0.0, lambda: True))

    async def deliver(self, held: Assignment) -> Verdict:
        """As the workers' door does it."""
        upload = await self.media.receive()
        try:
            await upload.write(b"a film of " + held.job.id.encode())
            await upload.seal()
            return (await self.queue.complete_film(held.job.id, held.token, upload))[1]
        finally:
            await upload.discard()

    async def deliver_pictures(self, held: Assignment) -> Verdict:
        own = int(held.job.id[-6:], 16) + 1
        upload = await self.media.receive_pictures()
        try:
            for height in (1, 2):
                await upload.begin()
                await upload.write(png_of(own, height))
            await upload.seal()
            deliver = self.queue.complete_pictures
            return (await deliver(held.job.id, held.token, upload))[1]
        finally:
            await upload.discard()


@pytest.fixture
def open_desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    facts = FilmFacts(6.0, 640, 360)
    monkeypatch.setattr(disk_module, "inspect_film", lambda path: facts)

    @asynccontextmanager
    async def opened() -> AsyncIterator[Desk]:
        media = DiskMedia(tmp_path / "videos", max_upload_bytes=10_000, min_free_bytes=0)
        try:
            async with SqliteStore(tmp_path / "jobs.db", on_fatal=_fail) as store:
                yield Desk(store, media, tmp_path)
        finally:
            await media.close()

    return opened


def _fail(error: BaseException) -> None:
    raise AssertionError from error


Deed = Callable[[Desk], Coroutine[Any, Any, Any]]
#: Prepares a deed; what it gives is done under the knife, and what it gives then says whether all is well.
Scene = Callable[[Desk], Awaitable[tuple[Coroutine[Any, Any, Any], Callable[[], Awaitable[None]]]]]


async def submitting(desk: Desk) -> Any:
    job_id = new_job_id()

    async def is_whole() -> None:
        record, payload = await desk.store.get(job_id), await desk.store.payload(job_id)
        assert (record is None) == (payload is None)
        assert (await desk.queue.submit(a_new_job())).state == JobState.PENDING

    return desk.queue.submit(a_new_job(job_id=job_id)), is_whole


async def claiming(desk: Desk) -> Any:
    job = await desk.queue.submit(a_new_job())

    async def is_whole() -> None:
        record = await desk.store.get(job.id)
        assert record is not None
        now_is = record.job
        if now_is.state == JobState.PENDING:
            assert (now_is.attempt, now_is.lease) == (0, None)
            again = await desk.claim()
            assert again is not None
        else:
            assert (now_is.attempt, now_is.deadline_at) == (1, NOW + 10)
            assert now_is.lease is not None
            assert now_is.lease.confirmed_at is None, "so it goes back uncounted in ten seconds"
        assert desk.notifier.parked_count == 0

    return desk.claim(), is_whole


async def beating(desk: Desk) -> Any:
    held = await desk.held(JobKind.VIDEO)

    async def is_whole() -> None:
        job = (await desk.record(held)).job
        told = (job.phase, job.submitted_at, job.evidence)
        assert told in ((Phase.ASSIGNED, None, None), (Phase.SUBMITTED, NOW, '{"post_id": "p"}'))
        again = await desk.queue.beat(held.job.id, held.token, Phase.SUBMITTED)
        assert again.phase == Phase.SUBMITTED

    return desk.queue.beat(
        held.job.id, held.token, Phase.SUBMITTED, 5, '{"post_id": "p"}'
    ), is_whole


async def answering(desk: Desk) -> Any:
    held = await desk.held(JobKind.CHAT)

    async def is_whole() -> None:
        record = await desk.record(held)
        _is_completed_or_not(record)
        verdict = (await desk.queue.complete_text(held.job.id, held.token, "Yes."))[1]
        assert verdict == (Verdict.REPEATED if record.result else Verdict.PUBLISHED)

    return desk.queue.complete_text(held.job.id, held.token, "Yes."), is_whole


async def delivering(desk: Desk) -> Any:
    held = await desk.held(JobKind.VIDEO)

    async def is_whole() -> None:
        record = await desk.record(held)
        _is_completed_or_not(record)
        film = await desk.media.find(held.job.id)
        if record.result is not None:
            assert film is not None
            assert await desk.media.digest(held.job.id) == record.result.sha256
        verdict = await desk.deliver(held)
        assert verdict == (Verdict.REPEATED if record.result else Verdict.PUBLISHED)
        assert (await desk.record(held)).job.state == JobState.COMPLETED

    return desk.deliver(held), is_whole


async def delivering_pictures(desk: Desk) -> Any:
    held = await desk.held(JobKind.IMAGE)

    async def is_whole() -> None:
        record = await desk.record(held)
        _is_completed_or_not(record)
        films = [film for film in await desk.media.films() if film.name == held.job.id]
        for film in films:
            pictures = tuple(await desk.media.inspect_pictures(film.name))
            assert len(pictures) == 2, "all of them or none"
            if record.result is not None:
                assert pictures == record.result.pictures
        assert films or record.result is None
        verdict = await desk.deliver_pictures(held)
        assert verdict == (Verdict.REPEATED if record.result else Verdict.PUBLISHED)
        assert (await desk.record(held)).job.state == JobState.COMPLETED

    return desk.deliver_pictures(held), is_whole


async def cancelling(desk: Desk) -> Any:
    held = await desk.held(JobKind.VIDEO)

    async def is_whole() -> None:
        record = await desk.record(held)
        attempts = await desk.store.attempts(held.job.id)
        assert record.job.state in (JobState.PROCESSING, JobState.CANCELLED)
        assert len(attempts) == (record.job.state == JobState.CANCELLED)
        assert (await desk.queue.cancel(held.job.id, None)).state == JobState.CANCELLED

    return desk.queue.cancel(held.job.id, None), is_whole


def _is_completed_or_not(record: Record) -> None:
    is_completed = record.job.state == JobState.COMPLETED
    assert is_completed or record.job.state == JobState.PROCESSING
    assert is_completed == (record.result is not None)


@pytest.mark.parametrize("when", list(When))
@pytest.mark.parametrize(
    "scene",
    [submitting, claiming, beating, answering, delivering, delivering_pictures, cancelling],
)
def test_a_deed_that_is_cut_off_anywhere_is_whole_or_nothing(
    open_desk: Any, scene: Scene, when: When
) -> None:
    async def story() -> int:
        async with open_desk() as desk:
            for wait in range(MANY):
                deed, is_whole = await scene(desk)
                beside = asyncio.create_task(desk.queue.submit(a_new_job(JobKind.CHAT)))
                was_cut = await _cut(deed, wait, when)
                neighbour = await beside
                # What had been handed to the disk has landed when the next write has.
                await desk.store.ripen(NOW)
                await is_whole()
                await _nothing_is_left(desk)
                record = await desk.store.get(neighbour.id)
                assert record is not None, "what was written with it is written"
                await desk.queue.cancel(neighbour.id, None)
                await _empty_the_queue(desk)
                if not was_cut:
                    return wait
        raise AssertionError("It waits for ever.")

    assert run(story()) >= 1


async def _cut(deed: Coroutine[Any, Any, Any], wait: int, when: When) -> bool:
    task = asyncio.create_task(_as_coroutine(cancelled_at(deed, wait, when)))
    with suppress(asyncio.CancelledError):
        await task
    return task.cancelled()


async def _as_coroutine(deed: Awaitable[Any]) -> Any:
    return await deed


async def _empty_the_queue(desk: Desk) -> None:
    for record in await desk.store.page(JobFilter(state=JobState.PENDING), 1000):
        await desk.queue.cancel(record.job.id, None)


async def _nothing_is_left(desk: Desk) -> None:
    assert list((desk.folder / "videos" / ".incoming").iterdir()) == []
    await asyncio.to_thread(_examine, desk.folder / "jobs.db")


def _examine(path: Path) -> None:
    """From outside: nobody is writing, and the counts that are kept are those that are counted."""
    db = sqlite3.connect(path, timeout=0, isolation_level=None)
    try:
        db.execute("BEGIN IMMEDIATE")
        kept = db.execute("SELECT owner, kind, state, n FROM counts WHERE n ORDER BY 1, 2, 3")
        counted = db.execute(
            "SELECT owner, kind, state, count(*) FROM jobs GROUP BY 1, 2, 3 ORDER BY 1, 2, 3"
        )
        assert kept.fetchall() == counted.fetchall()
        assert db.execute("PRAGMA foreign_key_check").fetchall() == []
        db.execute("ROLLBACK")
    finally:
        db.close()
