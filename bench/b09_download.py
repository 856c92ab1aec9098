"""B9: a film's way out over Starlette's FileResponse, whole and in ranges."""

import asyncio

from bench.calls import Calls
from bench.figures import Figure, Row, Target
from bench.film_jobs import claimed_video, send_film
from bench.films import Film
from bench.pairs import alternate
from bench.plan import Plan
from bench.server import broker, reference
from bench.transfer import download

WORKER = "w1"
RANGE_BYTES = 1 << 20
RANGES = 100


async def run(plan: Plan) -> list[Row]:
    film = Film.make(plan.folder / "download.mp4", plan.film_bytes)
    with (
        broker(plan.folder / "b09") as ours,
        reference("files", BENCH_FILM=str(film.path)) as theirs,
    ):
        job = await claimed_video(ours.port, WORKER)
        await send_film(ours.port, job, film, WORKER)
        path = f"/videos/{job.job_id}.mp4"
        what = f"download of {plan.film_bytes // 10**6} MB"
        return [
            await _compared(plan, what, ours.port, theirs.port, path, [""]),
            await _compared(
                plan, f"{what} in ranges of 1 MiB", ours.port, theirs.port, path, _ranges(film)
            ),
        ]


async def _compared(
    plan: Plan, what: str, our_port: int, their_port: int, path: str, headers: list[str]
) -> Row:
    async def mb_per_second(port: int) -> float:
        requests = [Calls(port).get(path, header) for header in headers]
        seconds, size_bytes = await asyncio.to_thread(download, port, requests)
        return size_bytes / seconds / 1e6

    pairs = await alternate(
        lambda: mb_per_second(our_port), lambda: mb_per_second(their_port), plan.rounds
    )
    return Figure(
        "B9",
        f"{what} / Starlette's FileResponse",
        *pairs.ratio,
        unit="x",
        target=Target(">=", 2.0),
        durability="does not matter here",
        sides=pairs.sides("MB/s"),
    )


def _ranges(film: Film) -> list[str]:
    """Scattered over the film: every seventh place, round and round."""
    places = film.size_bytes // RANGE_BYTES
    starts = [number * 7 % places * RANGE_BYTES for number in range(RANGES)]
    return [f"Range: bytes={start}-{start + RANGE_BYTES - 1}\r\n" for start in starts]
