"""`SqliteKeyShelf`: the `KeyShelf` port on the database of the jobs."""

import json
import sqlite3
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from broker.errors import BrokerRunning, StoreFailed
from broker.ids import Owner
from broker.keys import Key, KeyHash, KeyId, Limits, Scope
from broker.store.sqlite.connection import FileHold, open_writer, read_only_uri
from broker.store.sqlite.queries import read_queries
from broker.store.sqlite.writer import Tally, Writer

_SQL = read_queries("keyshelf.sql")
#: How long the command line waits for a broker that is just writing.
BUSY_SECONDS = 10.0
_DB = sqlite3.Connection


class SqliteKeyShelf:
    """Writes through the store's one writer, reads over its reading connection."""

    def __init__(
        self, writer: Writer, read: Callable[[str, Any], Awaitable[Sequence[Any]]]
    ) -> None:
        self._writer = writer
        self._read = read

    async def all(self) -> Sequence[Key]:
        return [_to_key(row) for row in await self._read(_SQL["all"], ())]

    async def put(self, *keys: Key) -> None:
        await self._writer.submit(_inside(partial(_put, keys)))

    async def note_use(self, key_id: KeyId, at: float) -> None:
        await self._writer.submit(_inside(partial(_note_use, key_id, at)))

    async def forget(self, key_id: KeyId) -> None:
        await self._writer.submit(_inside(partial(_forget, key_id)))


class SharedKeyShelf:
    """The same for the command line, which may share the database with a broker that runs.

    Raises `StoreFailed` where the broker did not let go of the database in time, or is of an earlier version.
    """

    def __init__(self, db: _DB) -> None:
        self._db = db

    async def all(self) -> Sequence[Key]:
        with self._told():
            return [_to_key(row) for row in self._db.execute(_SQL["all"])]

    async def put(self, *keys: Key) -> None:
        with self._told(), self._transaction():
            _put(keys, self._db)

    async def note_use(self, key_id: KeyId, at: float) -> None:
        with self._told(), self._transaction():
            _note_use(key_id, at, self._db)

    async def forget(self, key_id: KeyId) -> None:
        with self._told(), self._transaction():
            _forget(key_id, self._db)

    @contextmanager
    def _told(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            raise StoreFailed(f"The keys cannot be reached: {error}.") from error

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        self._db.execute("BEGIN IMMEDIATE")
        # Commits, or rolls back what failed.
        with self._db:
            yield


@contextmanager
def open_keyshelf(path: Path) -> Iterator[SharedKeyShelf]:
    """The keys of this database; it is made or brought up to date where no broker runs on it.

    Raises a `StartRefused` that says why it cannot be used.
    """
    hold = FileHold(path)
    try:
        hold.take()
    except BrokerRunning:
        db = sqlite3.connect(path, isolation_level=None, timeout=BUSY_SECONDS)
        with closing(db):
            yield SharedKeyShelf(db)
        return
    try:
        with closing(open_writer(path)) as db:
            yield SharedKeyShelf(db)
    finally:
        hold.leave()


def read_keys(path: Path) -> Sequence[Key]:
    """The keys as they are, for whoever only looks: nothing is made or changed."""
    if not path.exists():
        return ()
    try:
        with closing(sqlite3.connect(read_only_uri(path), uri=True, timeout=BUSY_SECONDS)) as db:
            return [_to_key(row) for row in db.execute(_SQL["all"])]
    except sqlite3.OperationalError:
        return ()  # Of a time before there were keys.


def _inside(deed: Callable[[_DB], None]) -> Callable[[_DB, Tally], None]:
    """As the writer wants it: keys change no counts."""
    return lambda db, _: deed(db)


def _put(keys: Sequence[Key], db: _DB) -> None:
    db.executemany(_SQL["put"], [_from_key(key) for key in keys])


def _note_use(key_id: KeyId, at: float, db: _DB) -> None:
    db.execute(_SQL["note_use"], {"id": key_id, "at": at})


def _forget(key_id: KeyId, db: _DB) -> None:
    db.execute(_SQL["forget"], (key_id,))


def _to_key(row: Sequence[Any]) -> Key:
    id_, scope, owner, label, hash_, *moments, limits = row
    per_minute, open_jobs, daily_jobs, models = json.loads(limits)
    read = Limits(per_minute, open_jobs, daily_jobs, None if models is None else tuple(models))
    return Key._make(
        (KeyId(id_), Scope(scope), Owner(owner), label, KeyHash(hash_), *moments, read)
    )


def _from_key(key: Key) -> tuple[Any, ...]:
    return (*key[:-1], json.dumps(key.limits))
