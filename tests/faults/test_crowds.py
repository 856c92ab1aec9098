"""Thousands who wait and hundreds who read slowly: the broker stays quick for everybody else, and small."""

import asyncio
import gc
import json
import resource
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import quantiles

import pytest

from bench.calls import Calls
from bench.load import Connection, open_many
from bench.responses import Response
from bench.server import files_allowed
from tests.support.pulse import Pulse
from tests.support.running import run
from tests.support.server import BrokerProcess
from tests.support.wire import head
from tests.support.worker import ScriptedWorker

MIB = 1024 * 1024
POLLS = 10_000
#: The health page names every worker, so they are fewer than their polls.
WORKERS = 100
JOBS = 200
READERS = 200
FILM_BYTES = 50 * MIB
PIECE_BYTES = 10_000
READ_SECONDS = 10

pytestmark = pytest.mark.faults


@pytest.mark.nightly
def test_ten_thousand_polls_wait_and_each_job_wakes_one(tmp_path: Path) -> None:
    assert files_allowed(POLLS + 1000), "this machine allows too few open files: ulimit -n 17000"
    with BrokerProcess(tmp_path, max_parked_polls=POLLS, first_beat_seconds=120) as broker:
        run(_crowded(broker), 120)


async def _crowded(broker: BrokerProcess) -> None:
    before = _memory(broker.pid)
    calls = Calls(broker.port)
    handed: dict[str, float] = {}
    refused: list[Response] = []
    came = asyncio.Event()

    def answered(response: Response) -> None:
        if response.status == 200:
            handed[json.loads(response.body)["job_id"]] = time.perf_counter()
            came.set()
        elif response.status != 204:
            refused.append(response)

    polls = await open_many(broker.port, POLLS)
    for number, poll in enumerate(polls):
        poll.send(calls.poll("video", f"w{number % WORKERS}", 25), answered)
    client = await Connection.open(broker.port)
    while json.loads((await client.ask(calls.health)).body)["waiting_polls"] < POLLS:
        pass
    grown = _memory(broker.pid) - before

    last = await Connection.open(broker.port)
    one_too_many = await last.ask(calls.poll("video", "more", 25))
    took = []
    # What is measured is the broker, not the collection of this process's own connections.
    gc.collect()
    gc.freeze()
    async with Pulse(broker.url) as pulse:
        for _ in range(JOBS):
            came.clear()
            began = time.perf_counter()
            job_id = json.loads((await client.ask(calls.create_video)).body)["id"]
            while job_id not in handed:
                await came.wait()
                came.clear()
            took.append(handed[job_id] - began)
    gc.unfreeze()
    for poll in [*polls, client, last]:
        poll.close()

    claim_p99 = quantiles(took, n=100)[-1] * 1000
    print(
        f"{POLLS} polls: {grown / MIB:.0f} MiB, health p99 {pulse.p99_ms:.1f} ms, "
        f"create to claim p99 {claim_p99:.1f} ms"
    )
    assert (one_too_many.status, refused) == (503, [])
    assert len(handed) == JOBS
    assert grown <= 350 * MIB
    assert pulse.p99_ms <= 50
    assert claim_p99 <= 250


def test_a_low_limit_of_open_files_lowers_the_number_of_polls(tmp_path: Path) -> None:
    with _files(256), BrokerProcess(tmp_path) as broker:
        pass_through = 256 * 3 // 4
        with broker.client() as client:
            polls = []
            for number in range(pass_through):
                poll = socket.create_connection(("127.0.0.1", broker.port))
                path = "/extension/poll?mode=video&wait=25"
                poll.sendall(head("GET", path, x_worker_id=f"w{number}"))
                polls.append(poll)
            while client.get("/").json()["waiting_polls"] < pass_through:
                pass
            refused = client.get("/extension/poll?mode=video&wait=25")
            for poll in polls:
                poll.close()

    assert refused.status_code == 503
    assert int(refused.headers["retry-after"]) > 0


@contextmanager
def _files(soft: int) -> Iterator[None]:
    """Processes that are started meanwhile may open so many files."""
    before, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (before, hard))


@pytest.mark.nightly
def test_slow_readers_cost_little_and_hold_up_nobody(roomy: Path, film: bytes) -> None:
    large = film + (FILM_BYTES + 8).to_bytes(4, "big") + b"free" + bytes(FILM_BYTES)
    with (
        BrokerProcess(roomy) as broker,
        broker.client() as client,
        ScriptedWorker(broker) as worker,
    ):
        job_id = client.post("/v1/videos/generations", json={"prompt": "a cat"}).json()["id"]
        assert worker.upload(worker.take(), large).status_code == 200
        run(_read_slowly(broker, job_id), 120)


async def _read_slowly(broker: BrokerProcess, job_id: str) -> None:
    calls, loop = Calls(broker.port), asyncio.get_running_loop()
    before = _memory(broker.pid)
    readers = [socket.create_connection(("127.0.0.1", broker.port)) for _ in range(READERS)]
    for reader in readers:
        reader.setblocking(False)
        await loop.sock_sendall(reader, head("GET", f"/videos/{job_id}.mp4"))
    most = read = 0
    async with Pulse(broker.url) as pulse:
        for second in range(READ_SECONDS):
            ends_at = time.monotonic() + 1
            for reader in readers:
                read += len(await loop.sock_recv(reader, PIECE_BYTES))
            most = max(most, _memory(broker.pid) - before)
            if second == READ_SECONDS // 2:
                client = await Connection.open(broker.port)
                deleted = await client.ask(calls.delete_jobs)
            # Ten kilobytes a second is what is tested.
            await asyncio.sleep(max(0, ends_at - time.monotonic()))
    for reader in readers:
        reader.close()

    print(f"{READERS} readers: {most / MIB:.0f} MiB, health p99 {pulse.p99_ms:.1f} ms")
    assert deleted.status == 200
    # Also after the film was deleted under them.
    assert read == READERS * READ_SECONDS * PIECE_BYTES
    assert most <= 100 * MIB
    assert pulse.p99_ms <= 100


def _memory(pid: int) -> int:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmRSS"))
