"""A million jobs in the table: starts, claims and lists are as quick as ever, and deleting them holds up nobody."""

import asyncio
import json
import time
from pathlib import Path
from statistics import median, quantiles

import pytest

from bench.calls import Calls, handed_out
from bench.load import Connection, expect_success, round_trip
from bench.prefill import filled
from tests.support.running import run
from tests.support.server import BrokerProcess

ROWS = 1_000_000
TIMES = 200
#: How long jobs are deleted while others are created.
PRUNING_SECONDS = 10.0


@pytest.mark.faults
@pytest.mark.nightly
def test_a_million_jobs_slow_nothing_down(roomy: Path) -> None:
    folder = run(filled(roomy / "rows", ROWS), 900)
    broker = BrokerProcess(folder, first_beat_seconds=600)
    began = time.monotonic()
    broker.start()
    started = time.monotonic() - began
    try:
        figures = run(_figures(broker.port), 120)
    finally:
        # In the middle of the deletion, which need not be waited for.
        broker.kill()

    print(f"start {started:.1f} s; " + "; ".join(f"{k} {v:.1f} ms" for k, v in figures.items()))
    assert started <= 3
    assert figures["claim p99"] <= 20
    assert figures["claim"] <= 5
    assert figures["list of 100"] <= 50
    assert figures["second page of 100"] <= 50
    assert figures["counts"] <= 20
    assert figures["create while deleting, worst"] <= 250


async def _figures(port: int) -> dict[str, float]:
    calls, connection = Calls(port), await Connection.open(port)
    claims = []
    for _ in range(TIMES):
        began = time.perf_counter()
        job = handed_out(await connection.ask(calls.poll("video", "w", 0)))
        claims.append(time.perf_counter() - began)
        expect_success(await connection.ask(calls.give_up(job, "w")))
    lists = [await round_trip(connection, calls.get("/jobs?limit=100")) for _ in range(20)]
    page = json.loads((await connection.ask(calls.get("/jobs?limit=100"))).body)
    second = calls.get(f"/jobs?limit=100&cursor={page['next_cursor']}")
    seconds = [await round_trip(connection, second) for _ in range(20)]
    counts = [await round_trip(connection, calls.health) for _ in range(20)]
    creates = await _created_while_deleting(port)
    figures = {
        "claim": median(claims),
        "claim p99": quantiles(claims, n=100)[-1],
        "list of 100": median(lists),
        "second page of 100": median(seconds),
        "counts": median(counts),
        "create while deleting, p99": quantiles(creates, n=100)[-1],
        "create while deleting, worst": max(creates),
    }
    return {name: value * 1000 for name, value in figures.items()}


async def _created_while_deleting(port: int) -> list[float]:
    calls = Calls(port)
    deleter, client = await Connection.open(port), await Connection.open(port)
    deleter.send(calls.delete_jobs, lambda response: None)
    until, creates = time.monotonic() + PRUNING_SECONDS, []
    while time.monotonic() < until:
        creates.append(await round_trip(client, calls.create_video))
        await asyncio.sleep(0)
    deleter.close()
    return creates
