"""kill -9 before every statement of a start that migrates: each schema is there whole or not at all."""

import shutil
import sqlite3
from contextlib import closing
from itertools import count
from pathlib import Path

import pytest

from broker.store.sqlite import connection, rows
from tests.support.builders import a_job
from tests.support.killed import dies_at

#: What is in a file: its schema's number and all its statements.
Schema = tuple[int, frozenset[str]]


def schema_of(path: Path) -> Schema:
    with closing(sqlite3.connect(path)) as db:
        (version,) = db.execute("PRAGMA user_version").fetchone()
        statements = db.execute("SELECT sql FROM sqlite_schema WHERE sql IS NOT NULL")
        return version, frozenset(sql for (sql,) in statements)


def at_schema(path: Path, version: int, monkeypatch: pytest.MonkeyPatch) -> Path:
    steps = connection._migrations()[:version]
    with monkeypatch.context() as earlier:
        earlier.setattr(connection, "_migrations", lambda: steps)
        connection.open_writer(path).close()
    return path


@pytest.fixture
def schemas(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[Schema]:
    """Of every version, oldest first."""
    versions = range(1, connection.newest_schema() + 1)
    files = [at_schema(tmp_path / f"{n}.db", n, monkeypatch) for n in versions]
    return [schema_of(path) for path in files]


@pytest.mark.faults
def test_a_migration_that_is_killed_leaves_the_old_schema_or_the_new(
    tmp_path: Path, schemas: list[Schema], monkeypatch: pytest.MonkeyPatch
) -> None:
    old = at_schema(tmp_path / "old.db", 1, monkeypatch)
    job = rows.from_job(a_job())
    with closing(sqlite3.connect(old, isolation_level=None)) as db:
        db.execute(f"INSERT INTO jobs VALUES (NULL, {', '.join('?' * len(job))})", job)
    seen = set()

    for step in count(1):
        path = tmp_path / f"killed-{step}" / "jobs.db"
        path.parent.mkdir()
        shutil.copy(old, path)
        if not dies_at(step, "start", path):
            break
        left = schema_of(path)
        assert left in schemas, f"killed before statement {step}, it lies in between"
        seen.add(left[0])
        if left[0] > 1:
            assert schema_of(Path(f"{path}.before-0002")) == schemas[0]
        with closing(connection.open_writer(path)) as db:
            assert db.execute("SELECT id FROM jobs").fetchall() == [(job[0],)]
        assert schema_of(path) == schemas[-1]

    assert step > 20
    assert seen == set(range(1, len(schemas) + 1))


@pytest.mark.faults
def test_a_first_start_that_is_killed_leaves_no_database_or_a_whole_one(
    tmp_path: Path, schemas: list[Schema]
) -> None:
    left = set()

    for step in count(1):
        path = tmp_path / f"killed-{step}" / "jobs.db"
        path.parent.mkdir()
        if not dies_at(step, "start", path):
            break
        left.add(path.exists())
        if path.exists():
            assert schema_of(path) == schemas[-1]
        connection.open_writer(path).close()
        assert schema_of(path) == schemas[-1]
        assert not list(path.parent.glob("*.new*"))

    assert step > 20
    assert left == {False, True}
