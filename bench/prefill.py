"""Fills a broker's database with old jobs, between two runs of the broker.

It copies jobs that the broker itself has made, and knows only what a copy needs: which column holds the job's id, and
that the broker keeps counts.
"""

import contextlib
import json
import sqlite3
from pathlib import Path

from bench.calls import Calls, handed_out
from bench.load import Connection, expect_success
from bench.server import broker

#: One job in ten still waits; the others have ended.
ONE_WAITING_IN = 10


async def filled(folder: Path, rows: int) -> Path:
    """A folder whose broker has so many jobs. Asked again for the same folder, it finds them there."""
    database = folder / "jobs.db"
    if not database.exists():
        with broker(folder) as server:
            ended, waiting = await _one_ended_one_waiting(server.port)
        with contextlib.closing(sqlite3.connect(database, isolation_level=None)) as db:
            _multiply(db, ended, waiting, rows)
    return folder


async def _one_ended_one_waiting(port: int) -> tuple[str, str]:
    """The ids of a job that has failed and of one that nobody has taken."""
    calls = Calls(port)
    connection = await Connection.open(port)
    try:
        expect_success(await connection.ask(calls.create_video))
        job = handed_out(await connection.ask(calls.poll("video", "w1")))
        expect_success(await connection.ask(calls.give_up(job, "w1")))
        created = expect_success(await connection.ask(calls.create_video))
        return job.job_id, json.loads(created.body)["id"]
    finally:
        connection.close()


def _multiply(db: sqlite3.Connection, ended: str, waiting: str, rows: int) -> None:
    db.execute("PRAGMA synchronous = OFF")
    db.execute("PRAGMA cache_size = -200000")
    db.execute("BEGIN")
    first_waiting = rows - rows // ONE_WAITING_IN
    for table, key in _tables_of_a_job(db):
        _copy(db, table, key, ended, range(first_waiting))
        _copy(db, table, key, waiting, range(first_waiting, rows))
    db.execute("DELETE FROM counts")
    db.execute(
        "INSERT INTO counts SELECT owner, kind, state, count(*) FROM jobs GROUP BY owner, kind, state"
    )
    db.execute("COMMIT")
    db.execute("PRAGMA wal_checkpoint(TRUNCATE)")


def _tables_of_a_job(db: sqlite3.Connection) -> list[tuple[str, str]]:
    """Each table that holds something of a job, and its column with the job's id; the job itself first."""
    names = [name for (name,) in db.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")]
    return [("jobs", "id")] + [(name, "job_id") for name in names if "job_id" in _columns(db, name)]


def _columns(db: sqlite3.Connection, table: str) -> list[str]:
    return [row[1] for row in db.execute(f"PRAGMA table_info({table})")]


def _copy(db: sqlite3.Connection, table: str, key: str, job_id: str, numbers: range) -> None:
    """Copies what one job has in this table, under a new id for each number."""
    columns = _columns(db, table)
    copied = ", ".join("printf('job_%032x', i)" if name == key else name for name in columns)
    db.execute(
        f"WITH RECURSIVE n (i) AS (SELECT ? UNION ALL SELECT i + 1 FROM n WHERE i < ?) "
        f"INSERT INTO {table} SELECT {copied} FROM {table}, n WHERE {key} = ?",
        (numbers.start, numbers.stop - 1, job_id),
    )
