"""The sweep: every deadline is kept by a loop of ours, whatever becomes of the disk, the clock or the last round."""

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from broker import sweeper as sweeper_module
from broker.errors import StoreFailed
from broker.ids import JobId
from broker.jobs import Job, JobKind, JobState
from broker.leases import Phase
from broker.log import ProgramLog
from broker.store.memory import MemoryStore
from broker.sweeper import Sweeper
from tests.support.builders import OTHER_WORKER
from tests.support.desk import Desk, Gate, in_loop, turns

SOON = 30.0
ROOM = 1000


class Watched:
    """A sweeper over a desk, what it wrote into the log, and the monotonic clock it goes by."""

    def __init__(self, desk: Desk, folder: Path, sweep_seconds: float = 1.0) -> None:
        self.at = 1000.0
        self._folder = folder
        self._log = ProgramLog(folder, desk.clock.wall)
        self._desk = desk
        self.use(sweep_seconds)

    def use(self, sweep_seconds: float) -> None:
        desk = self._desk
        self.sweeper = Sweeper(
            desk.queue,
            desk.store,
            desk.media,
            desk.notifier,
            desk.clock,
            self._log,
            sweep_seconds=sweep_seconds,
            min_free_bytes=ROOM,
        )
        desk.queue.expire_overdue = self.sweeper.expire_overdue

    def passes(self, seconds: float) -> None:
        """Time passes for everybody, and nobody looks."""
        self.at += seconds
        self._desk.clock.advance(seconds)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        self.use(sweep_seconds=0.001)
        self.sweeper.start()
        try:
            yield
        finally:
            await self.sweeper.stop()

    def events(self) -> list[str]:
        self._log.flush()
        files = sorted(self._folder.glob("broker_*.jsonl"))
        lines = [line for file in files for line in file.read_text().splitlines()]
        return [json.loads(line)["event"] for line in lines]


@pytest.fixture
def desk() -> Desk:
    return Desk()


@pytest.fixture
def watched(desk: Desk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Watched:
    watched = Watched(desk, tmp_path)
    clock = SimpleNamespace(monotonic=lambda: watched.at)
    monkeypatch.setattr(sweeper_module, "time", clock)
    monkeypatch.setattr(sweeper_module, "POLL_SWEEP_SECONDS", 0.001)
    watched.use(1.0)
    return watched


async def news_of(desk: Desk, job_id: JobId) -> Job:
    """What is told of a job next."""
    with desk.notifier.watch(job_id) as watch:
        news = await watch.next(SOON)
    assert news is not None
    return news.job


@in_loop
async def test_a_deadline_is_kept_although_nobody_asks(desk: Desk, watched: Watched) -> None:
    job_id = await desk.submit(JobKind.CHAT)
    desk.clock.advance(60)

    async with watched.running():
        job = await news_of(desk, job_id)

    assert (job.state, job.error_code) == (JobState.FAILED, "expired")


@in_loop
async def test_a_job_whose_pause_is_over_is_offered_to_those_who_wait(
    desk: Desk, watched: Watched
) -> None:
    held = await desk.held(phase=Phase.PREPARING)
    await desk.fail(held, "person_busy")
    waiting = asyncio.create_task(desk.claim(worker=OTHER_WORKER, wait=20.0))
    await turns()
    desk.clock.advance(5)

    async with watched.running():
        again = await waiting

    assert again is not None
    assert again.job.id == held.job.id


@in_loop
async def test_a_poll_whose_time_is_over_ends(desk: Desk, watched: Watched) -> None:
    waiting = asyncio.create_task(desk.claim(wait=20.0))
    await turns()
    desk.clock.advance(20)

    async with watched.running():
        assert await waiting is None


@pytest.mark.parametrize("error", [StoreFailed(), OSError(5, "no disk"), KeyError("odd")])
@in_loop
async def test_a_round_that_fails_is_noted_and_the_next_one_comes(
    desk: Desk, watched: Watched, error: Exception
) -> None:
    class FailsOnce(MemoryStore):
        failures = 1

        async def due(self, now: float, limit: int) -> Sequence[JobId]:
            if self.failures:
                self.failures -= 1
                raise error
            return await super().due(now, limit)

    desk.use(FailsOnce())
    job_id = await desk.submit(JobKind.CHAT)
    desk.clock.advance(60)

    async with watched.running():
        assert (await news_of(desk, job_id)).state == JobState.FAILED

    assert "sweep_failed" in watched.events()


@in_loop
async def test_deadlines_are_kept_while_the_disk_cannot_be_looked_at(
    desk: Desk, watched: Watched
) -> None:
    async def free_bytes() -> int:
        raise OSError(5, "no disk")

    desk.media.free_bytes = free_bytes  # type: ignore[method-assign]
    job_id = await desk.submit(JobKind.CHAT)
    desk.clock.advance(60)

    async with watched.running():
        assert (await news_of(desk, job_id)).state == JobState.FAILED


@in_loop
async def test_a_full_disk_is_seen_and_so_is_new_room(desk: Desk, watched: Watched) -> None:
    seen = []
    for free in (ROOM, ROOM - 1, 0, ROOM):
        desk.media.free = free
        await watched.sweeper.sweep()
        seen.append(desk.queue.is_disk_full)

    assert seen == [False, True, True, False]
    assert watched.events() == ["disk_full", "disk_has_room"]


@in_loop
async def test_a_broker_that_was_away_gives_every_lease_its_full_time_again(
    desk: Desk, watched: Watched
) -> None:
    held = [await desk.held(phase=Phase.PREPARING) for _ in range(3)]

    watched.passes(3600)
    await watched.sweeper.sweep()

    assert {await desk.state(each) for each in held} == {JobState.PROCESSING}
    assert watched.events() == ["broker_was_away"]
    for _ in range(150):
        watched.passes(1)
        await watched.sweeper.sweep()
    assert {await desk.state(each) for each in held} == {JobState.PENDING}


@in_loop
async def test_a_step_of_the_machines_clock_is_no_absence_and_ends_no_lease(
    desk: Desk, watched: Watched
) -> None:
    held = await desk.held(phase=Phase.PREPARING)

    for step in (+7200, -86_400, +315_360_000):
        desk.clock.step_wall(step)
        watched.passes(1)
        await watched.sweeper.sweep()

    assert await desk.state(held) == JobState.PROCESSING
    assert "broker_was_away" not in watched.events()


@in_loop
async def test_a_claim_that_finds_nothing_looks_at_deadlines_itself(
    desk: Desk, watched: Watched
) -> None:
    held = await desk.held()
    watched.passes(10)
    watched.use(sweep_seconds=60.0)
    watched.passes(1)

    again = await desk.claim(worker=OTHER_WORKER)

    assert again is not None
    assert again.job.id == held.job.id


@in_loop
async def test_a_claim_does_not_look_before_every_lease_has_had_its_grace(
    desk: Desk, watched: Watched
) -> None:
    gate = Gate()

    class SlowToRead(MemoryStore):
        async def under_way(self) -> Sequence[Job]:
            await gate.passed()
            return await super().under_way()

    desk.use(SlowToRead())
    watched.use(1.0)
    held = await desk.held(phase=Phase.PREPARING)
    watched.passes(3600)
    sweeping = asyncio.create_task(watched.sweeper.sweep())
    await gate.reached.wait()
    watched.passes(1)

    assert await desk.claim(worker=OTHER_WORKER) is None
    assert await desk.state(held) == JobState.PROCESSING
    gate.open()
    await sweeping

    assert await desk.state(held) == JobState.PROCESSING


@in_loop
async def test_many_idle_claims_look_at_deadlines_now_and_then(
    desk: Desk, watched: Watched
) -> None:
    looks: list[Any] = []

    class Counting(MemoryStore):
        async def due(self, now: float, limit: int) -> Sequence[JobId]:
            looks.append(now)
            return await super().due(now, limit)

    desk.use(Counting())
    watched.use(1.0)
    for _ in range(100):
        watched.passes(0.01)
        await desk.claim()

    assert 1 <= len(looks) <= 12


@in_loop
async def test_stopping_ends_every_task(desk: Desk, watched: Watched) -> None:
    before = asyncio.all_tasks()

    async with watched.running():
        assert len(asyncio.all_tasks() - before) == 2

    assert asyncio.all_tasks() == before
