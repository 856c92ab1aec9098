"""What is SQLite's own: the file, its lock, its migrations, another process that writes."""

import asyncio
import os
import sqlite3
from pathlib import Path

import pytest

from broker.errors import BrokerRunning, DatabaseDamaged, SchemaTooNew, StartRefused, StoreFailed
from broker.jobs import Payload
from broker.store.sqlite import rows, writer
from broker.store.sqlite.connection import open_writer
from broker.store.sqlite.store import SqliteStore
from tests.support.builders import NOW, a_grant, a_job
from tests.support.running import run


def a_store(path: Path) -> SqliteStore:
    return SqliteStore(path, on_fatal=lambda error: None)


async def filled(path: Path, count: int = 1) -> None:
    async with a_store(path) as store:
        for _ in range(count):
            await store.add(a_job(), Payload("a cat"))


def test_what_was_kept_is_there_after_a_restart(tmp_path: Path) -> None:
    path, job = tmp_path / "jobs.db", a_job()

    async def scene() -> None:
        async with a_store(path) as store:
            await store.add(job, Payload("a cat"))
        async with a_store(path) as store:
            record = await store.get(job.id)
            assert record is not None
            assert record.job == job

    run(scene())


def test_every_state_change_is_written_with_full_sync(tmp_path: Path) -> None:
    db = open_writer(tmp_path / "jobs.db")

    settings = {
        name: db.execute(f"PRAGMA {name}").fetchone()[0]
        for name in (
            "journal_mode",
            "synchronous",
            "foreign_keys",
            "secure_delete",
            "trusted_schema",
        )
    }
    db.close()

    assert settings == {
        "journal_mode": "wal",
        "synchronous": 2,
        "foreign_keys": 1,
        "secure_delete": 1,
        "trusted_schema": 0,
    }


@pytest.mark.skipif(os.name != "posix", reason="modes are a POSIX matter")
def test_the_database_is_its_owners_alone(tmp_path: Path) -> None:
    run(filled(tmp_path / "jobs.db"))

    assert (tmp_path / "jobs.db").stat().st_mode & 0o077 == 0


def test_a_second_store_on_the_file_is_refused_and_told_who_holds_it(tmp_path: Path) -> None:
    async def scene() -> None:
        async with a_store(tmp_path / "jobs.db"):
            with pytest.raises(BrokerRunning, match=f"process {os.getpid()}"):
                async with a_store(tmp_path / "jobs.db"):
                    pass

    run(scene())


@pytest.mark.parametrize("content", [b"x" * 5000, b"SQLite format 3\0" + b"\xff" * 4000])
def test_a_damaged_file_is_refused_and_left_as_it_is(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "jobs.db"
    path.write_bytes(content)

    with pytest.raises(DatabaseDamaged, match="jobs.db"):
        open_writer(path)

    assert path.read_bytes() == content


def test_another_programs_database_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "jobs.db"
    with sqlite3.connect(path) as db:
        db.execute("CREATE TABLE theirs (x)")
    db.close()

    with pytest.raises(DatabaseDamaged, match="another program"):
        open_writer(path)


def test_a_newer_schema_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "jobs.db"
    run(filled(path))
    with sqlite3.connect(path) as db:
        db.execute("PRAGMA user_version = 99")
    db.close()

    with pytest.raises(SchemaTooNew, match="schema 99"):
        open_writer(path)


def test_a_path_that_cannot_be_opened_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")

    with pytest.raises(StartRefused, match="DB_PATH"):
        open_writer(tmp_path / "file" / "jobs.db")


def test_a_database_of_the_first_schema_is_brought_up_to_date_with_all_it_holds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from broker.store.sqlite import connection

    path, job = tmp_path / "jobs.db", a_job()
    steps = connection._migrations()
    with monkeypatch.context() as earlier:
        earlier.setattr(connection, "_migrations", lambda: steps[:1])
        db = open_writer(path)
        db.execute(
            f"INSERT INTO jobs VALUES (NULL, {', '.join('?' * len(rows.from_job(job)))})",
            rows.from_job(job),
        )
        db.close()

    async def scene() -> None:
        async with a_store(path) as store:
            record = await store.get(job.id)
            assert record is not None
            assert record.job == job

    run(scene())
    assert (tmp_path / "jobs.db.before-0002").exists()


def test_an_older_schema_is_copied_before_it_is_changed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "jobs.db"
    run(filled(path, count=3))
    from broker.store.sqlite import connection

    steps = connection._migrations()
    monkeypatch.setattr(
        connection, "_migrations", lambda: [*steps, "ALTER TABLE jobs ADD COLUMN label TEXT;"]
    )

    db = open_writer(path)
    columns = [row[1] for row in db.execute("PRAGMA table_info(jobs)")]
    (version,) = db.execute("PRAGMA user_version").fetchone()
    db.close()

    assert columns[-1] == "label"
    assert version == len(steps) + 1
    with sqlite3.connect(f"{path}.before-{version:04}") as copy:
        assert copy.execute("SELECT count(*) FROM jobs").fetchone() == (3,)
        assert copy.execute("PRAGMA user_version").fetchone() == (len(steps),)
    copy.close()


def test_a_migration_that_breaks_off_leaves_the_old_schema(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "jobs.db"
    run(filled(path))
    from broker.store.sqlite import connection

    steps = connection._migrations()
    broken = "ALTER TABLE jobs ADD COLUMN label TEXT; ALTER TABLE nowhere ADD COLUMN x TEXT;"
    monkeypatch.setattr(connection, "_migrations", lambda: [*steps, broken])

    with pytest.raises(DatabaseDamaged):
        open_writer(path)

    with sqlite3.connect(path) as db:
        assert "label" not in [row[1] for row in db.execute("PRAGMA table_info(jobs)")]
        assert db.execute("PRAGMA user_version").fetchone() == (len(steps),)
    db.close()


def test_writing_waits_for_another_process_and_reading_goes_on(tmp_path: Path) -> None:
    path, job = tmp_path / "jobs.db", a_job()

    async def scene() -> None:
        async with a_store(path) as store:
            other = sqlite3.connect(path, isolation_level=None)
            other.execute("BEGIN IMMEDIATE")
            adding = asyncio.ensure_future(store.add(job, Payload("a cat")))

            for _ in range(20):
                assert await store.get(job.id) is None
            assert not adding.done()
            other.execute("ROLLBACK")
            other.close()
            await adding

            assert await store.get(job.id) is not None

    run(scene())


def test_a_database_that_stays_busy_is_an_error_and_nothing_changes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writer, "BUSY_MILLISECONDS", 50)
    path, job = tmp_path / "jobs.db", a_job()

    async def scene() -> None:
        async with a_store(path) as store:
            other = sqlite3.connect(path, isolation_level=None)
            other.execute("BEGIN IMMEDIATE")
            with pytest.raises(StoreFailed):
                await store.add(job, Payload("a cat"))
            other.execute("ROLLBACK")
            other.close()

            assert await store.get(job.id) is None
            await store.add(job, Payload("a cat"))
            assert await store.get(job.id) is not None

    run(scene())


def test_the_disk_error_of_a_commit_stops_the_broker(tmp_path: Path) -> None:
    fatal: list[BaseException] = []

    class Failing:
        """A connection whose commit fails as on a broken disk."""

        def __init__(self, db: sqlite3.Connection) -> None:
            self._db = db

        def execute(self, sql: str, *values: object) -> object:
            if sql == "COMMIT" and self._db.total_changes > self.changes:
                error = sqlite3.OperationalError("disk I/O error")
                error.sqlite_errorname = "SQLITE_IOERR_FSYNC"
                raise error
            return self._db.execute(sql, *values)

        @property
        def changes(self) -> int:
            return 0

        def __getattr__(self, name: str) -> object:
            return getattr(self._db, name)

    async def scene() -> None:
        db = open_writer(tmp_path / "jobs.db")
        failing = Failing(db)
        writing = writer.Writer(failing, lambda db, tally: None, fatal.append)  # type: ignore[arg-type]
        with pytest.raises(StoreFailed):
            await writing.submit(
                lambda db, tally: db.execute("INSERT INTO counts VALUES ('a','b','c',1)")
            )
        await asyncio.sleep(0)
        await writing.close()

    run(scene())
    assert len(fatal) == 1


def test_a_backup_in_use_is_whole(tmp_path: Path) -> None:
    path, target = tmp_path / "jobs.db", tmp_path / "copy.db"

    async def scene() -> int:
        async with a_store(path) as store:
            for _ in range(50):
                await store.add(a_job(), Payload("a cat"))
            before = sum((await store.count()).values())
            busy = [asyncio.ensure_future(store.add(a_job(), Payload("a cat"))) for _ in range(200)]
            await asyncio.gather(store.backup(str(target)), *busy)
            return before

    before = run(scene())
    with sqlite3.connect(target) as copy:
        assert copy.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        (rows,) = copy.execute("SELECT count(*) FROM jobs").fetchone()
        assert copy.execute("SELECT sum(n) FROM counts").fetchone() == (rows,)
    copy.close()
    assert before <= rows <= before + 200


def test_the_cost_of_a_claim_does_not_grow_with_the_table(tmp_path: Path) -> None:
    """By the plan, not the watch: the claim reads an index that holds ready jobs alone."""
    db = open_writer(tmp_path / "jobs.db")
    from broker.store.sqlite.queries import read_queries

    claim = read_queries("queries.sql")["claim"]
    values = next(iter(a_grant(now=NOW).values())).lease._asdict() | {
        "kind": "video",
        "deadline_at": 0,
    }
    plan = [row[3] for row in db.execute(f"EXPLAIN QUERY PLAN {claim}", values)]
    db.close()

    assert any("USING INDEX jobs_ready (kind=?)" in step for step in plan), plan
    assert not any(step.startswith("SCAN") for step in plan), plan
    assert not any("TEMP B-TREE" in step for step in plan), plan


def test_no_query_sorts_or_scans_the_table_of_jobs(tmp_path: Path) -> None:
    db = open_writer(tmp_path / "jobs.db")
    from broker.store.sqlite.queries import read_queries

    for name, sql in read_queries("queries.sql").items():
        if not sql.lstrip().upper().startswith(("SELECT", "UPDATE", "DELETE")):
            continue
        unbound = sql.replace(":", "@")
        plan = [row[3] for row in db.execute(f"EXPLAIN QUERY PLAN {unbound}", _nulls(unbound))]
        bad = [step for step in plan if step in ("SCAN jobs", "SCAN results", "SCAN payloads")]
        assert not bad, f"{name}: {plan}"
    db.close()


def _nulls(sql: str) -> object:
    if "@" in sql:
        names = {word.strip("(),;") for word in sql.split() if word.startswith("@")}
        names |= {part.split(")")[0].split(",")[0] for part in sql.split("@")[1:]}
        return {name.lstrip("@").split()[0]: None for name in names if name.strip("@")}
    return [None] * sql.count("?")
