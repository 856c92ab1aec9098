"""Copies of the database: made, examined, and put in its place. Films are not in them, and lie elsewhere."""

import json
import os
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from itertools import count
from pathlib import Path
from typing import NamedTuple

from broker.errors import DatabaseDamaged, StartRefused
from broker.store.sqlite.connection import (
    copy_to,
    newest_schema,
    put_in_place,
    read_only_uri,
    restoring_place,
)
from broker.store.sqlite.inspection import (
    APPLICATION_ID,
    find_problem,
    identity_problem,
    refusal,
    refuse_cut,
)
from broker.store.sqlite.queries import read_queries

#: A database, and what belongs to it while it is in use.
ENDINGS = ("", "-wal", "-shm")

_SQL = read_queries("copies.sql")


class Contents(NamedTuple):
    """What there is in a copy, and what it speaks of that lies elsewhere."""

    size_bytes: int
    jobs: int
    newest_job_at: float | None
    pending: Sequence[str]
    processing: Sequence[str]
    #: Films and sets of pictures, by the names that the media store has for them.
    media: frozenset[str]
    #: The images that open jobs were given.
    inputs: frozenset[str]


def back_up(path: Path, target: Path) -> Contents:
    """Copies the database of a broker that runs or does not; what the copy holds. Raises a `StartRefused`."""
    if not path.exists():
        raise StartRefused(f"DB_PATH: there is no database {path}.")
    _refuse_to_overwrite(path, target)
    refuse_cut(path)
    try:
        with closing(sqlite3.connect(read_only_uri(path), uri=True)) as db:
            if problem := identity_problem(db, path, newest_schema()):
                raise DatabaseDamaged(f"DB_PATH: {path} {problem}.")
            copy_to(db, target)
        with _reading(target) as copy:
            return _contents(copy, target.stat().st_size)
    except OSError as error:
        raise StartRefused(f"{target} cannot be written: {error.strerror}.") from error
    except sqlite3.Error as error:
        raise refusal(path, error) from error


def _refuse_to_overwrite(path: Path, target: Path) -> None:
    """An older copy may be replaced, or an empty file; nothing else, and least of all a database in use."""
    if not target.exists() or not target.stat().st_size:
        return
    has_log = Path(f"{os.path.realpath(target)}-wal").exists()
    if target.samefile(path) or has_log or not _is_ours(target):
        raise StartRefused(f"{target} is there already, and is no copy of ours. Name another file.")


def _is_ours(file: Path) -> bool:
    try:
        with _reading(file) as db:
            return bool(db.execute("PRAGMA application_id").fetchone() == (APPLICATION_ID,))
    except (OSError, sqlite3.Error):
        return False


def examine(copy: Path) -> Contents:
    """Checks every page of a copy. Raises `DatabaseDamaged`, `SchemaTooNew`, or `StartRefused`."""
    try:
        size_bytes = copy.stat().st_size
        with _reading(copy) as db:
            problem = identity_problem(db, copy, newest_schema()) or find_problem(db)
            if problem is None:
                return _contents(db, size_bytes)
    except OSError as error:
        raise StartRefused(f"{copy} cannot be read: {error.strerror}.") from error
    except sqlite3.Error as error:
        problem = f"cannot be read ({error})"
    raise DatabaseDamaged(f"{copy} {problem}.")


@contextmanager
def _reading(copy: Path) -> Iterator[sqlite3.Connection]:
    """A copy that has a log is somebody's database; one without is read as it stands, and nothing appears beside it."""
    has_log = Path(f"{os.path.realpath(copy)}-wal").exists()
    uri = read_only_uri(copy, immutable=not has_log)
    with closing(sqlite3.connect(uri, uri=True)) as db:
        yield db


def _contents(db: sqlite3.Connection, size_bytes: int) -> Contents:
    jobs, newest_at, counted = db.execute(_SQL["jobs"]).fetchone()
    if jobs != counted:
        raise sqlite3.DatabaseError(f"{jobs} jobs, where {counted} were counted")
    opened = db.execute(_SQL["open_jobs"]).fetchall()
    return Contents(
        size_bytes,
        jobs,
        newest_at,
        [job_id for job_id, state, _ in opened if state == "pending"],
        [job_id for job_id, state, _ in opened if state == "processing"],
        frozenset(
            f"{job_id}.late" if is_late else job_id for job_id, is_late in db.execute(_SQL["media"])
        ),
        frozenset(name for *_, inputs in opened for name in json.loads(inputs)),
    )


def newest_first(folder: Path) -> Sequence[Path]:
    """The copies in a folder. The day in a name counts before the file's own, which copying it may have changed."""
    return sorted(
        folder.glob("jobs-????-??-??*.db"),
        key=lambda copy: (copy.name[5:15], copy.stat().st_mtime),
        reverse=True,
    )


def put_back(copy: Path, path: Path, stamp: str) -> Sequence[Path]:
    """Puts a copy in the place of the database, whose files it sets aside: the names they have then.

    Only the holder of the database may do that. Broken off at any moment, it leaves the database as it was, or a
    start that refuses until it is done again. Raises a `StartRefused`.
    """
    path = path.resolve()
    fresh = restoring_place(path)
    try:
        with _reading(copy) as db:
            copy_to(db, fresh)
        aside = _set_aside(path, stamp)
        put_in_place(fresh, path)
    except (OSError, sqlite3.Error) as error:
        raise StartRefused(f"{copy} cannot be put in the place of {path}: {error}.") from error
    return aside


def _set_aside(path: Path, stamp: str) -> Sequence[Path]:
    aside = _free_name(path, stamp)
    moved = []
    for ending in ENDINGS:
        file = Path(f"{path}{ending}")
        if file.exists():
            moved.append(file.rename(f"{aside}{ending}"))
    return moved


def _free_name(path: Path, stamp: str) -> Path:
    names = (Path(f"{path}.aside-{stamp}{f'-{n}' if n else ''}") for n in count())
    return next(
        name for name in names if not any(Path(f"{name}{ending}").exists() for ending in ENDINGS)
    )
