"""Wakes those who wait: workers parked on a poll, clients waiting for their job. Hints only, nothing is kept.

A parked poll is one future in a deque per kind, and work wakes exactly one of them: waking all of 10,000 would
cost 25 ms a job. Polls run out by one sweep over all, not by a timer each.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import NamedTuple

from broker.chunks import Chunk
from broker.errors import Overloaded
from broker.ids import JobId, WorkerId
from broker.jobs import Job, JobKind
from broker.outputs import Result

SWEEP_SECONDS = 0.25


class Parked:
    """One poll that waits for work. Armed before each look at the queue, so that no wake-up falls in between."""

    __slots__ = (
        "_until",
        "_woken",
        "is_alive",
        "is_over",
        "kinds",
        "may_take",
        "woken_for",
        "worker_id",
    )

    def __init__(
        self,
        kinds: Sequence[JobKind],
        worker_id: WorkerId,
        until: float,
        is_alive: Callable[[], bool],
        may_take: Callable[[JobKind], bool],
    ) -> None:
        self.kinds = kinds
        self.worker_id = worker_id
        self.is_alive = is_alive
        #: Whether its worker would be handed a job of this kind now; if not, the wake-up is another's.
        self.may_take = may_take
        self.is_over = False
        #: The kind of work it was woken for and has not yet looked for.
        self.woken_for: JobKind | None = None
        self._until = until
        self._woken: asyncio.Future[None] | None = None

    @property
    def is_armed(self) -> bool:
        return self._woken is not None and not self._woken.done()

    def arm(self) -> None:
        self.woken_for = None
        self._woken = asyncio.get_running_loop().create_future()

    def wake(self, kind: JobKind) -> None:
        self.woken_for = kind
        self._let_go()

    def end_if_due(self, now: float) -> bool:
        if now >= self._until:
            self.end()
        return self.is_over

    def end(self) -> None:
        self.is_over = True
        self._let_go()

    async def woken(self) -> bool:
        """True when there may be work, False when the poll is over."""
        if self._woken is not None and not self.is_over:
            await self._woken
        return not self.is_over

    def _let_go(self) -> None:
        if self._woken is not None and not self._woken.done():
            self._woken.set_result(None)


class News(NamedTuple):
    """What has just become of a job, durably."""

    job: Job
    chunks: tuple[Chunk, ...] = ()
    result: Result | None = None


class Watch:
    """The news of one job, in order, for one reader."""

    def __init__(self, *, is_over: bool, only_looks: bool = False) -> None:
        self.only_looks = only_looks
        #: Nothing is waited for any more; news that are there can still be read.
        self._is_over = is_over
        self._news: deque[News] = deque()
        self._waiting: asyncio.Future[None] | None = None

    def tell(self, news: News) -> None:
        self._news.append(news)
        self._wake()

    def begin_with(self, news: News) -> None:
        """What came before anything it has been told so far, for a reader that came late."""
        self._news.appendleft(news)

    def end(self) -> None:
        self._is_over = True
        self._wake()

    async def next(self, wait_seconds: float) -> News | None:
        """The next news, or None when there was none in time or the broker is draining."""
        if not self._news and wait_seconds > 0 and not self._is_over:
            loop = asyncio.get_running_loop()
            self._waiting = loop.create_future()
            timer = loop.call_later(wait_seconds, self._wake)
            try:
                await self._waiting
            finally:
                timer.cancel()
        return self._news.popleft() if self._news else None

    def _wake(self) -> None:
        if self._waiting is not None and not self._waiting.done():
            self._waiting.set_result(None)


class Notifier:
    """In-process: a broker on one machine. With several, a channel of the database carries the same hints."""

    def __init__(self, max_parked: int) -> None:
        self.is_draining = False
        self._max_parked = max_parked
        self._parked: set[Parked] = set()
        self._queues: dict[JobKind, deque[Parked]] = {kind: deque() for kind in JobKind}
        self._watches: dict[JobId, list[Watch]] = {}
        self._listeners: list[Callable[[News], None]] = []

    @property
    def parked_count(self) -> int:
        return len(self._parked)

    @contextmanager
    def parked(self, parked: Parked) -> Iterator[Parked]:
        """While it waits. A wake-up that it leaves unused is another's. Raises `Overloaded`."""
        if len(self._parked) >= self._max_parked:
            raise Overloaded("Too many workers are waiting. Try again in a few seconds.")
        self._parked.add(parked)
        if self.is_draining:
            parked.end()
        try:
            yield parked
        finally:
            self._parked.discard(parked)
            parked.end()
            if parked.woken_for is not None:
                self.wake(parked.woken_for)

    def arm(self, parked: Parked) -> None:
        """Puts a poll at the end of the line for each of its kinds, unless it still stands there."""
        was_armed = parked.is_armed
        parked.arm()
        if not was_armed:
            for kind in parked.kinds:
                self._queues[kind].append(parked)

    def wake(self, kind: JobKind, prefer: WorkerId | None = None) -> None:
        """Wakes one live poll for this kind: the preferred worker's if it waits, else the longest waiting.

        Passed over is a worker that would not be handed such a job; it keeps its place.
        """
        if prefer is not None and self._wake_worker(kind, prefer):
            return
        queue = self._queues[kind]
        passed_over: list[Parked] = []
        while queue:
            parked = queue.popleft()
            if not parked.is_armed or parked.is_over:
                continue
            if not parked.is_alive():
                parked.end()
            elif parked.may_take(kind):
                parked.wake(kind)
                break
            else:
                passed_over.append(parked)
        queue.extendleft(reversed(passed_over))

    def _wake_worker(self, kind: JobKind, worker_id: WorkerId) -> bool:
        for parked in self._queues[kind]:
            is_theirs = parked.worker_id == worker_id and parked.is_armed
            if is_theirs and parked.is_alive() and parked.may_take(kind):
                parked.wake(kind)
                return True
        return False

    def sweep(self, now: float) -> None:
        """Ends the polls whose wait is over."""
        ended = [parked.end_if_due(now) for parked in self._parked]
        if any(ended):
            for kind, queue in self._queues.items():
                self._queues[kind] = deque(parked for parked in queue if parked.is_armed)

    def end_polls(self, is_meant: Callable[[WorkerId], bool]) -> None:
        """Ends the polls of some workers at once, so that they hear what they are to hear."""
        for parked in self._parked:
            if is_meant(parked.worker_id):
                parked.end()

    @contextmanager
    def watch(self, job_id: JobId, *, only_looks: bool = False) -> Iterator[Watch]:
        watch = Watch(is_over=self.is_draining, only_looks=only_looks)
        watches = self._watches.setdefault(job_id, [])
        watches.append(watch)
        try:
            yield watch
        finally:
            watches.remove(watch)
            if not watches:
                self._watches.pop(job_id, None)

    def watch_count(self, job_id: JobId) -> int:
        """How many wait for this job, without those who only look."""
        return sum(not watch.only_looks for watch in self._watches.get(job_id, ()))

    def listen(self, listener: Callable[[News], None]) -> None:
        """Tells a function all news of all jobs, for as long as the broker runs."""
        self._listeners.append(listener)

    def announce(self, news: News) -> None:
        for listener in self._listeners:
            listener(news)
        for watch in self._watches.get(news.job.id, ()):
            watch.tell(news)

    def drain(self) -> None:
        """Ends every poll and wakes every watch, now and from now on."""
        self.is_draining = True
        for parked in self._parked:
            parked.end()
        for watches in self._watches.values():
            for watch in watches:
                watch.end()
