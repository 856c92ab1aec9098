"""A job in the demo worker's hands: keeps the lease alive in the background and tells how far the work is.

Ends the work when the broker says so. What the work is, it does not know.
"""

import asyncio
import contextlib
import random
from collections.abc import Callable, Coroutine, Mapping, Sequence
from typing import Any

from broker.demo.door import Assignment, BrokerAway, BrokerDoor, Refused

#: Progress is not told more often than this.
NEWS_SECONDS = 0.4
RETRY_SECONDS = 0.5
RETRY_CAP_SECONDS = 10.0


class Stopped(Exception):
    """The broker wants no more work on this job: it was cancelled, or the lease is lost."""


class Hold:
    """Phase and progress of one job. `advance` is for what the broker must know before the work goes on."""

    def __init__(
        self,
        door: BrokerDoor,
        assignment: Assignment,
        beat_seconds: float,
        obey: Callable[[Sequence[str]], None],
    ) -> None:
        self.assignment = assignment
        self.phase = "assigned"
        self._door = door
        self._beat_seconds = beat_seconds
        self._obey = obey
        self._progress = 0
        self._evidence: Mapping[str, Any] | None = None
        self._is_delivering = False
        self._news = asyncio.Event()
        self._speaking = asyncio.Lock()

    async def run(self, work: Coroutine[Any, Any, None]) -> None:
        """Does the work while the lease lives. Raises `Stopped` when it ends first."""
        working = asyncio.ensure_future(work)
        beating = asyncio.ensure_future(self._keep_beating())
        try:
            await asyncio.wait({working, beating}, return_when=asyncio.FIRST_COMPLETED)
            if working.done():
                return await working
            return await beating
        finally:
            await _end(working, beating)

    async def advance(self, phase: str, evidence: Mapping[str, Any] | None = None) -> None:
        """Goes on to a phase; when this returns, the broker knows."""
        self.phase = phase
        self._evidence = evidence or self._evidence
        await patiently(self._beat)

    async def deliver(self, call: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Hands over the result. From here on its answer decides, not what a beat hears: a job that has just
        been completed tells its worker to stop, too.
        """
        self._is_delivering = True
        await patiently(call)

    def note_progress(self, percent: int) -> None:
        """Tells the broker soon, without waiting for it."""
        if percent > self._progress:
            self._progress = percent
            self._news.set()

    async def _keep_beating(self) -> None:
        while True:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._news.wait(), self._beat_seconds)
            self._news.clear()
            await patiently(self._beat)
            await asyncio.sleep(NEWS_SECONDS)

    async def _beat(self) -> None:
        async with self._speaking:
            try:
                orders = await self._door.beat(
                    self.assignment, self.phase, self._progress, self._evidence
                )
            except Refused as refused:
                if self._is_delivering:
                    return
                raise Stopped(str(refused)) from refused
        self._obey(orders.directives)
        if orders.cancel and not self._is_delivering:
            raise Stopped("The job was cancelled.")


async def patiently(call: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """Makes a call that may be repeated until the broker answers it: a broker that restarts is waited for."""
    pauses = Pauses()
    while True:
        try:
            return await call()
        except BrokerAway:
            await pauses.next()


class Pauses:
    """Pauses that grow, each shortened by chance so that many workers do not come back at one moment."""

    def __init__(self) -> None:
        self._seconds = RETRY_SECONDS

    async def next(self) -> None:
        await asyncio.sleep(self._seconds * random.uniform(0.5, 1))
        self._seconds = min(RETRY_CAP_SECONDS, self._seconds * 2)


async def _end(*tasks: "asyncio.Future[None]") -> None:
    """Cancels what still runs and waits for it; what it had to say was said by whoever ended first.

    All at once: whoever waits here may be cancelled too, and must leave none of them at work.
    """
    for task in tasks:
        task.cancel()
    await asyncio.wait(tasks)
    for task in tasks:
        if not task.cancelled():
            task.exception()
