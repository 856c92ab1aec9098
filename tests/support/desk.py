"""A job queue with all it needs in memory, for tests: time passes when it is told to."""

import asyncio
from collections.abc import Callable, Coroutine
from functools import wraps
from typing import Any

from broker import chores
from broker.failures import Failure
from broker.handouts import Assignment, Poll
from broker.ids import JobId, LeaseToken, WorkerId
from broker.jobs import Job, JobKind, JobState
from broker.leases import Phase
from broker.notifier import Notifier
from broker.queue import JobQueue
from broker.results import Verdict
from broker.store.memory import MemoryStore
from broker.workers import Roster
from tests.support.builders import NOW, TIMERS, WORKER, a_new_job
from tests.support.clock import ManualClock
from tests.support.media import MemoryMedia
from tests.support.running import run

FILM = b"film of a cat"
OTHER_FILM = b"film of a dog"
PICTURES = (b"picture of a cat", b"picture of another cat")


class Desk:
    """Clients, workers and the sweep of one queue, each deed in one word."""

    def __init__(self) -> None:
        self.clock = ManualClock(NOW)
        self.media = MemoryMedia()
        self.notifier = Notifier(max_parked=50)
        self.roster = Roster()
        self.use(MemoryStore())

    def use(self, store: MemoryStore) -> None:
        """Works on this store from now on."""
        self.store = store
        parts = (store, self.notifier, self.roster, self.clock, TIMERS)
        self.queue = JobQueue(*parts, lambda: 0.0)

    async def submit(self, kind: JobKind = JobKind.VIDEO, **fields: Any) -> JobId:
        return (await self.queue.submit(a_new_job(kind, **fields))).id

    async def claim(
        self,
        *kinds: JobKind,
        worker: WorkerId = WORKER,
        wait: float = 0.0,
        is_alive: Callable[[], bool] = lambda: True,
    ) -> Assignment | None:
        return await self.queue.claim(Poll(worker, kinds or tuple(JobKind), wait, is_alive))

    async def taken(self, *kinds: JobKind, worker: WorkerId = WORKER) -> Assignment:
        assignment = await self.claim(*kinds, worker=worker)
        assert assignment is not None, "There was nothing to claim."
        return assignment

    async def held(
        self,
        kind: JobKind = JobKind.VIDEO,
        phase: Phase | None = None,
        *,
        worker: WorkerId = WORKER,
        **fields: Any,
    ) -> Assignment:
        """A new job in a worker's hands; with a phase, it has told that."""
        await self.submit(kind, **fields)
        assignment = await self.taken(kind, worker=worker)
        if phase is not None:
            await self.beat(assignment, phase)
        return assignment

    async def beat(self, held: Assignment, phase: Phase | None = None, **told: Any) -> Job:
        return await self.queue.beat(held.job.id, held.token, phase, **told)

    async def fail(self, held: Assignment, name: str, **told: Any) -> Job:
        return await self.queue.fail(held.job.id, held.token, Failure(name, "", **told))

    async def deliver(self, held: Assignment, data: bytes = FILM) -> Verdict:
        upload = self.media.film(data)
        return (await self.queue.complete_film(held.job.id, held.token, upload))[1]

    async def deliver_pictures(
        self, held: Assignment, *files: bytes, token: LeaseToken | None = None
    ) -> Verdict:
        upload = self.media.pictures(*(files or PICTURES))
        deliver = self.queue.complete_pictures
        return (await deliver(held.job.id, token or held.token, upload))[1]

    async def passes(self, seconds: float) -> None:
        """Time passes, and the sweep comes round."""
        self.clock.advance(seconds)
        await chores.expire_due(self.queue, self.store, self.clock)
        for kind in await self.store.ripen(self.clock.now()):
            self.notifier.wake(kind)

    async def job(self, job_id: JobId) -> Job:
        record = await self.store.get(job_id)
        assert record is not None, f"There is no {job_id}."
        return record.job

    async def state(self, held: Assignment) -> JobState:
        return (await self.job(held.job.id)).state


class Gate:
    """Holds something up: `await passed()` where it is to wait, `reached` and `open()` in the test."""

    def __init__(self) -> None:
        self.reached = asyncio.Event()
        self._is_open = asyncio.Event()

    async def passed(self) -> None:
        self.reached.set()
        await self._is_open.wait()

    def open(self) -> None:
        self._is_open.set()


async def turns(count: int = 10) -> None:
    """Lets whatever can go on go on."""
    for _ in range(count):
        await asyncio.sleep(0)


def in_loop(test: Callable[..., Coroutine[Any, Any, None]]) -> Callable[..., None]:
    """A test written as a coroutine, as a test that pytest can call."""

    @wraps(test)
    def runs(**given: Any) -> None:
        run(test(**given))

    return runs
