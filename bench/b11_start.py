"""B11: how soon a broker with a million jobs answers after its start, and what memory it has at rest."""

import asyncio

from bench.figures import Figure, Row, Target
from bench.pairs import spread
from bench.plan import Plan
from bench.prefill import filled
from bench.server import broker

REST_SECONDS = 1.5


async def run(plan: Plan) -> list[Row]:
    folder = await filled(plan.folder / "rows", plan.rows)
    ready_seconds, idle_mb = [], []
    for _ in range(1 + plan.rounds):
        with broker(folder) as server:
            await asyncio.sleep(REST_SECONDS)
            ready_seconds.append(server.ready_seconds)
            idle_mb.append(server.rss_bytes / 1e6)
    return [
        Figure(
            "B11",
            f"process start to first answer, {plan.rows:,} jobs in the table",
            *spread(ready_seconds[1:]),
            unit=" s",
            target=Target("<=", 1.5),
            durability="SQLite WAL, synchronous=FULL",
        ),
        Figure(
            "B11",
            f"resident memory at rest, {plan.rows:,} jobs in the table",
            *spread(idle_mb[1:]),
            unit=" MB",
            target=Target("<=", 80.0),
            durability="does not matter here",
        ),
    ]
