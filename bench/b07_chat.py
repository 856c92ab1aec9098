"""B7: a chat's whole round trip over a bare one, and how soon a worker's first words reach the client."""

import asyncio
from statistics import median
from time import perf_counter

from bench.calls import Calls, handed_out
from bench.figures import Figure, Row, Target
from bench.handover import PAUSE_SECONDS, ParkedWorkers, handovers, round_trip_p50
from bench.load import Connection, expect_success
from bench.pairs import alternate, spread
from bench.plan import Plan
from bench.server import broker, reference

DELTA = "The light turns"


async def run(plan: Plan) -> list[Row]:
    with broker(plan.folder / "b07") as ours, reference("bare") as bare:
        return [
            await _whole_round_trip(plan, ours.port, bare.port),
            await _first_delta(plan, ours.port),
        ]


async def _whole_round_trip(plan: Plan, our_port: int, bare_port: int) -> Row:
    workers = await ParkedWorkers.park(our_port, 1)
    client, other = await Connection.open(our_port), await Connection.open(bare_port)

    async def chat_ms() -> float:
        jobs = await handovers(workers, client, plan.jobs)
        return median(job.answered for job in jobs) * 1000

    async def bare_ms() -> float:
        return await round_trip_p50(other, Calls(bare_port).chat(), plan.jobs) * 1000

    pairs = await alternate(chat_ms, bare_ms, plan.rounds)
    for connection in (workers, client, other):
        connection.close()
    return Figure(
        "B7",
        "chat round trip, p50, 1 client / bare ASGI round trip",
        *pairs.ratio,
        unit="x",
        target=Target("<=", 3.0),
        durability="broker: SQLite WAL, synchronous=FULL at create, hand-out and finish; bare: none",
        sides=pairs.sides("ms", 3),
    )


async def _first_delta(plan: Plan, port: int) -> Row:
    client, worker = await Connection.open(port), await Connection.open(port)
    calls = Calls(port)
    p50s = []
    for _ in range(1 + plan.rounds):
        seconds = [await _post_to_delta(calls, client, worker) for _ in range(plan.jobs // 2)]
        p50s.append(median(seconds) * 1000)
    client.close()
    worker.close()
    return Figure(
        "B7",
        "worker's first chunk sent to first delta read by the client, p50",
        *spread(p50s[1:]),
        unit=" ms",
        target=Target("<=", 1.0),
        durability="broker: SQLite WAL, synchronous=FULL",
    )


async def _post_to_delta(calls: Calls, client: Connection, worker: Connection) -> float:
    """Seconds from the worker's post of the first words to their arrival at a client that streams."""
    arrived: asyncio.Future[float] = asyncio.get_running_loop().create_future()

    def read(piece: bytes) -> None:
        if DELTA.encode() in piece and not arrived.done():
            arrived.set_result(perf_counter())

    reading = asyncio.create_task(client.ask(calls.chat(stream=True), read))
    job = handed_out(await worker.ask(calls.poll("chat", "w1")))
    expect_success(await worker.ask(calls.beat(job, "generating", "w1")))
    await asyncio.sleep(PAUSE_SECONDS)
    chunk = calls.first_chunk(job, DELTA, "w1")
    started = perf_counter()
    posted = asyncio.create_task(worker.ask(chunk))
    seconds = await arrived - started
    expect_success(await posted)
    expect_success(await worker.ask(calls.complete_chat(job, "w1")))
    expect_success(await reading)
    return seconds
