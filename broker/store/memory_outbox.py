"""`MemoryOutbox`: the `Outbox` port beside a `MemoryStore`, the reference in tests. Nothing is durable here."""

from collections.abc import Sequence

from broker.errors import NotFound
from broker.ids import JobId
from broker.store.memory import MemoryStore
from broker.webhooks import Delivery, DeliveryState


class MemoryOutbox:
    def __init__(self, store: MemoryStore) -> None:
        self._store = store
        #: What has been noted of a delivery; of all others only their beginning is known.
        self._noted: dict[str, Delivery] = {}

    async def due(self, now: float, limit: int, but: Sequence[str] = ()) -> Sequence[Delivery]:
        due = [
            delivery
            for delivery in await self._all()
            if delivery.state == DeliveryState.WAITING and delivery.next_try_at <= now
            if not delivery.url.startswith(tuple(but)) and await self._has_ended(delivery.job_id)
        ]
        return sorted(due, key=lambda delivery: delivery.next_try_at)[:limit]

    async def note(self, before: Delivery, after: Delivery) -> bool:
        now = await self.find(before.id)
        if now is None or now[3:6] != before[3:6]:
            return False
        self._noted[before.id] = after
        return True

    async def page(
        self, state: DeliveryState | None, limit: int, after: str | None = None
    ) -> Sequence[Delivery]:
        newest_first = (await self._all())[::-1]
        if after is not None:
            ids = [delivery.id for delivery in newest_first]
            if after not in ids:
                raise NotFound(f"There is no delivery {after} to continue behind.")
            newest_first = newest_first[ids.index(after) + 1 :]
        return [delivery for delivery in newest_first if state in (None, delivery.state)][:limit]

    async def find(self, delivery_id: str) -> Delivery | None:
        found = [delivery for delivery in await self._all() if delivery.id == delivery_id]
        return found[0] if found else None

    async def of_job(self, job_id: JobId) -> Delivery | None:
        found = [delivery for delivery in await self._all() if delivery.job_id == job_id]
        return found[0] if found else None

    async def _all(self) -> list[Delivery]:
        """Those whose job is there, in the order of arrival."""
        kept = [
            (job_id, *of_it)
            for job_id, of_it in self._store.webhooks.items()
            if await self._store.get(job_id)
        ]
        return [self._noted.get(id_) or _new(id_, job_id, url) for job_id, id_, url in kept]

    async def _has_ended(self, job_id: JobId) -> bool:
        record = await self._store.get(job_id)
        return record is not None and record.job.state.is_final


def _new(delivery_id: str, job_id: JobId, url: str) -> Delivery:
    return Delivery(delivery_id, job_id, url, DeliveryState.WAITING, 0, 0.0, None, None)
