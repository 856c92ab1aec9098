"""The disk fails at the k-th write or sync: the call is an error, and a repeat settles what became of it."""

import shutil
import sqlite3
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from statistics import median
from typing import Any

import httpx
import pytest

from tests.support.server import BrokerProcess
from tests.support.traced import TracedBroker, failing, slow
from tests.support.worker import ScriptedWorker

EXIT_DISK = 5
#: SQLite does not mind when the folder of its new log cannot be synced: that is the second sync.
FORGIVEN = 2
#: More jobs than the last of these calls needs.
JOBS = 25
#: A job whose hand-out was lost with the broker is offered again soon.
BRISK = {"first_beat_seconds": 2, "sweep_seconds": 0.1, "beat_seconds": 2, "video_lease_seconds": 4}


class Shift:
    """One client and one worker, who do job after job until the broker fails, and go on after its restart."""

    def __init__(self, film: bytes) -> None:
        self._film = film
        #: The first is the one that the used folder has.
        self.done: set[int] = {0}
        self.failed: httpx.Response | None = None
        self._held: dict[str, Any] | None = None
        self._is_submitted = False

    def work(self, broker: BrokerProcess, jobs: int) -> None:
        """Until so many are done, or a call fails."""
        with broker.client() as client, ScriptedWorker(broker) as worker:
            for number in range(jobs):
                if number not in self.done and not self._one(client, worker, number):
                    return

    def _one(self, client: httpx.Client, worker: ScriptedWorker, number: int) -> bool:
        """One job, or the rest of it: a call that failed is repeated as it was."""
        body, key = {"prompt": f"job {number}"}, {"Idempotency-Key": f"key-{number}"}
        if not self._ok(client.post("/v1/videos/generations", json=body, headers=key)):
            return False
        if self._held is None:
            polled = worker.http.get("/extension/poll?mode=video&wait=10")
            if not self._ok(polled):
                return False
            self._held = polled.json()
        job = self._held
        if not self._is_submitted:
            if not self._ok(worker.beat(job, phase="submitted", evidence={"post_id": "p"})):
                return False
            self._is_submitted = True
        if not self._ok(worker.upload(job, self._film_of(number))):
            return False
        self.done.add(number)
        self._held, self._is_submitted = None, False
        return True

    def _ok(self, answer: httpx.Response) -> bool:
        if answer.status_code == 200:
            return True
        self.failed = answer
        return False

    def _film_of(self, number: int) -> bytes:
        own = f"film {number}".encode()
        return self._film + (len(own) + 8).to_bytes(4, "big") + b"free" + own


@pytest.fixture(scope="module")
def used(tmp_path_factory: pytest.TempPathFactory, film: bytes) -> Path:
    """The folder of a broker that has run."""
    folder = tmp_path_factory.mktemp("used")
    with BrokerProcess(folder) as broker:
        shift = Shift(film)
        shift.done.clear()
        shift.work(broker, 1)
    return folder


@pytest.fixture
def folder(tmp_path: Path, used: Path) -> Path:
    return Path(shutil.copytree(used, tmp_path / "broker"))


@pytest.mark.faults
@pytest.mark.nightly
@pytest.mark.usefixtures("strace")
@pytest.mark.parametrize("number", range(1, 61))
def test_a_failed_sync_stops_the_broker_and_a_repeat_settles_what_was_unknown(
    folder: Path, film: bytes, number: int
) -> None:
    shift = Shift(film)
    with TracedBroker(folder, *failing("fdatasync", "EIO", number), **BRISK) as broker:
        shift.work(broker, JOBS)
        if number == FORGIVEN:
            assert shift.failed is None
        else:
            _assert_stops(broker, shift, "SQLITE_IOERR_FSYNC")

    _assert_settled(folder, shift)


@pytest.mark.faults
@pytest.mark.nightly
@pytest.mark.usefixtures("strace")
@pytest.mark.parametrize("number", range(20, 80, 7))
def test_a_failed_write_stops_the_broker_and_a_repeat_settles_what_was_unknown(
    folder: Path, film: bytes, number: int
) -> None:
    shift = Shift(film)
    with TracedBroker(folder, *failing("pwrite64", "EIO", number), **BRISK) as broker:
        shift.work(broker, JOBS)
        _assert_stops(broker, shift, "SQLITE_IOERR_WRITE")

    _assert_settled(folder, shift)


@pytest.mark.faults
@pytest.mark.nightly
@pytest.mark.usefixtures("strace")
@pytest.mark.parametrize("number", range(20, 80, 7))
def test_a_write_without_room_is_507_and_the_broker_goes_on(
    folder: Path, film: bytes, number: int
) -> None:
    shift = Shift(film)
    with TracedBroker(folder, *failing("pwrite64", "ENOSPC", number), **BRISK) as broker:
        shift.work(broker, JOBS)
        assert shift.failed is not None
        assert (shift.failed.status_code, shift.failed.json()["error"]["code"]) == (
            507,
            "disk_full",
        )
        shift.work(broker, JOBS)

    _assert_settled(folder, shift)


@pytest.mark.faults
@pytest.mark.nightly
@pytest.mark.usefixtures("strace")
@pytest.mark.parametrize("number", [1, 2, 3])
def test_a_film_that_cannot_be_synced_is_refused_and_taken_when_it_is_sent_again(
    folder: Path, film: bytes, number: int
) -> None:
    shift = Shift(film)
    with TracedBroker(folder, *failing("fsync", "EIO", number), **BRISK) as broker:
        shift.work(broker, JOBS)
        assert shift.failed is not None
        assert (shift.failed.status_code, shift.failed.request.method) == (503, "PUT")
        assert list((folder / "videos" / ".incoming").iterdir()) == []
        shift.work(broker, JOBS)

    _assert_settled(folder, shift)


@pytest.mark.faults
@pytest.mark.nightly
@pytest.mark.usefixtures("strace")
def test_a_slow_disk_holds_up_what_waits_for_it_and_nothing_else(folder: Path) -> None:
    with TracedBroker(folder, *slow("fdatasync", 200)) as broker, broker.client() as client:
        creates, healths = [], []
        with ThreadPoolExecutor(1) as pool:
            for _ in range(10):
                creating = pool.submit(_took, client, "POST", "/v1/videos/generations")
                while not creating.done():
                    healths.append(_took(client, "GET", "/health"))
                creates.append(creating.result())

    assert min(creates) >= 0.2
    assert median(creates) <= 0.5
    assert median(healths) <= 0.05
    assert max(healths) <= 0.15


def _took(client: httpx.Client, method: str, path: str) -> float:
    body = {"json": {"prompt": "slow"}} if method == "POST" else {}
    began = time.monotonic()
    assert client.request(method, path, **body).status_code == 200
    return time.monotonic() - began


def _assert_stops(broker: BrokerProcess, shift: Shift, why: str) -> None:
    assert shift.failed is not None
    assert (shift.failed.status_code, shift.failed.json()["error"]["code"]) == (503, "store_failed")
    assert why in shift.failed.text
    assert broker.wait(5) == EXIT_DISK


def _assert_settled(folder: Path, shift: Shift) -> None:
    """On a sound disk again, what failed is repeated: in the end each job is there once, and done."""
    jobs = max(shift.done) + 2
    with BrokerProcess(folder, **BRISK) as broker, broker.client() as client:
        shift.work(broker, jobs)
        shown = client.get("/jobs", params={"limit": 100}).json()["data"]

    assert shift.done >= set(range(jobs))
    prompts = Counter(job["prompt_preview"] for job in shown)
    assert prompts == Counter(f"job {number}" for number in range(max(shift.done) + 1))
    assert {job["status"] for job in shown} == {"completed"}
    with closing(sqlite3.connect(folder / "jobs.db")) as db:
        assert db.execute("PRAGMA integrity_check").fetchone() == ("ok",)
