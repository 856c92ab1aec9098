"""Keeps every deadline: a loop of its own on the monotonic clock, whatever the machine's clock does.

An interval trigger on the wall clock stops dead after a clock step, so this is not the scheduler's work.
"""

import asyncio
import time

from broker import chores
from broker.log import ProgramLog
from broker.media_ports import MediaStore
from broker.notifier import SWEEP_SECONDS as POLL_SWEEP_SECONDS
from broker.notifier import Notifier
from broker.ports import Clock, Store
from broker.queue import JobQueue

#: A loop that comes round this late was not running: stopped, suspended, starved.
STALL_SECONDS = 2.0
#: Claims that find nothing look at deadlines at most this often.
LAZY_SECONDS = 0.1


class Sweeper:
    """Start it, stop it; in between it sweeps every `sweep_seconds`."""

    def __init__(
        self,
        queue: JobQueue,
        store: Store,
        media: MediaStore,
        notifier: Notifier,
        clock: Clock,
        log: ProgramLog,
        *,
        sweep_seconds: float,
        min_free_bytes: int,
    ) -> None:
        self._queue = queue
        self._store = store
        self._media = media
        self._notifier = notifier
        self._clock = clock
        self._log = log
        self._sweep_seconds = sweep_seconds
        self._min_free_bytes = min_free_bytes
        self._last_round = time.monotonic()
        #: One look at deadlines at a time: none may pass one before the grace it is to get.
        self._looking = asyncio.Lock()
        self._tasks: list[asyncio.Task[None]] = []

    def start(self) -> None:
        self._tasks = [
            asyncio.create_task(self._sweep_jobs(), name="job-sweep"),
            asyncio.create_task(self._sweep_polls(), name="poll-sweep"),
        ]

    async def stop(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def sweep(self) -> None:
        """One round: what is due ends or goes back, what is ready is offered, the disk is looked at."""
        await self._expire_due()
        for kind in await self._store.ripen(self._clock.now()):
            self._notifier.wake(kind)
        await self._watch_disk()

    async def expire_overdue(self) -> int:
        """The lazy half: a claim that found nothing has deadlines looked at now, not at the next round."""
        if self._looking.locked() or time.monotonic() - self._last_round < LAZY_SECONDS:
            return 0
        return await self._expire_due()

    async def _expire_due(self) -> int:
        async with self._looking:
            now = time.monotonic()
            away_seconds = now - self._last_round - self._sweep_seconds
            self._last_round = now
            if away_seconds > STALL_SECONDS:
                held = await chores.grant_grace(self._queue, self._store)
                self._log.warning("broker_was_away", seconds=round(away_seconds, 1), leases=held)
            return await chores.expire_due(self._queue, self._store, self._clock)

    async def _sweep_jobs(self) -> None:
        while True:
            await asyncio.sleep(self._sweep_seconds)
            try:
                await self.sweep()
            except Exception as error:
                # Whatever it was, the next round comes: a deadline that nobody keeps is none.
                self._log.error("sweep_failed", error=repr(error))

    async def _sweep_polls(self) -> None:
        while True:
            await asyncio.sleep(POLL_SWEEP_SECONDS)
            self._notifier.sweep(self._clock.now())

    async def _watch_disk(self) -> None:
        is_full = await self._media.free_bytes() < self._min_free_bytes
        if is_full != self._queue.is_disk_full:
            self._log.warning("disk_full" if is_full else "disk_has_room")
        self._queue.is_disk_full = is_full
