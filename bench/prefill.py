"""Fills a broker's database with old jobs, between two runs of the broker.

It copies jobs that the broker itself has made, and knows only what a copy needs: how a job is named, and that the
broker keeps counts.
"""

import contextlib
import json
import sqlite3
from pathlib import Path
from typing import NamedTuple

from bench.calls import Calls, handed_out
from bench.load import Connection, expect_success
from bench.server import broker

#: One job in ten still waits; the others have ended.
ONE_WAITING_IN = 10
#: What of a job no other may have: column of `jobs` → SQL for copy number `i`, clear of the jobs that are copied.
NEW_NAMES = {"id": "printf('job_%032x', i)", "n": "i + 1000"}


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
    for belongs in _tables_of_a_job(db):
        _copy(db, belongs, ended, range(first_waiting))
        _copy(db, belongs, waiting, range(first_waiting, rows))
    db.execute("DELETE FROM counts")
    db.execute(
        "INSERT INTO counts SELECT owner, kind, state, count(*) FROM jobs GROUP BY owner, kind, state"
    )
    db.execute("COMMIT")
    db.execute("PRAGMA wal_checkpoint(TRUNCATE)")


class _Belongs(NamedTuple):
    """A table that holds something of a job, and which of its columns names the job by which of the job's."""

    table: str
    column: str
    job_column: str


def _tables_of_a_job(db: sqlite3.Connection) -> list[_Belongs]:
    """As the database's own references tell; the job itself first."""
    found = db.execute(
        'SELECT m.name, f."from", f."to" FROM sqlite_schema m, pragma_foreign_key_list(m.name) f '
        """WHERE m.type = 'table' AND f."table" = 'jobs'"""
    )
    return [_Belongs("jobs", "id", "id"), *(_Belongs(*row) for row in found)]


def _copy(db: sqlite3.Connection, belongs: _Belongs, job_id: str, numbers: range) -> None:
    """Copies what one job has in this table, under a new name for each number."""
    table, column, job_column = belongs
    named = NEW_NAMES if table == "jobs" else {column: NEW_NAMES[job_column]}
    columns = [row[1] for row in db.execute(f"PRAGMA table_info({table})")]
    db.execute(
        "WITH RECURSIVE new (i) AS (SELECT ? UNION ALL SELECT i + 1 FROM new WHERE i < ?) "
        f"INSERT INTO {table} SELECT {', '.join(named.get(name, name) for name in columns)} "
        f"FROM {table}, new WHERE {column} = (SELECT {job_column} FROM jobs WHERE id = ?)",
        (numbers.start, numbers.stop - 1, job_id),
    )
