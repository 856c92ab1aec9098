"""A power cut at any moment: nothing acknowledged is lost, and no job is completed whose file is not there whole."""

import asyncio
import shutil
import time
from collections import Counter
from pathlib import Path
from random import Random
from typing import Any, NamedTuple

import httpx
import pytest

from broker.app import Application, Parts
from broker.config import Settings
from broker.ids import JobId
from broker.jobs import JobKind, JobState
from broker.outputs import digest_of
from broker.ports import JobFilter, Record
from tests.support.pictures import png
from tests.support.power_cut import RecordedBroker, Recording, write_disk
from tests.support.running import run

PAIRS = 4
ROUNDS = 4
WAYS = ("lost", "half", "torn")


class Promise(NamedTuple):
    """What an answer said: the job is there, its prompt was submitted, or its result is kept."""

    what: str
    job_id: str


class Traffic:
    """Clients and workers in pairs, each with every kind of job, and what they were promised by which answer."""

    def __init__(self, url: str, film: bytes) -> None:
        limits = httpx.Limits(max_connections=None)
        self._http = httpx.AsyncClient(base_url=url, timeout=60, trust_env=False, limits=limits)
        self._film = film
        self.promises: dict[str, Promise] = {}

    async def run(self) -> None:
        async with self._http, asyncio.TaskGroup() as group:
            for number in range(PAIRS):
                group.create_task(self._pair(number))

    async def _pair(self, number: int) -> None:
        for turn in range(ROUNDS):
            await self._film_job(f"{number}-{turn}")
            await self._chat_job(f"{number}-{turn}")
            await self._image_job(10 + number * ROUNDS + turn)

    async def _film_job(self, name: str) -> None:
        await self._say("created", "POST", "/v1/videos/generations", json={"prompt": name})
        job = await self._submitted("video")
        own = name.encode()
        film = self._film + (len(own) + 8).to_bytes(4, "big") + b"free" + own
        headers = {"Content-Type": "video/mp4", "X-Lease-Token": job["lease_token"]}
        path = f"/extension/result/{job['job_id']}"
        await self._say("finished", "PUT", path, job, content=film, headers=headers)

    async def _chat_job(self, name: str) -> None:
        body = {"model": "grok", "messages": [{"role": "user", "content": name}]}
        asking = asyncio.create_task(self._http.post("/v1/chat/completions", json=body))
        job = await self._submitted("chat")
        chunks = [{"seq": seq, "kind": "text", "delta": f"{seq} "} for seq in range(3)]
        await self._say(
            "streamed", "POST", "/extension/chunks", job, json={**_held(job), "chunks": chunks}
        )
        answer = {**_held(job), "content": "0 1 2 "}
        await self._say("finished", "POST", "/extension/complete/chat", job, json=answer)
        await asking

    async def _image_job(self, size: int) -> None:
        body = {"prompt": f"image {size}", "n": 2}
        asking = asyncio.create_task(self._http.post("/v1/images/generations", json=body))
        job = await self._submitted("image")
        files = [("image", (f"{n}.png", png(size, 8 + n), "image/png")) for n in range(2)]
        await self._say(
            "finished", "POST", "/extension/complete", job, data=_held(job), files=files
        )
        await asking

    async def _submitted(self, mode: str) -> dict[str, Any]:
        """The next job of this kind, whoever's it is."""
        while (polled := await self._http.get(f"/extension/poll?mode={mode}")).status_code != 200:
            pass
        job: dict[str, Any] = polled.json()
        beat = {**_held(job), "phase": "submitted", "evidence": {"post_id": job["job_id"]}}
        await self._say("submitted", "POST", "/extension/beat", job, json=beat)
        return job

    async def _say(
        self, what: str, method: str, path: str, job: Any = None, **request: Any
    ) -> None:
        answer = await self._http.request(method, path, **request)
        assert answer.status_code == 200, answer.text
        job_id = answer.json()["id"] if job is None else job["job_id"]
        self.promises[answer.headers["x-request-id"]] = Promise(what, job_id)


def _held(job: dict[str, Any]) -> dict[str, Any]:
    return {"job_id": job["job_id"], "lease_token": job["lease_token"]}


@pytest.mark.faults
@pytest.mark.usefixtures("strace")
@pytest.mark.parametrize("cuts", [200, pytest.param(5000, marks=pytest.mark.nightly)])
def test_nothing_acknowledged_is_lost_by_a_power_cut(roomy: Path, film: bytes, cuts: int) -> None:
    recording, promises = _recorded(roomy, film)
    chance = Random(2026)
    seen: Counter[str] = Counter()
    began = time.monotonic()
    for number in range(cuts):
        cut, way = chance.choice(recording.moments), WAYS[number % len(WAYS)]
        folder = roomy / f"cut-{number}"
        write_disk(folder, recording.disk_at(cut, way, chance))
        made = [
            promises[each]
            for each, at in recording.answered.items()
            if at <= cut
            if each in promises
        ]

        run(_judge(folder, made, seen))

        shutil.rmtree(folder)
    print(
        f"{cuts} cuts among {len(recording.moments)} moments, {time.monotonic() - began:.0f} s: "
        f"0 lost of {seen['promises']} promises, {seen['completed']} completed jobs with their files"
    )
    assert seen["promises"] > cuts
    assert seen["completed"] > cuts


def _recorded(folder: Path, film: bytes) -> tuple[Recording, dict[str, Promise]]:
    home, log = folder / "broker", folder / "calls.log"
    home.mkdir()
    with RecordedBroker(home, log) as broker:
        traffic = Traffic(broker.url, film)
        run(traffic.run(), 120)
        broker.kill()
    recording = Recording(home, log)
    assert set(traffic.promises) <= set(recording.answered)
    return recording, traffic.promises


async def _judge(folder: Path, promises: list[Promise], seen: Counter[str]) -> None:
    """Starts a broker on what is left, and holds it against what had been promised."""
    paths = {"db_path": "jobs.db", "video_storage_path": "videos", "log_path": "logs"}
    settings = Settings(
        **{name: folder / path for name, path in paths.items()}, min_free_disk_mib=0
    )
    async with Application(settings).running() as parts:
        for promise in promises:
            await _check(parts, promise)
        completed = await parts.store.page(JobFilter(state=JobState.COMPLETED), 1000)
        for record in completed:
            await _check_files(parts, record)
        assert not list((folder / "videos" / ".incoming").iterdir())
    seen["promises"] += len(promises)
    seen["completed"] += len(completed)


async def _check(parts: Parts, promise: Promise) -> None:
    record = await parts.store.get(JobId(promise.job_id))
    assert record is not None, f"lost: {promise}"
    job = record.job
    if promise.what == "submitted":
        assert job.submitted_at is not None, f"forgotten, and would be submitted again: {promise}"
    elif promise.what == "streamed":
        assert job.next_seq == 3, f"forgotten: {promise}"
    elif promise.what == "finished":
        assert job.state == JobState.COMPLETED, f"undone: {promise}"


async def _check_files(parts: Parts, record: Record) -> None:
    job, result = record.job, record.result
    assert result is not None
    if job.kind == JobKind.VIDEO:
        assert await parts.media.digest(job.id) == result.sha256, "not the film that was handed in"
    elif job.kind == JobKind.IMAGE:
        pictures = await parts.media.inspect_pictures(job.id)
        assert digest_of(tuple(pictures)) == result.sha256, "not the pictures that were handed in"
