"""B5: from create to a parked worker with 10,000 polls parked, over the same with one."""

from statistics import median

from bench.figures import Figure, NotRun, Row, Target
from bench.handover import ParkedWorkers, handovers
from bench.load import Connection
from bench.pairs import alternate
from bench.plan import Plan
from bench.server import broker, files_allowed, polls_allowed

TARGET = Target("<=", 1.2)


async def run(plan: Plan) -> list[Row]:
    what = f"create to handed out, p50, {plan.parked_polls:,} parked polls / one"
    if not files_allowed(plan.parked_polls):
        return [NotRun("B5", what, TARGET, "the limit of open files is too low")]
    # A fresh broker each time: one that has lost 10,000 polls still counts them until they run out.
    names = iter(range(1_000))
    pairs = await alternate(
        lambda: _hand_over_ms(plan, plan.parked_polls, next(names)),
        lambda: _hand_over_ms(plan, 1, next(names)),
        plan.rounds,
    )
    return [
        Figure(
            "B5",
            what,
            *pairs.ratio,
            unit="x",
            target=TARGET,
            durability="both: SQLite WAL, synchronous=FULL",
            sides=pairs.sides("ms", 3),
        )
    ]


async def _hand_over_ms(plan: Plan, polls: int, number: int) -> float:
    with broker(plan.folder / f"b05-{number}", **polls_allowed(polls)) as server:
        client = await Connection.open(server.port)
        workers = await ParkedWorkers.park(server.port, polls)
        jobs = await handovers(workers, client, plan.jobs)
        client.close()
        workers.close()
    return median(job.handed_out for job in jobs) * 1000
