"""B12: how late the cheapest answer comes while five films are uploaded, jobs are pruned and a backup runs.

A health request is due every 5 ms, whether or not the last one is answered; its lateness counts from when it was due,
so that one long stall counts as often as it would have met somebody.
"""

import asyncio
import shutil
import socket
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from time import perf_counter

from bench.apart import apart
from bench.calls import Calls
from bench.figures import Figure, Row, Target
from bench.film_jobs import claimed_video, send_film, send_film_apart
from bench.films import Film
from bench.load import HOST, Connection, expect_success
from bench.pairs import quantile, spread
from bench.plan import Plan
from bench.prefill import filled
from bench.server import broker
from bench.transfer import read_answer

UPLOADS = 5
ROWS = 10_000
EVERY_SECONDS = 0.005


async def run(plan: Plan) -> list[Row]:
    films = [
        Film.make(plan.folder / f"stall{number}.mp4", plan.film_bytes) for number in range(UPLOADS)
    ]
    jobs = await filled(plan.folder / "few-rows", ROWS)
    p99s = []
    for number in range(plan.rounds):
        folder = shutil.copytree(jobs, plan.folder / f"b12-{number}")
        p99s.append(quantile(await _late_ms(folder, films), 0.99))
        shutil.rmtree(folder)
    return [
        Figure(
            "B12",
            f"lateness of health, p99, during {UPLOADS} uploads of {plan.film_bytes // 10**6} MB, "
            f"a prune of {ROWS:,} jobs and a backup",
            *spread(p99s),
            unit=" ms",
            target=Target("<=", 20.0),
            durability="broker: films fsynced, SQLite WAL, synchronous=FULL",
        )
    ]


async def _late_ms(folder: Path, films: Sequence[Film]) -> list[float]:
    with broker(folder) as server:
        await _warm_up(server.port, folder)
        jobs = [await claimed_video(server.port, f"w{n}") for n in range(len(films))]
        over = threading.Event()
        pings = asyncio.create_task(asyncio.to_thread(_ping, server.port, over))
        try:
            await asyncio.gather(
                *(
                    send_film_apart(server.port, job, film, f"w{n}")
                    for n, (job, film) in enumerate(zip(jobs, films, strict=True))
                ),
                _prune(server.port),
                _back_up(folder),
            )
        finally:
            over.set()
            late_ms = await pings
    return late_ms


async def _warm_up(port: int, folder: Path) -> None:
    film = Film.make(folder / "warm-up.mp4", 1_000_000)
    await send_film(port, await claimed_video(port, "w0"), film, "w0")


def _ping(port: int, over: threading.Event) -> list[float]:
    """Milliseconds from when each answer was due to be asked for until it was there."""
    late_ms = []
    with socket.create_connection((HOST, port), timeout=60) as line:
        due = perf_counter()
        while not over.is_set():
            time.sleep(max(0.0, due - perf_counter()))
            line.sendall(Calls(port).health)
            expect_success(read_answer(line))
            late_ms.append((perf_counter() - due) * 1000)
            due += EVERY_SECONDS
    return late_ms


async def _prune(port: int) -> None:
    connection = await Connection.open(port)
    expect_success(await connection.ask(Calls(port).delete_jobs))
    connection.close()


async def _back_up(folder: Path) -> None:
    """A copy of the database while it is in use, made by SQLite's own backup in another process."""
    source, target = folder / "jobs.db", folder / "copy.db"
    code = "import sqlite3, sys; a, b = map(sqlite3.connect, sys.argv[1:]); a.backup(b)"
    await apart("-c", code, str(source), str(target))
