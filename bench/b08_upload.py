"""B8: a film's way in, hashed and on disk, over the same server throwing the bytes away; and the memory it takes."""

import asyncio

from bench.calls import Calls, HandOut
from bench.figures import Figure, Row, Target
from bench.film_jobs import claimed_video, send_film
from bench.films import Film
from bench.load import expect_success
from bench.pairs import alternate, spread
from bench.plan import Plan
from bench.server import Server, broker, reference
from bench.transfer import upload

WORKER = "w1"


async def run(plan: Plan) -> list[Row]:
    film = Film.make(plan.folder / "upload.mp4", plan.film_bytes)
    extra_mb: list[float] = []
    with broker(plan.folder / "b08") as ours, reference("discard") as theirs:

        async def kept() -> float:
            film.renew()
            job = await claimed_video(ours.port, WORKER)
            before = ours.rss_bytes
            ours.forget_peak()
            seconds = await send_film(ours.port, job, film, WORKER)
            extra_mb.append((ours.peak_rss_bytes - before) / 1e6)
            return _mb_per_second(film, seconds)

        pairs = await alternate(kept, lambda: _thrown_away(theirs, film), plan.rounds)
    what = f"upload of {plan.film_bytes // 10**6} MB"
    return [
        Figure(
            "B8",
            f"{what}, hashed and fsynced / the same server throwing the body away",
            *pairs.ratio,
            unit="x",
            target=Target(">=", 0.6),
            durability="broker: film fsynced, renamed, job committed with synchronous=FULL; discard: none",
            sides=pairs.sides("MB/s"),
        ),
        Figure(
            "B8",
            f"{what}, memory beyond what the server had before",
            *spread(extra_mb[1:]),
            unit=" MB",
            target=Target("<=", 8.0),
            durability="as above",
        ),
    ]


async def _thrown_away(server: Server, film: Film) -> float:
    head = Calls(server.port).upload_head(HandOut("job_0", "none"), film.size_bytes, WORKER)
    seconds, response = await asyncio.to_thread(upload, server.port, head, film.path)
    expect_success(response)
    return _mb_per_second(film, seconds)


def _mb_per_second(film: Film, seconds: float) -> float:
    return film.size_bytes / seconds / 1e6
