"""B5: from create to a parked worker with 10,000 polls parked, over the same with one."""

from statistics import median

from bench.figures import Figure, NotRun, Row, Target
from bench.handover import ParkedWorkers, handovers
from bench.load import Connection
from bench.pairs import alternate
from bench.plan import Plan
from bench.server import broker, files_allowed

TARGET = Target("<=", 1.2)


async def run(plan: Plan) -> list[Row]:
    what = f"create to handed out, p50, {plan.parked_polls:,} parked polls / one"
    if not files_allowed(plan.parked_polls):
        return [NotRun("B5", what, TARGET, "the limit of open files is too low")]
    with broker(plan.folder / "b05") as server:
        client = await Connection.open(server.port)

        async def hand_over_ms(polls: int) -> float:
            workers = await ParkedWorkers.park(server.port, polls)
            try:
                jobs = await handovers(workers, client, plan.jobs)
            finally:
                workers.close()
            return median(job.handed_out for job in jobs) * 1000

        pairs = await alternate(
            lambda: hand_over_ms(plan.parked_polls), lambda: hand_over_ms(1), plan.rounds
        )
        client.close()
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
