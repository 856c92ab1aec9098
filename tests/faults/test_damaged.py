"""A database that is not as a broker left it: the start says so, touches nothing, and names the way out."""

import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from itertools import count
from pathlib import Path

import pytest

from broker.cli.main import main
from broker.errors import DatabaseDamaged
from broker.store.sqlite import inspection
from broker.store.sqlite.connection import newest_schema, open_writer
from broker.store.sqlite.inspection import find_problem, inspect, start_seconds
from tests.support.killed import dies_at
from tests.support.server import BrokerProcess

EXIT_DAMAGED = 3
PAGE = 4096
JOBS_COPIED, JOBS_SINCE = 20, 20
COPY = Path("backups/jobs-2026-11-20.db")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two folders with the same jobs: of a broker that was stopped, and of one that was killed; each with a copy."""
    folder = tmp_path_factory.mktemp("made")
    stopped, killed = folder / "stopped", folder / "killed"
    stopped.mkdir()
    broker = BrokerProcess(stopped)
    broker.start()
    with broker.client() as client:
        for number in range(JOBS_COPIED + JOBS_SINCE):
            if number == JOBS_COPIED:
                _copy(stopped)
            answer = client.post("/v1/videos/generations", json={"prompt": f"job {number}"})
            assert answer.status_code == 200
    # Nobody writes now: what lies there is what a kill would leave.
    shutil.copytree(stopped, killed)
    broker.stop()
    return folder


def _copy(folder: Path) -> None:
    (folder / COPY).parent.mkdir()
    with (
        closing(sqlite3.connect(folder / "jobs.db")) as db,
        closing(sqlite3.connect(folder / COPY)) as copy,
    ):
        db.backup(copy)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path / "broker"


def jobs_in(path: Path) -> int:
    with closing(open_writer(path)) as db:
        return int(db.execute("SELECT count(*) FROM jobs").fetchone()[0])


def overwritten(file: Path, offset: int, data: bytes) -> None:
    with file.open("r+b") as opened:
        opened.seek(offset)
        opened.write(data)


def middle(path: Path) -> None:
    """Half of its pages: of those that stand in the log too, the damage does not count."""
    pages = path.stat().st_size // PAGE
    overwritten(path, pages // 4 * PAGE, b"\xa5" * PAGE * (pages // 2))


def cut(file: Path, left: float) -> None:
    with file.open("r+b") as opened:
        opened.truncate(int(file.stat().st_size * left))


def log_of(path: Path) -> Path:
    return Path(f"{path}-wal")


def zeroed_end(log: Path) -> None:
    """As a disk leaves it that had promised more than it did."""
    size = log.stat().st_size
    overwritten(log, size - PAGE - 24, bytes(PAGE + 24))


def foreign(path: Path) -> None:
    path.unlink()
    with closing(sqlite3.connect(path)) as db:
        db.execute("CREATE TABLE theirs (x)")


def other_id(path: Path) -> None:
    """Bytes 68 to 71 of a database are its application's id."""
    overwritten(path, 68, b"\0\0\0\7")


#: What was done → after which end of the broker, how, and what the one line says of it.
DAMAGE: dict[str, tuple[str, Callable[[Path], object], str]] = {
    "header": ("stopped", lambda path: overwritten(path, 0, b"\xff" * 100), "not a database"),
    "pages in the middle": ("stopped", middle, "is damaged"),
    "pages in the middle after a kill": ("killed", middle, "is damaged"),
    "cut file": ("stopped", lambda path: cut(path, 0.5), "is damaged"),
    "cut file after a kill": ("killed", lambda path: cut(path, 0.5), "is damaged"),
    "cut log": ("killed", lambda path: cut(log_of(path), 0.6), "lacks the end of its log"),
    "log cut to nothing": ("killed", lambda path: cut(log_of(path), 0), "the end of its log"),
    "log without its last frame": ("killed", lambda path: zeroed_end(log_of(path)), "of its log"),
    "log gone": ("killed", lambda path: log_of(path).unlink(), "lacks the end of its log"),
    "gone but for its log": ("killed", Path.unlink, "is gone, but its log is still there"),
    "empty file": ("stopped", lambda path: cut(path, 0), "is empty"),
    "text": ("stopped", lambda path: path.write_bytes(b"Dear diary, " * 999), "not a database"),
    "another program's database": ("stopped", foreign, "another program's"),
    "another application id": ("stopped", other_id, "another program's"),
}


@pytest.mark.faults
@pytest.mark.parametrize("damage", DAMAGE)
def test_a_damaged_database_ends_the_start_with_one_line_and_is_restored_by_one_command(
    made: Path, folder: Path, damage: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    ended, do, told = DAMAGE[damage]
    shutil.copytree(made / ended, folder)
    path = folder / "jobs.db"
    do(path)
    before = {file: file.read_bytes() for file in (path, log_of(path)) if file.exists()}
    broker = BrokerProcess(folder)

    broker.launch()

    assert broker.wait() == EXIT_DAMAGED, broker.output
    line, *rest = broker.output.splitlines()
    assert line.startswith(f"error: DB_PATH: {path} ")
    assert told in line
    assert "`python -m broker restore`" in line
    assert rest == []
    with pytest.raises(DatabaseDamaged):  # The first refusal has not hidden why.
        open_writer(path)
    left = {file: file.read_bytes() for file in (path, log_of(path)) if file.exists()}
    # SQLite may make an empty log to look at a database.
    assert {file: data for file, data in left.items() if data or file in before} == before

    monkeypatch.chdir(folder)
    assert main(["restore"]) == 0
    assert jobs_in(path) == JOBS_COPIED
    aside = {file.read_bytes() for file in folder.glob("jobs.db.aside-*")}
    assert set(before.values()) <= aside


@pytest.mark.faults
def test_a_database_whose_log_was_cut_goes_on_with_what_is_left(
    made: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(made / "killed", folder)
    cut(log_of(folder / "jobs.db"), 0.9)
    monkeypatch.chdir(folder)

    assert main(["restore", "jobs.db"]) == 0

    assert JOBS_COPIED < jobs_in(folder / "jobs.db") < JOBS_COPIED + JOBS_SINCE


@pytest.mark.faults
def test_a_database_is_in_order_after_a_kill_and_so_is_one_that_is_in_use(
    made: Path, folder: Path
) -> None:
    shutil.copytree(made / "killed", folder)
    path = folder / "jobs.db"

    inspect(path, newest_schema())
    with closing(open_writer(path)) as db:
        for number in range(1500):
            db.execute("INSERT OR REPLACE INTO counts VALUES ('a', 'b', 'c', ?)", (number,))
            if number % 100 == 0:
                inspect(path, newest_schema())

    assert jobs_in(path) == JOBS_COPIED + JOBS_SINCE


def test_an_index_that_is_of_another_log_says_nothing_of_this_one(made: Path, folder: Path) -> None:
    """After a power cut it may be any that was written once."""
    shutil.copytree(made / "killed", folder)
    path = folder / "jobs.db"
    index = Path(f"{path}-shm")
    head = bytearray(index.read_bytes()[:48])
    head[32:40] = b"\x55" * 8
    overwritten(index, 0, bytes(head) * 2)
    cut(log_of(path), 0.6)

    inspect(path, newest_schema())


def test_a_start_reads_a_small_database_whole_and_a_large_one_for_a_while_after_a_kill(
    made: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stopped, killed = (made / ended / "jobs.db" for ended in ("stopped", "killed"))

    small = [start_seconds(path) for path in (stopped, killed)]
    monkeypatch.setattr(inspection, "SMALL_BYTES", 0)
    large = [start_seconds(path) for path in (stopped, killed)]

    assert (small, large) == ([None, None], [0, inspection.UNCLEAN_SECONDS])


def test_a_check_that_runs_out_of_time_finds_nothing(made: Path) -> None:
    with closing(sqlite3.connect(made / "stopped" / "jobs.db")) as db:
        # As if the time were over at the first step.
        db.set_progress_handler(lambda: 1, 1)

        assert find_problem(db) is None


@pytest.mark.faults
def test_a_restore_that_is_killed_leaves_the_old_database_or_is_done_again(
    made: Path, folder: Path
) -> None:
    refused = 0
    for step in count(1):
        place = folder / str(step)
        shutil.copytree(made / "killed", place)
        path = place / "jobs.db"
        if not dies_at(step, "restore", place / COPY, path):
            break
        if Path(f"{path}.restoring").exists():
            with pytest.raises(DatabaseDamaged, match="was being restored"):
                open_writer(path)
            assert not dies_at(99, "restore", place / COPY, path)
            refused += 1
        assert jobs_in(path) == (JOBS_COPIED if refused else JOBS_COPIED + JOBS_SINCE)
        assert len(list(place.glob("jobs.db.aside-*"))) in (0, 3)

    assert step == 6
    assert refused == 4
