"""The machine's clock is set, or the process is stopped for a while: no live lease is lost for it."""

import asyncio
import os
import signal
import threading
import time
from pathlib import Path

import httpx
import pytest

from broker.app import Application
from broker.config import Settings
from tests.support.films import make_film
from tests.support.running import run
from tests.support.server import BrokerProcess
from tests.support.worker import ScriptedWorker

HOUR = 3600.0
YEAR = 365 * 24 * HOUR
LEASE = {"beat_seconds": 1.0, "video_lease_seconds": 2.0, "first_beat_seconds": 1.0}


@pytest.mark.faults
@pytest.mark.parametrize("step", [2 * HOUR, -2 * HOUR, 24 * HOUR, -24 * HOUR, 10 * YEAR])
def test_a_clock_step_keeps_live_leases_sweeps_dead_ones_and_prunes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: float
) -> None:
    film = make_film(tmp_path / "film.mp4", text_seed="clock").read_bytes()
    environ = {
        "DB_PATH": str(tmp_path / "jobs.db"),
        "VIDEO_STORAGE_PATH": str(tmp_path / "videos"),
        "LOG_PATH": str(tmp_path / "logs"),
        "MIN_FREE_DISK_MIB": "0",
        "SWEEP_SECONDS": "0.1",
        **{name.upper(): str(value) for name, value in LEASE.items()},
    }

    async def scene() -> None:
        application = Application(Settings.from_env(environ))
        async with application.running() as parts:
            transport = httpx.ASGITransport(application)
            async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as http:
                done, beating, dead = [await _handed(http, name) for name in ("a", "b", "c")]
                await _upload(http, done, film)
                real = time.time
                monkeypatch.setattr(time, "time", lambda: real() + step)

                while True:
                    beat = await http.post("/extension/beat", json=_held(beating))
                    assert beat.status_code == 200, "a live lease was lost"
                    shown = (await http.get(f"/jobs/{dead['job_id']}")).json()
                    if shown["attempts"]:
                        break
                    await asyncio.sleep(0.05)
                assert await parts.runner.prune_films() == 0

                film_again = await http.get(f"/videos/{done['job_id']}.mp4")
                assert film_again.content == film
                assert shown["attempts"][0]["outcome"] == "lost"

    run(scene())


@pytest.mark.faults
@pytest.mark.skipif(os.name != "posix", reason="there is no SIGSTOP")
def test_a_stopped_process_gives_every_lease_grace_when_it_goes_on(tmp_path: Path) -> None:
    with (
        BrokerProcess(tmp_path, sweep_seconds=0.2, **LEASE) as broker,
        broker.client() as client,
        ScriptedWorker(broker) as worker,
    ):
        client.post("/v1/videos/generations", json={"prompt": "a cat"})
        job = worker.take()
        assert worker.beat(job).status_code == 200

        os.kill(broker.pid, signal.SIGSTOP)
        # The pause itself is what is tested: longer than the lease, as when a lid is closed.
        threading.Event().wait(3 * LEASE["video_lease_seconds"])
        os.kill(broker.pid, signal.SIGCONT)
        worker.poll(wait=0)

        assert worker.beat(job).status_code == 200, "the lease was lost to the pause"
        while client.get(f"/jobs/{job['job_id']}").json()["status"] == "processing":
            worker.poll("chat", wait=0.2)
        (attempt,) = client.get(f"/jobs/{job['job_id']}").json()["attempts"]
        assert attempt["outcome"] == "lost"


async def _handed(http: httpx.AsyncClient, name: str) -> dict[str, str]:
    await http.post("/v1/videos/generations", json={"prompt": name})
    headers = {"X-Worker-Id": name}
    answer = await http.get("/extension/poll?mode=video&wait=0", headers=headers)
    job: dict[str, str] = answer.json()
    assert (await http.post("/extension/beat", json=_held(job))).status_code == 200
    return job


async def _upload(http: httpx.AsyncClient, job: dict[str, str], film: bytes) -> None:
    headers = {"Content-Type": "video/mp4", "X-Lease-Token": job["lease_token"]}
    path = f"/extension/result/{job['job_id']}"
    assert (await http.put(path, content=film, headers=headers)).status_code == 200


def _held(job: dict[str, str]) -> dict[str, str]:
    return {"job_id": job["job_id"], "lease_token": job["lease_token"]}
