"""B4: from create to a parked worker, over what cannot be had for less: one fdatasync and one bare round trip."""

from statistics import median

from bench.calls import Calls
from bench.figures import Figure, Row, Target
from bench.handover import ParkedWorkers, fdatasync_p50, handovers, round_trip_p50
from bench.load import Connection
from bench.pairs import alternate
from bench.plan import Plan
from bench.server import broker, reference


async def run(plan: Plan) -> list[Row]:
    folder = plan.folder / "b04"
    with broker(folder) as ours, reference("bare") as bare:
        workers = await ParkedWorkers.park(ours.port, 1)
        client, other = await Connection.open(ours.port), await Connection.open(bare.port)

        async def hand_over_ms() -> float:
            jobs = await handovers(workers, client, plan.jobs)
            return median(job.handed_out for job in jobs) * 1000

        async def floor_ms() -> float:
            request = Calls(bare.port).create_video
            trip = await round_trip_p50(other, request, plan.jobs)
            return (trip + await fdatasync_p50(folder, plan.jobs)) * 1000

        pairs = await alternate(hand_over_ms, floor_ms, plan.rounds)
        for connection in (workers, client, other):
            connection.close()
    return [
        Figure(
            "B4",
            "create to handed out, p50, 1 client / one fdatasync + one bare ASGI round trip",
            *pairs.ratio,
            unit="x",
            target=Target("<=", 2.0),
            durability="broker: SQLite WAL, synchronous=FULL at create and hand-out; floor: 4 KiB appended, fdatasync",
            sides=pairs.sides("ms", 3),
        )
    ]
