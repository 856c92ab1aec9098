"""B6: what a parked poll costs the server in resident memory, its connection included."""

from bench.figures import Figure, NotRun, Row, Target
from bench.handover import ParkedWorkers, handovers
from bench.load import Connection
from bench.pairs import spread
from bench.plan import Plan
from bench.server import broker, files_allowed, polls_allowed

TARGET = Target("<=", 20.0)
#: Each round needs a fresh server: one that has held the polls once keeps the memory for the next.
MOST_ROUNDS = 3


async def run(plan: Plan) -> list[Row]:
    what = f"resident memory of a parked poll, of {plan.parked_polls:,}"
    if not files_allowed(plan.parked_polls):
        return [NotRun("B6", what, TARGET, "the limit of open files is too low")]
    rounds = min(plan.rounds, MOST_ROUNDS)
    kilobytes = [await _kilobytes_a_poll(plan, number) for number in range(rounds)]
    return [
        Figure(
            "B6",
            what,
            *spread(kilobytes),
            unit=" KB",
            target=TARGET,
            durability="does not matter here",
        )
    ]


async def _kilobytes_a_poll(plan: Plan, number: int) -> float:
    folder = plan.folder / f"b06-{number}"
    with broker(folder, **polls_allowed(plan.parked_polls)) as server:
        await _warm_up(server.port)
        before = server.rss_bytes
        workers = await ParkedWorkers.park(server.port, plan.parked_polls)
        grown = server.rss_bytes - before
        workers.check()
        workers.close()
    return grown / plan.parked_polls / 1000


async def _warm_up(port: int) -> None:
    workers = await ParkedWorkers.park(port, 16)
    client = await Connection.open(port)
    await handovers(workers, client, 100)
    client.close()
    workers.close()
