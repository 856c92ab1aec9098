"""B2: full cycles a second over beanstalkd with an fsync for each write, driven by as many clients and workers."""

from bench.figures import Figure, NotRun, Row, Target
from bench.full_cycle import DURABILITY, full_cycle
from bench.pairs import alternate
from bench.peers import beanstalkd
from bench.plan import Plan
from bench.server import broker

WHAT = "full cycle / beanstalkd fsync-each"
TARGET = Target(">=", 1.5)


async def run(plan: Plan) -> list[Row]:
    if not beanstalkd.is_installed():
        return [NotRun("B2", WHAT, TARGET, "beanstalkd is not installed")]
    with broker(plan.folder / "b02") as ours, beanstalkd.running(plan.folder / "wal") as port:
        async with (
            full_cycle(ours.port, plan) as cycle,
            beanstalkd.cycle(port, plan.clients, plan.workers) as peer,
        ):
            pairs = await alternate(
                lambda: cycle.per_second(plan.side_seconds),
                lambda: peer.jobs_per_second(plan.side_seconds),
                plan.rounds,
            )
    return [
        Figure(
            "B2",
            WHAT,
            *pairs.ratio,
            unit="x",
            target=TARGET,
            durability=f"{DURABILITY}; beanstalkd: binlog, fsync at put and delete",
            sides=pairs.sides("jobs/s"),
        )
    ]
