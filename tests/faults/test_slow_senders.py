"""Who opens connections and says little loses them in time; who waits, streams or reads slowly keeps theirs."""

import asyncio
import json
import time
from pathlib import Path
from typing import Any

import httpx
import pytest

from bench.server import files_allowed
from tests.support.films import make_film
from tests.support.pulse import Pulse
from tests.support.running import run
from tests.support.server import BrokerProcess
from tests.support.worker import ScriptedWorker

HEAD = b"POST /v1/videos/generations HTTP/1.1\r\nHost: 127.0.0.1\r\n"
BEGUN_BODY = HEAD + b"Content-Type: application/json\r\nContent-Length: 100000\r\n\r\n{"
BEGUN_UPLOAD = (
    b"PUT /extension/result/%s HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: video/mp4\r\n"
    b"Content-Length: 50000000\r\n\r\n"
)
#: Of a body, before it stops: enough for its pace not to matter for longer than it may be silent.
AHEAD_BYTES = 1_000_000
#: Larger than what the system holds between the two ends, so that its sender has to wait.
FILM_BYTES = 12_000_000
#: Each holds two megabytes while it is open.
UPLOADS = 8

#: What a machine that has other things to do may add.
LATE_SECONDS = 2.5
#: Nobody is held up for longer, however busy the machine is.
BLOCKED_MS = 1000


@pytest.mark.faults
@pytest.mark.parametrize(
    ("header_seconds", "stall_seconds", "counts"),
    [
        (1.0, 2.0, (20, 20, 20)),
        pytest.param(10.0, 30.0, (500, 500, 200), marks=pytest.mark.nightly),
    ],
)
def test_slow_senders_lose_their_connections_and_nobody_else_does(
    tmp_path: Path, header_seconds: float, stall_seconds: float, counts: tuple[int, int, int]
) -> None:
    assert files_allowed(sum(counts) + 100), (
        "this machine allows too few open files: ulimit -n 3000"
    )
    film = _large_film(tmp_path)
    limits = {
        "receive_header_seconds": header_seconds,
        "receive_stall_seconds": stall_seconds,
        "first_beat_seconds": 60,
    }
    with BrokerProcess(tmp_path, **limits) as broker, ScriptedWorker(broker) as worker:
        with broker.client() as client:
            done = client.post("/v1/videos/generations", json={"prompt": "done"}).json()["id"]
            worker.upload(worker.take(), film)
        lived, pulse, kept = run(_besieged(broker, worker, done, counts), 120)

    silent, half, drips, stalled = lived
    assert max(silent) <= 1.5 * header_seconds + LATE_SECONDS
    assert max(half) <= header_seconds + LATE_SECONDS
    assert max(drips) <= header_seconds + LATE_SECONDS
    assert max(stalled) <= stall_seconds + LATE_SECONDS
    assert min(silent + half + drips + stalled) >= header_seconds * 0.9, "too early"
    assert pulse.worst_ms <= BLOCKED_MS
    assert kept == {"film": film, "poll": "after", "stream": "an answer"}
    print(
        f"closed after at most {max(silent):.1f} s silent, {max(half):.1f} s half a header, "
        f"{max(drips):.1f} s drip, {max(stalled):.1f} s stalled; "
        f"health p99 {pulse.p99_ms:.1f} ms of {len(pulse.took_ms)}"
    )


def _large_film(folder: Path) -> bytes:
    film = make_film(folder / "film.mp4", text_seed="slow").read_bytes()
    return film + (FILM_BYTES + 8).to_bytes(4, "big") + b"free" + bytes(FILM_BYTES)


async def _besieged(
    broker: BrokerProcess, worker: ScriptedWorker, done: str, counts: tuple[int, int, int]
) -> tuple[list[list[float]], Pulse, dict[str, Any]]:
    """How long each slow sender lived, how quick the health page was meanwhile, and what the others got."""
    many = httpx.Limits(max_connections=None)
    options = {"timeout": 60, "trust_env": False, "limits": many}
    async with httpx.AsyncClient(base_url=broker.url, **options) as http:
        poll = asyncio.create_task(_polled(http))
        chat = {"model": "grok", "stream": True, "messages": [{"role": "user", "content": "Hi"}]}
        streaming = http.stream("POST", "/v1/chat/completions", json=chat)
        stream = await streaming.__aenter__()
        slow_reader = await _connected(broker.port, _get(done))
        taken = await asyncio.to_thread(worker.take, "chat")

        upload = BEGUN_UPLOAD % done.encode() + bytes(AHEAD_BYTES)
        siege = [
            [_lived(broker.port, first, drip) for _ in range(count)]
            for count, first, drip in [
                (counts[0], b"", b""),
                (counts[1], HEAD, b""),
                (counts[2], BEGUN_BODY, b" "),
                (UPLOADS, upload, b""),
            ]
        ]
        async with Pulse(broker.url) as pulse:
            lived = [await each for each in [asyncio.gather(*senders) for senders in siege]]

        await http.post("/v1/videos/generations", json={"prompt": "after"})
        await asyncio.to_thread(worker.answer, taken, "an answer")
        kept = {
            "film": (await slow_reader[0].read()).partition(b"\r\n\r\n")[2],
            "poll": await poll,
            "stream": _text([line async for line in stream.aiter_lines()]),
        }
        slow_reader[1].close()
        await streaming.__aexit__(None, None, None)
        return [list(each) for each in lived], pulse, kept


async def _polled(http: httpx.AsyncClient) -> str:
    """The prompt of the next job, asked for as a worker does."""
    while True:
        polled = await http.get("/extension/poll?mode=video&wait=25")
        if polled.status_code == 200:
            return str(polled.json()["prompt"])
        assert polled.status_code == 204


async def _connected(port: int, first: bytes) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(first)
    return reader, writer


def _get(job_id: str) -> bytes:
    return b"GET /videos/%s.mp4 HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n" % (
        job_id.encode()
    )


async def _lived(port: int, first: bytes, drip: bytes) -> float:
    """Says `first`, then `drip` every half second, until it is hung up on; how long that took."""
    reader, writer = await _connected(port, first)
    began = time.monotonic()
    ended = asyncio.create_task(_ended(reader))
    while not ended.done():
        await asyncio.wait([ended], timeout=0.5 if drip else None)
        if not ended.done():
            writer.write(drip)
    assert ended.result() == b"", ended.result()
    writer.close()
    return time.monotonic() - began


async def _ended(reader: asyncio.StreamReader) -> bytes:
    try:
        return await reader.read()
    except ConnectionResetError:
        return b""


def _text(lines: list[str]) -> str:
    events = [json.loads(line[6:]) for line in lines if line.startswith("data: {")]
    deltas = [choice["delta"] for event in events for choice in event["choices"]]
    return "".join(delta.get("content") or "" for delta in deltas)
