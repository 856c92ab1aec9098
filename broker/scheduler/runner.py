"""Runs chores by the calendar. A chore never overlaps itself, and one that fails is tried at its next time."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path

from apscheduler.schedulers.asyncio import AsyncIOScheduler
from apscheduler.triggers.cron import CronTrigger
from apscheduler.triggers.interval import IntervalTrigger

from broker import chores
from broker.config import Settings
from broker.log import ProgramLog, remove_logs
from broker.media_ports import MediaStore
from broker.ports import Clock, Store

GIB = 1024**3


class Runner:
    def __init__(
        self, store: Store, media: MediaStore, clock: Clock, settings: Settings, log: ProgramLog
    ) -> None:
        self._store = store
        self._media = media
        self._clock = clock
        self._settings = settings
        self._log = log
        # Its own words are for its developers; what matters is in our log.
        logging.getLogger("apscheduler").setLevel(logging.CRITICAL)
        self._scheduler = AsyncIOScheduler(
            timezone=UTC,
            job_defaults={"coalesce": True, "max_instances": 1, "misfire_grace_time": None},
        )

    def start(self) -> None:
        prune = IntervalTrigger(seconds=self._settings.prune_seconds, timezone=UTC)
        self._add("prune_films", self.prune_films, prune)
        self._add("prune_chunks", self.prune_chunks, IntervalTrigger(minutes=5, timezone=UTC))
        self._add(
            "prune_request_keys", self.prune_request_keys, IntervalTrigger(minutes=5, timezone=UTC)
        )
        self._add("prune_jobs", self.prune_jobs, CronTrigger(hour=3, minute=10, timezone=UTC))
        self._add("remove_logs", self.remove_logs, CronTrigger(hour=3, minute=20, timezone=UTC))
        self._add("back_up", self.back_up, CronTrigger(hour=3, minute=30, timezone=UTC))
        self._scheduler.start()

    async def stop(self) -> None:
        self._scheduler.shutdown(wait=False)

    async def prune_films(self) -> int:
        limits = chores.FilmLimits(
            self._settings.max_video_age_days, int(self._settings.max_video_storage_gib * GIB)
        )
        return await chores.prune_films(self._store, self._media, self._clock, limits)

    async def prune_chunks(self) -> int:
        return await chores.prune_chunks(self._store, self._clock)

    async def prune_request_keys(self) -> int:
        return await chores.prune_request_keys(self._store, self._clock)

    async def prune_jobs(self) -> int:
        days = self._settings.max_job_age_days
        return await chores.prune_jobs(self._store, self._media, self._clock, days)

    async def remove_logs(self) -> int:
        older_than = self._clock.wall() - self._settings.keep_logs_days * chores.DAY_SECONDS
        return await asyncio.to_thread(remove_logs, self._settings.log_path, older_than=older_than)

    async def back_up(self) -> int:
        """Writes today's copy and forgets the oldest beyond the number that is kept."""
        folder = self._settings.backup_path
        await asyncio.to_thread(folder.mkdir, mode=0o700, parents=True, exist_ok=True)
        stamp = datetime.fromtimestamp(self._clock.wall(), UTC).strftime("%Y-%m-%d")
        await self._store.backup(str(folder / f"jobs-{stamp}.db"))
        return await asyncio.to_thread(_keep_newest, folder, self._settings.keep_backups)

    def _add(
        self,
        name: str,
        chore: Callable[[], Awaitable[int]],
        trigger: IntervalTrigger | CronTrigger,
    ) -> None:
        async def run() -> None:
            try:
                count = await chore()
            except Exception as error:
                self._log.error("chore_failed", chore=name, error=repr(error))
            else:
                if count:
                    self._log.info("chore_done", chore=name, count=count)

        self._scheduler.add_job(run, trigger, id=name)


def _keep_newest(folder: Path, count: int) -> int:
    copies = sorted(folder.glob("jobs-????-??-??.db"))
    for old in copies[:-count]:
        old.unlink(missing_ok=True)
    return len(copies[:-count])
