"""A store whose every answer is held against the reference in memory: two engines, one behaviour."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

from broker.errors import BrokerError
from broker.ids import JobId, Owner
from broker.jobs import Job, JobKind, JobState, Payload
from broker.keys import NO_LIMITS, Limits
from broker.ports import Decide, Grant, JobFilter, Record, Store
from broker.repeats import RequestKey
from broker.store.memory import MemoryStore


class MirroredStore:
    """The engine under test; each call goes to the reference too, and they must say the same."""

    def __init__(self, engine: Store, reference: MemoryStore) -> None:
        self._engine = engine
        self._reference = reference

    async def add(
        self,
        job: Job,
        payload: Payload,
        key: RequestKey | None = None,
        webhook_url: str | None = None,
        limits: Limits = NO_LIMITS,
    ) -> Job:
        return await self._both(lambda store: store.add(job, payload, key, webhook_url, limits))

    async def prune_request_keys(self, created_before: float, limit: int) -> int:
        return await self._both(lambda store: store.prune_request_keys(created_before, limit))

    async def claim(
        self, grants: Mapping[JobKind, Grant], now: float
    ) -> tuple[Job, Payload] | None:
        return await self._both(lambda store: store.claim(grants, now))

    async def change(self, job_id: JobId, decide: Decide) -> Job:
        return await self._both(lambda store: store.change(job_id, decide))

    async def ripen(self, now: float) -> Sequence[JobKind]:
        return await self._both(lambda store: store.ripen(now))

    async def delete(self, job_ids: Sequence[JobId]) -> Sequence[tuple[Job, Payload]]:
        return await self._both(lambda store: store.delete(job_ids))

    async def get(self, job_id: JobId) -> Record | None:
        record = await self._both(lambda store: store.get(job_id))
        await self._both(lambda store: store.payload(job_id))
        await self._both(lambda store: store.attempts(job_id))
        return record

    async def chunks_after(self, job_id: JobId, attempt: int, seq: int) -> Any:
        return await self._both(lambda store: store.chunks_after(job_id, attempt, seq))

    async def page(
        self,
        wanted: JobFilter,
        limit: int,
        after: JobId | None = None,
        *,
        oldest_first: bool = False,
    ) -> Any:
        return await self._both(
            lambda store: store.page(wanted, limit, after, oldest_first=oldest_first)
        )

    async def count(self, owner: Owner | None = None) -> Mapping[tuple[JobKind, JobState], int]:
        return await self._both(lambda store: store.count(owner))

    async def due(self, now: float, limit: int) -> Sequence[JobId]:
        return await self._both(lambda store: store.due(now, limit), sorted)

    async def under_way(self) -> Sequence[Job]:
        return await self._both(lambda store: store.under_way(), sorted)

    async def has_result(self, sha256: str, since: float, but: JobId) -> bool:
        return await self._both(lambda store: store.has_result(sha256, since, but))

    async def _both(
        self, ask: Callable[[Any], Awaitable[Any]], order: Callable[[Any], Any] = lambda told: told
    ) -> Any:
        expected, told = await _told(ask, self._reference), await _told(ask, self._engine)
        if isinstance(expected, BrokerError):
            assert type(told) is type(expected), f"{told!r} instead of {expected!r}"
            raise told
        assert not isinstance(told, BrokerError), f"{told!r} instead of {expected!r}"
        assert order(_plain(told)) == order(_plain(expected))
        return told


async def _told(ask: Callable[[Any], Awaitable[Any]], store: Any) -> Any:
    try:
        return await ask(store)
    except BrokerError as error:
        return error


def _plain(told: Any) -> Any:
    """Counts without zeros: whether a count is kept once it is nothing, is the engine's affair."""
    return {key: n for key, n in told.items() if n} if isinstance(told, Mapping) else told
