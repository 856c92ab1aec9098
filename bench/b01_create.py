"""B1: durable creates a second over a FastAPI handler that is typed as ours and stores nothing."""

from bench.calls import Calls
from bench.figures import Figure, Row, Target
from bench.load import Flood
from bench.pairs import alternate
from bench.plan import Plan
from bench.server import broker, reference


async def run(plan: Plan) -> list[Row]:
    with broker(plan.folder / "b01") as ours, reference("typed") as theirs:
        floods = [
            Flood(port, plan.clients, Calls(port).create_video) for port in (ours.port, theirs.port)
        ]
        pairs = await alternate(
            lambda: floods[0].per_second(plan.side_seconds),
            lambda: floods[1].per_second(plan.side_seconds),
            plan.rounds,
        )
    return [
        Figure(
            "B1",
            f"durable create, {plan.clients} clients / typed FastAPI handler that stores nothing",
            *pairs.ratio,
            unit="x",
            target=Target(">=", 1.0),
            durability="broker: SQLite WAL, synchronous=FULL; handler: none",
            sides=pairs.sides("creates/s"),
        )
    ]
