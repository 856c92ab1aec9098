"""A disk that is really full: work is refused by name, reading goes on, and room is all it takes to go on."""

import os
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from tests.support.server import BrokerProcess
from tests.support.worker import ScriptedWorker

MIB = 1024 * 1024
RECOVERY_SECONDS = 10.0
WATCHED = {"sweep_seconds": 0.2, "first_beat_seconds": 60}


@contextmanager
def disk_of(mib: int, folder: Path) -> Iterator[Path]:
    """A disk of its own with so much room."""
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", f"size={mib}m", "tmpfs", str(folder)]
    mounted = subprocess.run(command, capture_output=True, text=True)
    if mounted.returncode != 0:
        pytest.fail(f"A small disk cannot be mounted here: {mounted.stderr.strip()}")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


def fill(disk: Path, leave_mib: float = 0) -> Path:
    """A file that takes all the room but this much."""
    filler = disk / "filler"
    with filler.open("wb", buffering=0) as file:
        try:
            while True:
                file.write(bytes(MIB // 4))
        except OSError:
            pass
    os.truncate(filler, max(0, filler.stat().st_size - int(leave_mib * MIB)))
    return filler


def recovered(create: Callable[[], httpx.Response]) -> float:
    """After how long a job is taken again."""
    began = time.monotonic()
    while create().status_code != 200:
        assert time.monotonic() - began < RECOVERY_SECONDS
    return time.monotonic() - began


pytestmark = [pytest.mark.faults, pytest.mark.nightly, pytest.mark.usefixtures("root")]


@pytest.mark.parametrize("reserve_mib", [16, 0], ids=["with a reserve", "to the last byte"])
def test_a_full_disk_is_told_read_from_and_recovered_from_without_a_restart(
    tmp_path: Path, film: bytes, reserve_mib: int
) -> None:
    with (
        disk_of(64, tmp_path / "disk") as disk,
        BrokerProcess(disk, min_free_disk_mib=reserve_mib, **WATCHED) as broker,
        broker.client() as client,
        ScriptedWorker(broker) as worker,
    ):
        body = {"prompt": "a cat"}
        done = client.post("/v1/videos/generations", json=body).json()["id"]
        worker.upload(worker.take(), film)
        client.post("/v1/videos/generations", json=body)
        held = worker.take()
        client.post("/v1/videos/generations", json=body)

        filler = fill(disk, leave_mib=reserve_mib / 2)
        refused = _refused(client, body)
        upload = worker.upload(held, film)
        polled = worker.http.get("/extension/poll?mode=video&wait=0")

        assert refused.json()["error"]["code"] == "disk_full"
        assert int(refused.headers["retry-after"]) > 0
        assert upload.status_code == 507
        assert polled.status_code in (204, 507)
        assert os.listdir(disk / "videos" / ".incoming") == []
        assert client.get(f"/videos/{done}.mp4").content == film
        assert client.get("/jobs").status_code == 200
        assert client.get("/health").status_code == 200

        filler.unlink()
        took = recovered(lambda: client.post("/v1/videos/generations", json=body))
        again = worker.upload(held, film + b"\0\0\0\x0cfreefull")
        assert (again.status_code, again.json()["outcome"]) == (200, "published")
        assert worker.take()
    print(f"recovered after {took:.1f} s")


def test_films_that_do_not_fit_are_refused_whole_and_smaller_ones_taken(
    tmp_path: Path, film: bytes
) -> None:
    large = film + (20 * MIB + 8).to_bytes(4, "big") + b"free" + bytes(20 * MIB)
    with (
        disk_of(8, tmp_path / "films") as disk,
        BrokerProcess(tmp_path, video_storage_path=disk, **WATCHED) as broker,
        broker.client() as client,
        ScriptedWorker(broker) as worker,
    ):
        client.post("/v1/videos/generations", json={"prompt": "a cat"})
        job = worker.take()

        refused = worker.upload(job, large)

        assert (refused.status_code, refused.json()["error"]["code"]) == (507, "disk_full")
        assert [each.name for each in disk.rglob("*") if each.is_file()] == []
        assert worker.upload(job, film).status_code == 200


def test_logs_that_cannot_be_written_fail_nothing(tmp_path: Path, film: bytes) -> None:
    with (
        disk_of(8, tmp_path / "small") as disk,
        BrokerProcess(tmp_path, log_path=disk / "logs", **WATCHED) as broker,
        broker.client() as client,
        ScriptedWorker(broker) as worker,
    ):
        filler = fill(disk)
        for number in range(300):
            created = client.post("/v1/videos/generations", json={"prompt": f"prompt {number}."})
            assert created.status_code == 200
        assert worker.upload(worker.take(), film).status_code == 200
        written = sum(log.stat().st_size for log in (disk / "logs").iterdir())

        filler.unlink()
        client.post("/v1/videos/generations", json={"prompt": "room again"})
        until = time.monotonic() + RECOVERY_SECONDS
        while "room again" not in _logged(disk) and time.monotonic() < until:
            pass
        logged = _logged(disk)

    # What could not be written waited in memory, and came when there was room.
    assert written < 10_000
    missing = [number for number in range(300) if f"prompt {number}." not in logged]
    assert missing == []
    assert "room again" in logged


def _logged(disk: Path) -> str:
    return "".join(log.read_text() for log in (disk / "logs").glob("requests_*"))


def _refused(client: httpx.Client, body: dict[str, str]) -> httpx.Response:
    """The first refusal; the broker looks at the disk once in a while, or learns of it by a write."""
    until = time.monotonic() + RECOVERY_SECONDS
    while (answer := client.post("/v1/videos/generations", json=body)).status_code == 200:
        assert time.monotonic() < until
    assert answer.status_code == 507
    return answer
