"""B3: full cycles a second over Huey on SQLite with fsync, driven by as many clients and workers."""

from bench.figures import Figure, NotRun, Row, Target
from bench.full_cycle import DURABILITY, full_cycle
from bench.pairs import alternate
from bench.peers import huey_sqlite
from bench.plan import Plan
from bench.server import broker

WHAT = "full cycle / Huey on SQLite with fsync"
TARGET = Target(">=", 3.0)


async def run(plan: Plan) -> list[Row]:
    if not huey_sqlite.is_installed():
        return [NotRun("B3", WHAT, TARGET, "huey is not installed")]
    peer = huey_sqlite.Peer(plan.folder, plan.clients, plan.workers)
    with broker(plan.folder / "b03") as ours:
        async with full_cycle(ours.port, plan) as cycle:
            pairs = await alternate(
                lambda: cycle.per_second(plan.side_seconds),
                lambda: peer.jobs_per_second(plan.side_seconds),
                plan.rounds,
            )
    return [
        Figure(
            "B3",
            WHAT,
            *pairs.ratio,
            unit="x",
            target=TARGET,
            durability=f"{DURABILITY}; Huey: SQLite WAL, synchronous=FULL at put, take and result",
            sides=pairs.sides("jobs/s"),
        )
    ]
