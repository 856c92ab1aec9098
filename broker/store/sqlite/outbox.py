"""`SqliteOutbox`: the `Outbox` port on the database of the jobs. Rows are made by `SqliteStore.add`, with their job."""

import json
import sqlite3
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Any

from broker.errors import NotFound
from broker.ids import JobId
from broker.store.sqlite.queries import read_queries
from broker.store.sqlite.writer import Tally, Writer
from broker.webhooks import Delivery, DeliveryState

_SQL = read_queries("outbox.sql")
_PAGE = """
SELECT webhooks.id, jobs.id, url, webhooks.state, tries, next_try_at, last_error, delivered_at
FROM webhooks CROSS JOIN jobs ON jobs.n = job_n
{where} ORDER BY job_n DESC LIMIT ?
"""


class SqliteOutbox:
    """Writes through the store's one writer, reads over its reading connection."""

    def __init__(
        self, writer: Writer, read: Callable[[str, Any], Awaitable[Sequence[Any]]]
    ) -> None:
        self._writer = writer
        self._read = read

    async def due(self, now: float, limit: int, but: Sequence[str] = ()) -> Sequence[Delivery]:
        values = {"now": now, "limit": limit, "but": json.dumps(list(but))}
        return _deliveries(await self._read(_SQL["due"], values))

    async def note(self, before: Delivery, after: Delivery) -> bool:
        noted: bool = await self._writer.submit(partial(_note, before, after))
        return noted

    async def page(
        self, state: DeliveryState | None, limit: int, after: str | None = None
    ) -> Sequence[Delivery]:
        # Written out, because a partial index is only used where the statement itself says it may be.
        tests = [f"webhooks.state = '{state}'"] if state is not None else []
        values: list[Any] = []
        if after is not None:
            behind = await self._read(_SQL["place"], (after,))
            if not behind:
                raise NotFound(f"There is no delivery {after} to continue behind.")
            tests.append("job_n < ?")
            values.append(behind[0][0])
        where = f"WHERE {' AND '.join(tests)}" if tests else ""
        return _deliveries(await self._read(_PAGE.format(where=where), [*values, limit]))

    async def find(self, delivery_id: str) -> Delivery | None:
        return next(iter(_deliveries(await self._read(_SQL["find"], (delivery_id,)))), None)

    async def of_job(self, job_id: JobId) -> Delivery | None:
        return next(iter(_deliveries(await self._read(_SQL["of_job"], (job_id,)))), None)


def _note(before: Delivery, after: Delivery, db: sqlite3.Connection, tally: Tally) -> bool:
    changed = (after.state, after.tries, after.next_try_at, after.last_error, after.delivered_at)
    guard = (before.id, before.state, before.tries, before.next_try_at)
    return db.execute(_SQL["note"], (*changed, *guard)).rowcount == 1


def _deliveries(rows: Sequence[Any]) -> Sequence[Delivery]:
    return [
        Delivery(id_, job_id, url, DeliveryState(state), *rest)
        for id_, job_id, url, state, *rest in rows
    ]
