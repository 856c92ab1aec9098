"""B12: how long the smallest requests wait while five films are uploaded, jobs are pruned and a backup runs.

A refusal, which the broker answers without looking anything up, shows the stalls of the event loop alone; health, which
reads the counts of jobs, shows what a client sees.
"""

import asyncio
import shutil
from collections.abc import Sequence
from pathlib import Path

from bench.apart import apart
from bench.calls import Calls
from bench.figures import Figure, Row, Target
from bench.film_jobs import claimed_video, send_film, send_film_apart
from bench.films import Film
from bench.load import Connection, expect_success
from bench.pairs import quantile, spread
from bench.pings import Pings
from bench.plan import Plan
from bench.prefill import filled
from bench.server import broker

UPLOADS = 5
ROWS = 10_000


async def run(plan: Plan) -> list[Row]:
    films = [
        Film.make(plan.folder / f"stall{number}.mp4", plan.film_bytes) for number in range(UPLOADS)
    ]
    jobs = await filled(plan.folder / "few-rows", ROWS)
    rounds = []
    for number in range(plan.rounds):
        folder = shutil.copytree(jobs, plan.folder / f"b12-{number}")
        rounds.append(await _p99_ms(folder, films))
        shutil.rmtree(folder)
    during = (
        f"during {UPLOADS} uploads of {plan.film_bytes // 10**6} MB, a prune of {ROWS:,} jobs "
        "and a backup"
    )
    return [
        _figure(f"event loop stall, p99, {during}", [refusal for refusal, _ in rounds]),
        _figure(f"health round trip, p99, {during}", [health for _, health in rounds]),
    ]


def _figure(what: str, p99s_ms: Sequence[float]) -> Figure:
    return Figure(
        "B12",
        what,
        *spread(p99s_ms),
        unit=" ms",
        target=Target("<=", 20.0),
        durability="broker: films fsynced, SQLite WAL, synchronous=FULL",
    )


async def _p99_ms(folder: Path, films: Sequence[Film]) -> tuple[float, float]:
    """Of a refusal and of health, while all of it goes on."""
    with broker(folder) as server:
        await _warm_up(server.port, folder)
        calls = Calls(server.port)
        uploads = [
            send_film_apart(server.port, await claimed_video(server.port, f"w{n}"), film, f"w{n}")
            for n, film in enumerate(films)
        ]
        async with (
            Pings(server.port, calls.get("/nothing-here"), expected=404) as refusals,
            Pings(server.port, calls.health, expected=200) as healths,
        ):
            await asyncio.gather(*uploads, _prune(server.port), _back_up(folder))
    return quantile(refusals.waits_ms, 0.99), quantile(healths.waits_ms, 0.99)


async def _warm_up(port: int, folder: Path) -> None:
    film = Film.make(folder / "warm-up.mp4", 1_000_000)
    await send_film(port, await claimed_video(port, "w0"), film, "w0")


async def _prune(port: int) -> None:
    connection = await Connection.open(port)
    expect_success(await connection.ask(Calls(port).delete_jobs))
    connection.close()


async def _back_up(folder: Path) -> None:
    """A copy of the database while it is in use, made by SQLite's own backup in another process."""
    source, target = folder / "jobs.db", folder / "copy.db"
    code = "import sqlite3, sys; a, b = map(sqlite3.connect, sys.argv[1:]); a.backup(b)"
    await apart("-c", code, str(source), str(target))
