"""The demo as a person runs it, and its worker at a real broker: a server process, sockets, a film on disk."""

import asyncio
import base64
import io
import re
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from PIL import Image

from broker.demo import hold
from broker.demo.film import inspect_film
from broker.demo.page import DemoPage
from broker.demo.server_process import ROOT, ServerFailed, ServerProcess, environment, free_port
from broker.demo.worker import DemoWorker

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
def port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture(autouse=True)
def _quick_return(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hold, "RETRY_SECONDS", 0.05)


@contextmanager
def demo(data: Path, port: int, *more: str) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-m", "broker.demo.rehearsal", "--port", str(port)]
    with subprocess.Popen(
        [*command, "--data", str(data), *more],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            yield process
        finally:
            if process.poll() is None:
                process.terminate()


@asynccontextmanager
async def at_work(url: str, **options: Any) -> AsyncIterator[DemoWorker]:
    worker = DemoWorker(
        url, **{"film_seconds": 1, "word_seconds": 0, "least_film_seconds": 0} | options
    )
    task = asyncio.ensure_future(worker.run())
    try:
        await asyncio.wait_for(worker.ready(), 20)
        yield worker
    finally:
        task.cancel()
        await asyncio.wait({task})


def client(url: str) -> httpx.AsyncClient:
    return httpx.AsyncClient(base_url=url, timeout=30, trust_env=False)


async def until(
    look: Callable[[], Awaitable[dict[str, Any]]], is_so: Callable[[dict[str, Any]], bool]
) -> dict[str, Any]:
    """Looks again and again until it is so, as a client polls: the API tells in no other way."""
    async with asyncio.timeout(30):
        seen = await look()
        while not is_so(seen):
            seen = await look()
    return seen


async def sent_film(
    http: httpx.AsyncClient, **more: Any
) -> Callable[[], Awaitable[dict[str, Any]]]:
    """Sends a film's job and returns how to look at it."""
    created = await http.post("/v1/videos/generations", json={"prompt": "A cat", **more})
    assert created.status_code == 200, created.text
    path = f"/v1/videos/generations/{created.json()['id']}"

    async def look() -> dict[str, Any]:
        return dict((await http.get(path)).json())

    return look


def is_over(job: dict[str, Any]) -> bool:
    return job["status"] not in ("pending", "processing")


def test_the_demo_plays_once_and_ends_with_zero(tmp_path: Path, port: int) -> None:
    with demo(tmp_path, port, "--once") as process:
        said, complaint = process.communicate(timeout=90)

    assert process.returncode == 0, complaint
    assert "decoding all 144 frames: h264, 640x360" in said
    assert "finish_reason stop" in said
    facts = inspect_film(tmp_path / "videos" / "demo-film.mp4")
    assert (facts.frames, facts.seconds) == (144, 6.0)
    assert (tmp_path / "demo.db").exists()
    assert not (tmp_path / "jobs.db").exists()


def test_a_taken_port_is_said_and_the_next_one_used(tmp_path: Path, port: int) -> None:
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", port))
        holder.listen()

        with demo(tmp_path, port, "--once") as process:
            said, complaint = process.communicate(timeout=90)

    assert process.returncode == 0, complaint
    found = re.search(rf"Port {port} is taken, so this demo uses (\d+)", said)
    assert found
    assert int(found[1]) > port


@pytest.mark.parametrize("name", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_the_demo_and_its_broker_cleanly(
    name: signal.Signals, tmp_path: Path, port: int
) -> None:
    with demo(tmp_path, port) as process:
        assert process.stdout
        for line in process.stdout:
            if line.startswith("Try"):
                break
        process.send_signal(name)
        _, complaint = process.communicate(timeout=40)

    assert process.returncode == 0
    assert "Traceback" not in complaint
    with socket.socket() as probe:
        assert probe.connect_ex(("127.0.0.1", port)) != 0


async def test_a_broker_that_cannot_start_says_why(tmp_path: Path, port: int) -> None:
    (tmp_path / "demo.db").write_bytes(b"this is not a database" * 100)

    with pytest.raises(ServerFailed, match="error: "):
        async with ServerProcess(port, tmp_path):
            pass


async def test_an_input_image_reaches_the_film(tmp_path: Path, port: int) -> None:
    red = io.BytesIO()
    Image.new("RGB", (320, 180), (255, 0, 0)).save(red, "PNG")
    image = base64.b64encode(red.getvalue()).decode()

    async with (
        ServerProcess(port, tmp_path) as server,
        at_work(server.url),
        client(server.url) as http,
    ):
        job = await until(await sent_film(http, image=image), is_over)
        film = tmp_path / "film.mp4"
        film.write_bytes((await http.get(job["video_url"])).content)

    facts = inspect_film(film)
    assert job["status"] == "completed"
    assert facts.frames == 24


async def test_a_chat_that_is_not_streamed_gets_the_whole_answer(tmp_path: Path, port: int) -> None:
    messages = [{"role": "system", "content": "Be brief"}, {"role": "user", "content": "Hello"}]

    async with (
        ServerProcess(port, tmp_path) as server,
        at_work(server.url),
        client(server.url) as http,
    ):
        answered = await http.post("/v1/chat/completions", json={"messages": messages})

    choice = answered.json()["choices"][0]
    assert choice["finish_reason"] == "stop"
    assert "You wrote: “Hello”" in choice["message"]["content"]
    assert "I saw 2 turns" in choice["message"]["content"]


async def test_a_cancelled_film_is_dropped_by_its_worker(tmp_path: Path, port: int) -> None:
    async with (
        ServerProcess(port, tmp_path) as server,
        at_work(server.url, film_seconds=6, least_film_seconds=20) as worker,
        client(server.url) as http,
    ):
        look = await sent_film(http)
        job = await until(look, lambda job: job["phase"] == "generating")
        await http.delete(f"/jobs/{job['id']}")
        await asyncio.wait_for(worker.idle(), 10)
        job = await look()
        again = await until(await sent_film(http), lambda job: job["phase"] == "generating")

    assert job["error_code"] == "cancelled"
    assert again["status"] == "processing"


async def test_a_broker_that_restarts_gets_its_film_without_a_second_press(
    tmp_path: Path, port: int
) -> None:
    page = DemoPage()
    url = f"http://127.0.0.1:{port}"

    async with (
        client(url) as http,
        ServerProcess(port, tmp_path) as first,
        at_work(url, page=page, film_seconds=6, least_film_seconds=3),
    ):
        look = await sent_film(http)
        await until(look, lambda job: job["phase"] == "generating")
        await first.stop()

        async with ServerProcess(port, tmp_path):
            job = await until(look, is_over)

    assert job["status"] == "completed"
    assert page.presses == 1


async def test_a_worker_that_was_lost_is_followed_by_one_that_recovers(
    tmp_path: Path, port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BEAT_SECONDS", "0.4")
    monkeypatch.setenv("VIDEO_LEASE_SECONDS", "1")
    page = tmp_path / "page"

    async with ServerProcess(port, tmp_path) as server, client(server.url) as http:
        async with at_work(
            server.url, page=DemoPage(page), worker_id="one", film_seconds=6, least_film_seconds=60
        ):
            look = await sent_film(http)
            await until(look, lambda job: job["phase"] == "generating")
        later = DemoPage(page)
        async with at_work(server.url, page=later, worker_id="one"):
            job = await until(look, is_over)
        shown = (await http.get(f"/jobs/{job['id']}")).json()

    assert job["status"] == "completed"
    assert later.presses == 0
    assert [attempt["outcome"] for attempt in shown["attempts"]] == ["lost", "completed"]


def test_the_demo_keeps_out_of_the_persons_own_data(tmp_path: Path) -> None:
    given = {"DB_PATH": "jobs.db", "PUBLIC_BASE_URL": "http://elsewhere", "KEEP_LOGS_DAYS": "3"}

    child = environment(given, 8123, tmp_path)

    assert child["DB_PATH"] == str(tmp_path / "demo.db")
    assert child["VIDEO_STORAGE_PATH"] == str(tmp_path / "videos" / "demo")
    assert child["KEEP_LOGS_DAYS"] == "3"
    assert "PUBLIC_BASE_URL" not in child


def test_a_free_port_is_taken_as_it_is(port: int) -> None:
    assert free_port(port) == port


def test_no_free_port_is_an_error_in_words() -> None:
    with pytest.raises(ServerFailed, match="all taken"):
        free_port(65536)
