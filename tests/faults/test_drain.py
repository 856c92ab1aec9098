"""SIGTERM: polls are answered, uploads finish, chats are told, nothing accepted is lost."""

import asyncio
import json
import time
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from tests.support.films import make_film
from tests.support.running import run
from tests.support.server import BrokerProcess

POLLS = 200
PIECES = 20


@pytest.mark.faults
def test_sigterm_answers_polls_and_lets_uploads_finish(tmp_path: Path) -> None:
    film = make_film(tmp_path / "film.mp4", text_seed="drain").read_bytes()
    folder = tmp_path / "broker"
    folder.mkdir()
    with BrokerProcess(folder) as broker:
        took = run(_drained(broker, film))
        began = time.monotonic()
        assert broker.wait(20) == 0
        took["exit"] = time.monotonic() - began

        broker.start()
        with broker.client() as client:
            jobs = client.get("/jobs").json()["data"]

    assert took["polls"] <= 1.0
    assert took["exit"] <= 20.0
    assert {job["kind"]: job["status"] for job in jobs} == {
        "video": "completed",
        "chat": "cancelled",
    }


async def _drained(broker: BrokerProcess, film: bytes) -> dict[str, float]:
    limits = httpx.Limits(max_connections=None)
    async with httpx.AsyncClient(
        base_url=broker.url, timeout=60, trust_env=False, limits=limits
    ) as http:
        await http.post("/v1/videos/generations", json={"prompt": "a cat"})
        named = {"X-Worker-Id": "uploader"}
        job = (await http.get("/extension/poll?mode=video", headers=named)).json()
        half_sent, may_finish = asyncio.Event(), asyncio.Event()
        upload = asyncio.create_task(_upload(http, job, film, half_sent, may_finish))
        chat = asyncio.create_task(_chat(http))
        polls = [asyncio.create_task(_poll(http, n)) for n in range(POLLS)]
        await half_sent.wait()
        await _until_waiting(http, POLLS)

        began = time.monotonic()
        broker.terminate()
        answers = await asyncio.gather(*polls)
        polls_took = time.monotonic() - began
        told = await chat
        may_finish.set()
        uploaded = await upload

    assert {answer.status_code for answer in answers} == {204}
    assert {answer.headers["retry-after"] for answer in answers} == {"5"}
    assert (told.status_code, told.json()["error"]["code"]) == (503, "shutting_down")
    assert told.headers["retry-after"] == "5"
    assert uploaded.status_code == 200
    return {"polls": polls_took}


async def _upload(
    http: httpx.AsyncClient,
    job: dict[str, str],
    film: bytes,
    half_sent: asyncio.Event,
    may_finish: asyncio.Event,
) -> httpx.Response:
    async def pieces() -> AsyncIterator[bytes]:
        size = len(film) // PIECES
        yield film[:size]
        half_sent.set()
        await may_finish.wait()
        yield film[size:]

    headers = {"Content-Type": "video/mp4", "X-Lease-Token": job["lease_token"]}
    return await http.put(f"/extension/result/{job['job_id']}", content=pieces(), headers=headers)


async def _chat(http: httpx.AsyncClient) -> httpx.Response:
    body = {"model": "grok-4", "messages": [{"role": "user", "content": "Hi"}]}
    return await http.post("/v1/chat/completions", json=body)


async def _poll(http: httpx.AsyncClient, number: int) -> httpx.Response:
    headers = {"X-Worker-Id": f"w{number}"}
    return await http.get("/extension/poll?mode=video&wait=25", headers=headers)


async def _until_waiting(http: httpx.AsyncClient, count: int) -> None:
    while json.loads((await http.get("/")).content)["waiting_polls"] < count:
        await asyncio.to_thread(lambda: None)
