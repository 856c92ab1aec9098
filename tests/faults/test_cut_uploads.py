"""A worker vanishes in its upload: nothing half is left, what came whole is kept, and sending it again is right."""

import os
import time
from collections.abc import Iterator
from typing import Any

import pytest

from tests.support.server import BrokerProcess
from tests.support.wire import Line, head
from tests.support.worker import ScriptedWorker

#: What players skip, so that the film takes many pieces to come.
PADDING_BYTES = 3_000_000


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[BrokerProcess]:
    with BrokerProcess(tmp_path_factory.mktemp("broker")) as broker:
        yield broker


@pytest.fixture
def worker(broker: BrokerProcess) -> Iterator[ScriptedWorker]:
    with ScriptedWorker(broker) as worker:
        yield worker


@pytest.mark.faults
@pytest.mark.parametrize("ending", ["end", "reset"])
@pytest.mark.parametrize("percent", [0, 1, 50, 99])
def test_an_upload_that_breaks_off_leaves_nothing_and_can_be_sent_again(
    broker: BrokerProcess, worker: ScriptedWorker, film: bytes, percent: int, ending: str
) -> None:
    job = _taken(broker, worker)
    whole = _film_of(job, film)

    _cut_off(broker, job, whole, len(whole) * percent // 100, ending)

    assert _is_swept(broker, within=1.0)
    assert _shown(broker, job)["status"] == "processing"
    again = worker.upload(job, whole)
    assert (again.status_code, again.json()["outcome"]) == (200, "published")
    assert _kept(broker, job) == whole


@pytest.mark.faults
@pytest.mark.parametrize("ending", ["end", "reset"])
def test_a_film_that_was_sent_whole_is_there_once_whether_or_not_its_worker_heard_the_answer(
    broker: BrokerProcess, worker: ScriptedWorker, film: bytes, ending: str
) -> None:
    job = _taken(broker, worker)
    whole = _film_of(job, film)

    _cut_off(broker, job, whole, len(whole), ending)

    again = worker.upload(job, whole)
    # What had come when the line was cut is kept; a reset throws away what the broker had not read yet.
    assert again.status_code == 200
    assert again.json()["outcome"] in ("repeated", "published")
    assert _shown(broker, job)["status"] == "completed"
    assert _kept(broker, job) == whole
    assert _is_swept(broker, within=1.0)


def _taken(broker: BrokerProcess, worker: ScriptedWorker) -> dict[str, Any]:
    with broker.client() as client:
        client.post("/v1/videos/generations", json={"prompt": "a cat"})
    job = worker.take()
    assert worker.beat(job, phase="uploading").status_code == 200
    return job


def _cut_off(
    broker: BrokerProcess, job: dict[str, Any], whole: bytes, size: int, ending: str
) -> None:
    with Line(broker.port) as line:
        line.says(
            head(
                "PUT",
                f"/extension/result/{job['job_id']}",
                content_type="video/mp4",
                content_length=len(whole),
                x_lease_token=job["lease_token"],
            ),
            whole[:size],
        )
        if ending == "reset":
            line.breaks()


def _film_of(job: dict[str, Any], film: bytes) -> bytes:
    """One that no other job has left."""
    padding = job["job_id"].encode() + bytes(PADDING_BYTES)
    return film + (len(padding) + 8).to_bytes(4, "big") + b"free" + padding


def _kept(broker: BrokerProcess, job: dict[str, Any]) -> bytes:
    return (broker.folder / "videos" / f"{job['job_id']}.mp4").read_bytes()


def _shown(broker: BrokerProcess, job: dict[str, Any]) -> dict[str, Any]:
    with broker.client() as client:
        shown: dict[str, Any] = client.get(f"/jobs/{job['job_id']}").json()
    return shown


def _is_swept(broker: BrokerProcess, within: float) -> bool:
    until = time.monotonic() + within
    while left := os.listdir(broker.folder / "videos" / ".incoming"):
        if time.monotonic() > until:
            return False
    return not left
