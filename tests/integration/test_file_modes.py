"""Whatever a broker makes is its owner's alone, however generous the umask that it was started with."""

import base64
import os
import re
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from broker.store.sqlite import connection
from tests.support.commands import command
from tests.support.meanwhile import meanwhile
from tests.support.pictures import png
from tests.support.server import BrokerProcess
from tests.support.worker import ScriptedWorker

pytestmark = pytest.mark.skipif(os.name != "posix", reason="modes are a POSIX matter")

FOLDERS = {
    "db_path": "data/jobs.db",
    "video_storage_path": "videos",
    "log_path": "logs",
    "backup_path": "backups",
}
#: All that is made while a broker runs. A file that fits nowhere fails the test, as does a line without a file.
RUNNING = [
    "data",
    r"data/jobs\.db",
    r"data/jobs\.db-wal",
    r"data/jobs\.db-shm",
    r"data/jobs\.db\.lock",
    r"data/jobs\.db\.holder",
    r"data/jobs\.db\.webhook-secret",
    r"data/jobs\.db\.key-secret",
    "videos",
    r"videos/\.incoming",
    r"videos/\.inputs",
    r"videos/\.inputs/\S+",
    r"videos/job_\w+\.mp4",
    r"videos/job_\w+\.late\.mp4",
    r"videos/job_\w+\.thumbnail\.webp",
    r"videos/job_\w+\.spritesheet\.webp",
    r"videos/job_\w+\.images",
    r"videos/job_\w+\.images/\d\.png",
    "logs",
    r"logs/broker_[\d-]+\.jsonl",
    r"logs/requests_[\d-]+\.jsonl",
    "backups",
    r"backups/jobs-[\dTZ-]+\.db",
]
#: Of these, what a stop takes away, and what a restore adds.
OF_THE_RUN = [line for line in RUNNING if line.endswith(("-wal", "-shm", "holder"))]
RESTORED = [r"data/jobs\.db\.aside-[\dTZ-]+"]


@pytest.fixture(autouse=True)
def umask() -> Iterator[None]:
    """What is started here keeps nothing from anybody by itself."""
    earlier = os.umask(0)
    yield
    os.umask(earlier)


def check(folder: Path, expected: list[str]) -> None:
    made = [path for path in folder.rglob("*") if path != folder]
    assert [
        f"{path.relative_to(folder)} {path.stat().st_mode & 0o777:o}"
        for path in made
        if path.stat().st_mode & 0o777 != (0o700 if path.is_dir() else 0o600)
    ] == []
    names = {str(path.relative_to(folder)) for path in made}
    fitting = {line: {name for name in names if re.fullmatch(line, name)} for line in expected}
    assert [line for line, fit in fitting.items() if not fit] == []
    assert names - set().union(*fitting.values()) == set()


def test_what_a_running_broker_makes_is_its_owners_alone(tmp_path: Path, base_film: bytes) -> None:
    with (
        BrokerProcess(tmp_path, **FOLDERS) as broker,
        broker.client() as client,
        ScriptedWorker(broker) as worker,
    ):
        _make_films(client, worker, base_film)
        _make_images(client, worker)
        assert command(tmp_path, "backup", **FOLDERS).returncode == 0
        # Its logs are written by the end of a run.
        broker.stop()
        broker.start()
        check(tmp_path, RUNNING)
    assert command(tmp_path, "restore", **FOLDERS).returncode == 0

    check(tmp_path, [line for line in [*RUNNING, *RESTORED] if line not in OF_THE_RUN])


def _make_films(client: httpx.Client, worker: ScriptedWorker, film: bytes) -> None:
    """One that is published and one that comes late, with their inputs; the stills of the first."""
    image = f"data:image/png;base64,{base64.b64encode(png(3, 3)).decode()}"
    for name in ("published", "late"):
        body = {"prompt": name, "image": image}
        assert client.post("/v1/videos/generations", json=body).status_code == 200
    first, second = worker.take(), worker.take()
    assert client.delete(f"/jobs/{second['job_id']}").json()["outcome"] == "cancelled"
    assert worker.upload(first, film).status_code == 200
    assert worker.upload(second, film + b"\0\0\0\x09free!").status_code == 202
    for variant in ("thumbnail", "spritesheet"):
        place = f"/v1/videos/{first['job_id']}/content"
        assert client.get(place, params={"variant": variant}).status_code == 200


def _make_images(client: httpx.Client, worker: ScriptedWorker) -> None:
    def draw(worker: ScriptedWorker) -> None:
        job = worker.take("image")
        assert worker.upload_images(job, png(5, 4), png(6, 4)).status_code == 200

    with meanwhile(draw, worker):
        body = {"prompt": "a cat", "n": 2}
        assert client.post("/v1/images/generations", json=body).status_code == 200


def test_the_copy_before_a_migration_is_its_owners_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps = connection._migrations()
    with monkeypatch.context() as earlier:
        earlier.setattr(connection, "_migrations", lambda: steps[:1])
        connection.open_writer(tmp_path / "jobs.db").close()

    connection.open_writer(tmp_path / "jobs.db").close()

    check(tmp_path, [r"jobs\.db", r"jobs\.db\.before-0002"])
