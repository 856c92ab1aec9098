"""B10: what a create and a claim take with a million jobs in the table, over the same with ten thousand."""

from statistics import median
from time import perf_counter

from bench.calls import Calls, handed_out
from bench.figures import Figure, Row, Target
from bench.load import Connection, expect_success, round_trip
from bench.pairs import alternate
from bench.plan import Plan
from bench.prefill import filled
from bench.server import broker

SHORT = 10_000
WORKER = "w1"


async def run(plan: Plan) -> list[Row]:
    long_folder = await filled(plan.folder / "rows", plan.rows)
    short_folder = await filled(plan.folder / "few-rows", SHORT)
    with broker(long_folder) as long, broker(short_folder) as short:
        pairs = await alternate(
            lambda: _create_and_claim_ms(long.port, plan.jobs),
            lambda: _create_and_claim_ms(short.port, plan.jobs),
            plan.rounds,
        )
    return [
        Figure(
            "B10",
            f"create + claim, p50, 1 client, {plan.rows:,} jobs in the table / {SHORT:,}",
            *pairs.ratio,
            unit="x",
            target=Target("<=", 1.2),
            durability="both: SQLite WAL, synchronous=FULL",
            sides=pairs.sides("ms", 3),
        )
    ]


async def _create_and_claim_ms(port: int, jobs: int) -> float:
    """The middle create and the middle claim together; what follows a claim is not measured."""
    calls = Calls(port)
    connection = await Connection.open(port)
    poll = calls.poll("video", WORKER, wait_seconds=0)
    creates, claims = [], []
    for _ in range(jobs):
        creates.append(await round_trip(connection, calls.create_video))
        started = perf_counter()
        job = handed_out(await connection.ask(poll))
        claims.append(perf_counter() - started)
        expect_success(await connection.ask(calls.give_up(job, WORKER)))
    connection.close()
    return (median(creates) + median(claims)) * 1000
