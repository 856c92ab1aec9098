"""Copies are made of a broker in use, hold all that it had acknowledged, and a broker starts on them."""

import asyncio
import base64
import os
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import httpx
import pytest

from broker.app import Application
from broker.cli.main import main
from broker.config import Settings
from broker.errors import DatabaseDamaged
from tests.support.commands import command
from tests.support.pictures import png
from tests.support.running import run
from tests.support.server import BrokerProcess
from tests.support.worker import ScriptedWorker

EXIT_REFUSED, EXIT_DAMAGED, EXIT_RUNNING = 1, 3, 4
WRITERS = 4


def create(client: httpx.Client, prompt: str = "a cat", **fields: Any) -> str:
    answer = client.post("/v1/videos/generations", json={"prompt": prompt, **fields})
    assert answer.status_code == 200, answer.text
    return str(answer.json()["id"])


def ids_in(copy: Path) -> set[str]:
    with closing(sqlite3.connect(copy)) as db:
        assert db.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        return {job_id for (job_id,) in db.execute("SELECT id FROM jobs")}


def content(folder: Path) -> dict[str, bytes]:
    """Every file but who holds the database, which each command writes."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and path.suffix not in (".lock", ".holder")
    }


# In use.


@pytest.mark.parametrize("copies", [3, pytest.param(50, marks=pytest.mark.nightly)])
def test_a_copy_of_a_broker_in_use_has_all_that_was_acknowledged_before(
    tmp_path: Path, copies: int
) -> None:
    with BrokerProcess(tmp_path) as broker:
        run(_copied_in_use(broker, copies), 60.0 + 10.0 * copies)

    assert len(list((tmp_path / "backups").iterdir())) == copies


async def _copied_in_use(broker: BrokerProcess, copies: int) -> None:
    acknowledged: set[str] = set()
    async with httpx.AsyncClient(base_url=broker.url, trust_env=False) as http:
        writing = [asyncio.create_task(_write(http, acknowledged)) for _ in range(WRITERS)]
        for number in range(copies):
            before = set(acknowledged)
            target = broker.folder / "backups" / f"{number}.db"
            target.parent.mkdir(exist_ok=True)
            made = await asyncio.to_thread(command, broker.folder, "backup", target)
            assert made.returncode == 0, made.stderr
            assert len(acknowledged) > len(before), "nothing was written meanwhile"
            copied = await asyncio.to_thread(ids_in, target)
            assert before <= copied
            assert f", {len(copied)} jobs, the newest of 20" in made.stdout
        for task in writing:
            task.cancel()
        await asyncio.gather(*writing, return_exceptions=True)


async def _write(http: httpx.AsyncClient, acknowledged: set[str]) -> None:
    while True:
        answer = await http.post("/v1/videos/generations", json={"prompt": "a cat"})
        assert answer.status_code == 200
        acknowledged.add(answer.json()["id"])


@pytest.mark.skipif(os.name != "posix", reason="modes are a POSIX matter")
def test_a_copy_is_its_owners_alone_wherever_it_is_put(tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    with BrokerProcess(tmp_path) as broker, broker.client() as client:
        create(client)
        assert command(tmp_path, "backup").returncode == 0
        assert command(tmp_path, "backup", elsewhere).returncode == 0
        assert command(tmp_path, "backup", "copy.db").returncode == 0

    made = [*(tmp_path / "backups").iterdir(), *elsewhere.iterdir(), tmp_path / "copy.db"]
    assert len(made) == 3
    assert {path.stat().st_mode & 0o777 for path in made} == {0o600}
    assert (tmp_path / "backups").stat().st_mode & 0o777 == 0o700


def test_a_copy_holds_no_secret(tmp_path: Path) -> None:
    with BrokerProcess(tmp_path, webhook_allow_private=1) as broker, broker.client() as client:
        create(client, webhook_url="http://127.0.0.1:9/hook")
        with ScriptedWorker(broker) as worker:
            token = worker.take()["lease_token"]
        secret = (tmp_path / "jobs.db.webhook-secret").read_text().strip()
        assert command(tmp_path, "backup", "copy.db").returncode == 0
        copy = (tmp_path / "copy.db").read_bytes()

    assert b"a cat" in copy
    for planted in (token, secret, secret.removeprefix("whsec_")):
        assert planted.encode() not in copy


# What a copy is never written over, and never made of.


@pytest.fixture(scope="module")
def one_job(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a broker that is stopped and has one job."""
    folder = tmp_path_factory.mktemp("stopped")
    with BrokerProcess(folder) as broker, broker.client() as client:
        create(client)
    return folder


@pytest.fixture
def stopped(one_job: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder like that, to work in."""
    folder = shutil.copytree(one_job, tmp_path / "broker")
    monkeypatch.chdir(folder)
    return folder


def test_a_copy_takes_the_place_of_a_copy_and_of_nothing_else(stopped: Path) -> None:
    (stopped / "diary.txt").write_text("Dear diary")
    (stopped / "link.db").symlink_to("jobs.db")
    assert main(["backup", "copy.db"]) == 0
    before = content(stopped)

    refused = [main(["backup", name]) for name in ("diary.txt", "jobs.db", "link.db", "no/copy.db")]

    assert refused == [EXIT_REFUSED] * 4
    left = {name: data for name, data in content(stopped).items() if data or name in before}
    assert {name: left[name] for name in before} == before
    assert main(["backup", "copy.db"]) == 0


def overwrite_page(path: Path, table: str, data: bytes | None = None) -> bytes:
    """Puts something else in the place of a table's first page: what was there."""
    with closing(sqlite3.connect(path)) as db:
        where = "SELECT rootpage FROM sqlite_schema WHERE name = ?"
        (page,) = db.execute(where, (table,)).fetchone()
        (size,) = db.execute("PRAGMA page_size").fetchone()
    with path.open("r+b") as file:
        file.seek((page - 1) * size)
        earlier = file.read(size)
        file.seek((page - 1) * size)
        file.write(data or b"\xa5" * size)
    return earlier


def with_copies(folder: Path, count: int) -> list[str]:
    """Their names, oldest first."""
    (folder / "backups").mkdir()
    names = [f"jobs-2026-01-{day:02}.db" for day in range(1, count + 1)]
    for name in names:
        shutil.copy(folder / "jobs.db", folder / "backups" / name)
    return names


def copies_in(folder: Path) -> list[str]:
    return sorted(path.name for path in (folder / "backups").iterdir())


def test_no_copy_is_made_of_a_damaged_database(
    stopped: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    names = with_copies(stopped, 2)
    overwrite_page(stopped / "jobs.db", "payloads")

    assert main(["backup"]) == EXIT_DAMAGED
    assert "is damaged" in capsys.readouterr().err
    assert copies_in(stopped) == names


def test_the_daily_copy_of_a_damaged_database_costs_no_older_one(stopped: Path) -> None:
    names = with_copies(stopped, 8)

    async def scene() -> None:
        async with Application(Settings(keep_backups=3)).running() as parts:
            good = await asyncio.to_thread(overwrite_page, stopped / "jobs.db", "attempts")
            with pytest.raises((DatabaseDamaged, sqlite3.DatabaseError)):
                await parts.runner.back_up()
            assert copies_in(stopped) == names

            await asyncio.to_thread(overwrite_page, stopped / "jobs.db", "attempts", good)
            await parts.runner.back_up()
            assert copies_in(stopped)[:-1] == names[-2:]

    run(scene())


@pytest.mark.skipif(os.name != "posix", reason="modes are a POSIX matter")
def test_the_doctor_looks_at_the_database_and_at_its_copies(
    stopped: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("SERVER_PORT", "1")

    def says() -> str:
        main(["doctor"])
        return capsys.readouterr().out

    assert "good   BACKUP_PATH: no copy in backups yet: python -m broker backup" in says()
    with_copies(stopped, 2)
    assert "good   BACKUP_PATH: 2 in backups, the newest jobs-2026-01-02.db" in says()
    assert "good   database: jobs.db is whole" in says()
    (stopped / "jobs.db").chmod(0o640)
    assert "wrong  database: others than its owner may use jobs.db (mode 640)" in says()
    overwrite_page(stopped / "jobs.db", "payloads")
    assert "`python -m broker restore`" in says()


# Restoring.


def test_a_running_brokers_database_is_not_restored(tmp_path: Path) -> None:
    with BrokerProcess(tmp_path) as broker, broker.client() as client:
        job_id = create(client)
        assert command(tmp_path, "backup", "copy.db").returncode == 0
        refused = command(tmp_path, "restore", "copy.db")

        assert refused.returncode == EXIT_RUNNING
        assert f"process {broker.pid}" in refused.stderr
        assert client.get(f"/jobs/{job_id}").status_code == 200
    assert not list(tmp_path.glob("jobs.db.aside*"))


@pytest.fixture(scope="module")
def lived(tmp_path_factory: pytest.TempPathFactory, base_film: bytes) -> dict[str, Any]:
    """A broker that has been copied in the middle of its work, and went on: its folder, its copy and its jobs."""
    folder = tmp_path_factory.mktemp("lived")
    names = ["kept", "lost", "held", "waiting", "since"]
    with (
        BrokerProcess(folder) as broker,
        broker.client() as client,
        ScriptedWorker(broker) as worker,
    ):
        jobs = {}
        for number, name in enumerate(names[:3]):
            jobs[name] = create(client, name)
            job = worker.take()
            if name == "held":
                assert worker.beat(job, phase="submitted", progress=5).status_code == 200
            else:
                assert worker.upload(job, own_film(base_film, number)).status_code == 200
        image = f"data:image/png;base64,{base64.b64encode(png(3, 3)).decode()}"
        jobs["waiting"] = create(client, "waiting", image=image)
        assert command(folder, "backup", "copy.db").returncode == 0
        assert worker.upload(job, own_film(base_film, 7)).status_code == 200
        worker.take()
        jobs["since"] = create(client, "since")
        job = worker.take()
        assert worker.upload(job, own_film(base_film, 8)).status_code == 200
    return {"folder": folder, **jobs}


def own_film(base: bytes, number: int) -> bytes:
    return base + (9).to_bytes(4, "big") + b"free" + bytes([number])


def test_a_copy_serves_in_a_new_folder_and_what_is_missing_is_gone(
    tmp_path: Path, lived: dict[str, Any]
) -> None:
    folder = lived["folder"]
    shutil.copytree(folder / "videos", tmp_path / "videos")
    (tmp_path / "videos" / f"{lived['lost']}.mp4").unlink()
    shutil.rmtree(tmp_path / "videos" / ".inputs")
    films = sorted((tmp_path / "videos").glob("*.mp4"))

    restored = command(tmp_path, "restore", folder / "copy.db")

    assert restored.returncode == 0, restored.stderr
    for line in (
        "4 jobs, the newest of",
        f"Pending in the copy: 1 job ({lived['waiting']}).",
        f"Processing in the copy: 1 job ({lived['held']}).",
        "Missing in videos: 1 films or sets of images. They are answered 410 (gone).",
        "Missing in videos/.inputs: 1 images",
        "In videos for open jobs: 1 films",
        "In videos without a row in the copy: 1 films",
    ):
        assert line in restored.stdout
    with BrokerProcess(tmp_path) as broker, broker.client() as client:
        states = {name: client.get(f"/jobs/{lived[name]}") for name in lived if name != "folder"}
        found = {
            name: answer.json()["status"] if answer.status_code == 200 else answer.status_code
            for name, answer in states.items()
        }
        assert found == {
            "kept": "completed",
            "lost": "completed",
            # Its film came after the copy was made, and lay there.
            "held": "completed",
            "waiting": "pending",
            "since": 404,
        }
        served = {
            name: client.get(f"/videos/{lived[name]}.mp4").status_code
            for name in ("kept", "held", "lost")
        }
        assert served == {"kept": 200, "held": 200, "lost": 410}
        client.delete(f"/jobs/{lived['waiting']}")
        with ScriptedWorker(broker) as worker:
            created = create(client)
            assert worker.take()["job_id"] == created
    assert sorted((tmp_path / "videos").glob("*.mp4")) == films


def test_a_dry_run_says_the_same_and_changes_nothing(
    tmp_path: Path,
    lived: dict[str, Any],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    shutil.copytree(lived["folder"], tmp_path / "broker")
    monkeypatch.chdir(tmp_path / "broker")
    before = content(tmp_path)

    assert main(["restore", "copy.db", "--dry-run"]) == 0
    dry = capsys.readouterr().out
    assert content(tmp_path) == before
    assert main(["restore", "copy.db"]) == 0
    done = capsys.readouterr().out

    assert "Nothing has been changed." in dry
    assert dry.splitlines()[2:] == done.splitlines()[3:]
    assert len(dry.splitlines()) > 3
    assert content(tmp_path)["broker/jobs.db"] != before["broker/jobs.db"]


def test_the_newest_good_copy_is_taken_and_nothing_is_ever_deleted(
    stopped: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["restore"]) == EXIT_REFUSED
    assert "no good copy in backups" in capsys.readouterr().err
    names = with_copies(stopped, 3)
    for name in names:
        os.utime(stopped / "backups" / name, (0, 0))
    # The oldest, copied last: the day in its name counts.
    os.utime(stopped / "backups" / names[0])
    overwrite_page(stopped / "backups" / names[2], "payloads")
    first, second = (stopped / "jobs.db").read_bytes(), b""

    for _ in range(2):
        assert main(["restore"]) == 0
        told = capsys.readouterr()
        assert f"Passed over: backups/{names[2]} is damaged" in told.err
        assert f"Copy: backups/{names[1]}: " in told.out
        second = second or (stopped / "jobs.db").read_bytes()

    aside = [path.read_bytes() for path in stopped.glob("jobs.db.aside-*Z*") if path.stat().st_size]
    assert first in aside
    assert second in aside
    assert copies_in(stopped) == names


@pytest.mark.parametrize("name", ["missing.db", "diary.txt", "newer.db"])
def test_what_is_no_copy_for_this_broker_is_not_restored(stopped: Path, name: str) -> None:
    (stopped / "diary.txt").write_text("Dear diary, " * 999)
    shutil.copy("jobs.db", "newer.db")
    with closing(sqlite3.connect("newer.db")) as db:
        db.execute("PRAGMA user_version = 99")
    before = content(stopped)

    assert main(["restore", name]) == {"missing.db": 1, "diary.txt": 3, "newer.db": 6}[name]

    assert content(stopped) == before
