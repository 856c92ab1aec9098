"""`SqliteStore`: the `Store` port on one SQLite file.

Writes go through the one writer as whole operations; reads have a connection of their own and see what is
committed. What may change and when is decided by the core: here it is only made durable.
"""

import asyncio
import sqlite3
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import aiosqlite

from broker.chunks import Chunk
from broker.errors import NotFound, StoreFailed
from broker.ids import JobId, Owner, TokenHash, new_webhook_id
from broker.jobs import FINAL_STATES, Attempt, Change, Job, JobKind, JobState, Payload
from broker.keys import DAY_SECONDS, NO_LIMITS, Limits, Usage, check_limits
from broker.outputs import Result
from broker.ports import Decide, Grant, JobFilter, Record
from broker.repeats import KnownRequest, RequestKey, finds
from broker.store.sqlite import rows
from broker.store.sqlite.connection import FileHold, copy_to, open_writer, read_only_uri
from broker.store.sqlite.keyshelf import SqliteKeyShelf
from broker.store.sqlite.outbox import SqliteOutbox
from broker.store.sqlite.queries import read_queries
from broker.store.sqlite.writer import Tally, Writer

_SQL = read_queries("queries.sql")
_DB = sqlite3.Connection


class SqliteStore:
    """Open it, use it, close it: `async with SqliteStore(path, on_fatal) as store`."""

    def __init__(self, path: Path, on_fatal: Callable[[BaseException], None]) -> None:
        self._path = path
        self._on_fatal = on_fatal
        self._hold = FileHold(path)
        self._writer: Writer
        self._reader: aiosqlite.Connection
        self.keys: SqliteKeyShelf
        #: What is to be told of jobs' ends.
        self.outbox: SqliteOutbox

    async def __aenter__(self) -> "SqliteStore":
        """Raises a `StartRefused` that says why this file cannot be used."""
        self._hold.take()
        try:
            db = await asyncio.to_thread(open_writer, self._path)
            self._writer = Writer(db, _save_tally, self._on_fatal)
            self._reader = await aiosqlite.connect(read_only_uri(self._path), uri=True)
            self.keys = SqliteKeyShelf(self._writer, self._read)
            self.outbox = SqliteOutbox(self._writer, self._read)
        except BaseException:
            self._hold.leave()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._reader.close()
        await self._writer.close()
        self._hold.leave()

    # Writing.

    def add(
        self,
        job: Job,
        payload: Payload,
        key: RequestKey | None = None,
        webhook_url: str | None = None,
        limits: Limits = NO_LIMITS,
    ) -> "asyncio.Future[Job]":
        return self._writer.submit(partial(_add, job, payload, key, webhook_url, limits))

    def claim(
        self, grants: Mapping[JobKind, Grant], now: float
    ) -> "asyncio.Future[tuple[Job, Payload] | None]":
        return self._writer.submit(partial(_claim, grants))

    def change(self, job_id: JobId, decide: Decide) -> "asyncio.Future[Job]":
        return self._writer.submit(partial(_change, job_id, decide))

    def ripen(self, now: float) -> "asyncio.Future[Sequence[JobKind]]":
        return self._writer.submit(partial(_ripen, now))

    def forget_film(self, job_id: JobId, now: float) -> "asyncio.Future[None]":
        return self._writer.submit(partial(_forget_film, job_id, now))

    def delete(self, job_ids: Sequence[JobId]) -> "asyncio.Future[Sequence[tuple[Job, Payload]]]":
        return self._writer.submit(partial(_delete, job_ids))

    def prune_chunks(self, finished_before: float, limit: int) -> "asyncio.Future[int]":
        return self._writer.submit(partial(_prune_chunks, finished_before, limit))

    def prune_request_keys(self, created_before: float, limit: int) -> "asyncio.Future[int]":
        return self._writer.submit(partial(_prune_request_keys, created_before, limit))

    # Reading.

    async def get(self, job_id: JobId) -> Record | None:
        found = await self._read(_SQL["job"], (job_id,))
        return await self._record(found[0]) if found else None

    async def job_of_request(self, owner: Owner, name: str) -> JobId | None:
        found = await self._read(_SQL["job_of_request"], (name, owner))
        return JobId(found[0][0]) if found else None

    async def payload(self, job_id: JobId) -> Payload | None:
        found = await self._read(_SQL["payload_of"], (job_id,))
        return rows.to_payload(found[0]) if found else None

    async def chunks_after(self, job_id: JobId, attempt: int, seq: int) -> Sequence[Chunk]:
        found = await self._read(_SQL["chunks_of"], (job_id, attempt, seq))
        return [rows.to_chunk(row) for row in found]

    async def attempts(self, job_id: JobId) -> Sequence[Attempt]:
        found = await self._read(_SQL["attempts"], (job_id,))
        return [rows.to_attempt(job_id, row) for row in found]

    async def page(
        self,
        wanted: JobFilter,
        limit: int,
        after: JobId | None = None,
        *,
        oldest_first: bool = False,
    ) -> Sequence[Record]:
        conditions, values = _conditions(wanted)
        if after is not None:
            behind = await self._read(_SQL["job"], (after,))
            if not behind or wanted.owner not in (None, rows.to_job(behind[0]).owner):
                raise NotFound(f"There is no job {after} to continue behind.")
            conditions.append("n > ?" if oldest_first else "n < ?")
            values.append(behind[0][0])
        where = f"WHERE {' AND '.join(conditions)}" if conditions else ""
        order = "ASC" if oldest_first else "DESC"
        found = await self._read(
            f"SELECT * FROM jobs {where} ORDER BY n {order} LIMIT ?", [*values, limit]
        )
        return [await self._record(row) for row in found]

    async def count(self, owner: Owner | None = None) -> Mapping[tuple[JobKind, JobState], int]:
        found = await self._read(_SQL["counts"], {"owner": owner})
        return {(JobKind(kind), JobState(state)): n for kind, state, n in found if n}

    async def due(self, now: float, limit: int) -> Sequence[JobId]:
        return [JobId(row[0]) for row in await self._read(_SQL["due"], (now, limit))]

    async def under_way(self) -> Sequence[Job]:
        return [rows.to_job(row) for row in await self._read(_SQL["under_way"], ())]

    async def has_result(self, sha256: str, since: float, but: JobId) -> bool:
        values = {"sha256": sha256, "since": since, "but": but}
        return bool(await self._read(_SQL["same_file"], values))

    async def films(self, finished_before: float | None, limit: int) -> Sequence[Record]:
        found = await self._read(_SQL["films"], {"before": finished_before, "limit": limit})
        return [await self._record(row) for row in found]

    async def old_jobs(self, finished_before: float, limit: int) -> Sequence[JobId]:
        found = [
            row
            for state in FINAL_STATES
            for row in await self._read(_SQL["old_jobs"], (state, limit))
        ]
        old = sorted((at, job_id) for job_id, at in found if at < finished_before)
        return [JobId(job_id) for _, job_id in old[:limit]]

    async def backup(self, path: str) -> None:
        await asyncio.to_thread(self._copy_to, Path(path))

    def _copy_to(self, target: Path) -> None:
        source = sqlite3.connect(read_only_uri(self._path), uri=True)
        try:
            copy_to(source, target)
        finally:
            source.close()

    async def _record(self, row: rows.Row) -> Record:
        job = rows.to_job(row)
        if not job.state.is_final:
            return Record(job)
        results = await self._read(_SQL["results"], (row[0],))
        pictures = await self._read(_SQL["pictures"], (row[0],)) if _has_pictures(job) else ()
        return Record(job, *rows.to_results(results, pictures))

    async def _read(self, sql: str, values: Any) -> Sequence[Any]:
        try:
            return list(await self._reader.execute_fetchall(sql, values))
        except sqlite3.Error as error:
            raise StoreFailed() from error


def _conditions(wanted: JobFilter) -> tuple[list[str], list[Any]]:
    tests = {
        "owner = ?": wanted.owner,
        # Written out, because a partial index is only used where the statement itself says it may be.
        f"state = '{wanted.state}' AND ?": wanted.state and 1,
        "kind = ?": wanted.kind,
        "created_at > ?": wanted.created_after,
        "created_at < ?": wanted.created_before,
    }
    present = {test: value for test, value in tests.items() if value is not None}
    return list(present), list(present.values())


# Operations: each runs in the writer's thread, inside one transaction.


def _add(
    job: Job,
    payload: Payload,
    key: RequestKey | None,
    webhook_url: str | None,
    limits: Limits,
    db: _DB,
    tally: Tally,
) -> Job:
    if key is not None and key.joins and (earlier := _found(key, job, db)):
        return earlier
    if limits.counts_jobs:
        _keep_to(limits, job, db, tally)
    number = db.execute(_SQL["add_job"], rows.from_job(job)).lastrowid
    db.execute(_SQL["add_payload"], (number, *rows.from_payload(payload)))
    if key is not None:
        known = (job.owner, key.name, key.digest, number, job.created_at)
        db.execute(_SQL["know_request"], known)
    if webhook_url is not None:
        db.execute(_SQL["add_webhook"], (number, new_webhook_id(), webhook_url))
    tally[job.owner, job.kind, job.state] += 1
    return job


def _keep_to(limits: Limits, job: Job, db: _DB, tally: Tally) -> None:
    """Counts the job against what its owner may have. Raises `LimitReached`."""
    day = int(job.created_at // DAY_SECONDS)
    row = db.execute(_SQL["usage"], (job.owner, day)).fetchone()
    counts = {
        (kind, state): n for kind, state, n in db.execute(_SQL["counts"], {"owner": job.owner})
    }
    open_jobs = sum(
        counts.get((kind, state), 0) + tally[job.owner, kind, state]
        for kind in JobKind
        for state in (JobState.PENDING, JobState.PROCESSING)
    )
    check_limits(limits, Usage(open_jobs, row[0] if row else 0), job.created_at)
    if row is None:
        # The first of the day: those before it are counted no more.
        db.execute(_SQL["forget_usage"], (job.owner, day))
    db.execute(_SQL["use"], (job.owner, day))


def _found(key: RequestKey, job: Job, db: _DB) -> Job | None:
    """The job that an earlier sending of the same request has made."""
    row = db.execute(_SQL["known_request"], (key.name, job.owner)).fetchone()
    if row is None:
        return None
    digest, created_at, *rest = row
    known = KnownRequest(digest, created_at, rows.to_job(rest))
    return known.job if finds(key, known, job.created_at) else None


def _claim(grants: Mapping[JobKind, Grant], db: _DB, tally: Tally) -> tuple[Job, Payload] | None:
    for kind, grant in grants.items():
        values = grant.lease._asdict() | {"kind": kind, "deadline_at": grant.deadline_at}
        row = db.execute(_SQL["claim"], values).fetchone()
        if row is None:
            continue
        job = rows.to_job(row)
        tally[job.owner, job.kind, JobState.PENDING] -= 1
        tally[job.owner, job.kind, JobState.PROCESSING] += 1
        return job, rows.to_payload(db.execute(_SQL["payload"], (row[0],)).fetchone())
    return None


class _View:
    """One job inside the transaction; the rest is read only where a decision asks for it."""

    def __init__(self, row: rows.Row, db: _DB) -> None:
        self.job = rows.to_job(row)
        self.n: int = row[0]
        self._db = db

    def attempt_with(self, token_hash: TokenHash) -> Attempt | None:
        row = self._db.execute(_SQL["attempt_with"], (self.n, token_hash)).fetchone()
        return rows.to_attempt(self.job.id, row) if row else None

    def last_attempt(self) -> Attempt | None:
        row = self._db.execute(_SQL["last_attempt"], (self.n,)).fetchone()
        return rows.to_attempt(self.job.id, row) if row else None

    def has_failed_with(self, failure: str) -> bool:
        return bool(self._db.execute(_SQL["failed_with"], (self.n, failure)).fetchone())

    def result(self) -> Result | None:
        return self._results()[0]

    def late_result(self) -> Result | None:
        return self._results()[1]

    def chunks(self) -> Sequence[Chunk]:
        found = self._db.execute(_SQL["chunks_after"], (self.n, self.job.attempt, -1))
        return [rows.to_chunk(row) for row in found]

    def _results(self) -> tuple[Result | None, Result | None]:
        results = self._db.execute(_SQL["results"], (self.n,)).fetchall()
        has_pictures = bool(results) and _has_pictures(self.job)
        pictures = self._db.execute(_SQL["pictures"], (self.n,)) if has_pictures else ()
        return rows.to_results(results, list(pictures))


def _change(job_id: JobId, decide: Decide, db: _DB, tally: Tally) -> Job:
    row = db.execute(_SQL["job"], (job_id,)).fetchone()
    if row is None:
        raise NotFound()
    view = _View(row, db)
    change = decide(view)
    if change is None:
        return view.job
    _apply(view, change, db)
    before = view.job
    if change.job.state != before.state:
        tally[before.owner, before.kind, before.state] -= 1
        tally[before.owner, before.kind, change.job.state] += 1
    return change.job


def _apply(view: _View, change: Change, db: _DB) -> None:
    before, job = view.job, change.job
    if job != before:
        guard = (view.n, before.state, before.attempt, before.lease and before.lease.token_hash)
        saved = db.execute(_SQL["save_job"], (*rows.changed_values(job), *guard))
        if saved.rowcount != 1:
            raise StoreFailed("The job changed under its own transaction.")
    if change.ended is not None:
        db.execute(_SQL["add_attempt"], (view.n, *change.ended[1:]))
    for chunk in change.chunks:
        db.execute(_SQL["add_chunk"], (view.n, job.attempt, *chunk))
    if change.result is not None:
        added = db.execute(_SQL["add_result"], (view.n, 0, *rows.from_result(change.result)))
        _add_pictures(view.n, 0, change.result if added.rowcount else None, db)
    if change.late is not None:
        db.execute(_SQL["keep_late"], (view.n, 1, *rows.from_result(change.late)))
        _add_pictures(view.n, 1, change.late, db)


def _add_pictures(n: int, is_late: int, result: Result | None, db: _DB) -> None:
    for number, picture in enumerate(result.pictures if result else (), 1):
        db.execute(_SQL["add_picture"], (n, is_late, number, *picture))


def _has_pictures(job: Job) -> bool:
    return job.kind == JobKind.IMAGE


def _ripen(now: float, db: _DB, tally: Tally) -> Sequence[JobKind]:
    db.execute(_SQL["ripen"], (now,))
    return [kind for kind in JobKind if db.execute(_SQL["is_ready"], (kind,)).fetchone()]


def _forget_film(job_id: JobId, now: float, db: _DB, tally: Tally) -> None:
    db.execute(_SQL["forget_film"], (now, job_id))


def _delete(job_ids: Sequence[JobId], db: _DB, tally: Tally) -> Sequence[tuple[Job, Payload]]:
    removed: list[tuple[Job, Payload]] = []
    for job_id in job_ids:
        payload = db.execute(_SQL["payload_of"], (job_id,)).fetchone()
        row = db.execute(_SQL["delete_job"], (job_id,)).fetchone()
        if row is not None:
            job = rows.to_job(row)
            tally[job.owner, job.kind, job.state] -= 1
            removed.append((job, rows.to_payload(payload)))
    return removed


def _prune_chunks(finished_before: float, limit: int, db: _DB, tally: Tally) -> int:
    ended = db.execute(_SQL["streamed_and_ended"], (finished_before, limit)).fetchall()
    for row in ended:
        db.execute(_SQL["drop_chunks"], row)
    return len(ended)


def _prune_request_keys(created_before: float, limit: int, db: _DB, tally: Tally) -> int:
    values = {"before": created_before, "limit": limit}
    return db.execute(_SQL["prune_request_keys"], values).rowcount


def _save_tally(db: _DB, tally: Tally) -> None:
    changed = [(*key, n) for key, n in tally.items() if n]
    db.executemany(_SQL["tally"], changed)
