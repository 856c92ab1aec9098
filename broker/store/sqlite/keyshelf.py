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
from broker.store.sqlite.connection import FileHold, open_writer
from broker.store.sqlite.queries import read_queries
from broker.store.sqlite.writer import Tally, Writer

_SQL = read_queries("keyshelf.sql")
#: How long the command line waits for a broker that is just writing.
BUSY_SECONDS = 10.0


class SqliteKeyShelf:
    """Writes through the store's one writer, reads over its reading connection."""

    def __init__(
        self, writer: Writer, read: Callable[[str, Any], Awaitable[Sequence[Any]]]
    ) -> None:
        self._writer = writer
        self._read = read

    async def all(self) -> Sequence[Key]:
        return [_to_key(row) for row in await self._read(_SQL["all"], ())]

    async def put(self, key: Key) -> None:
        await self._writer.submit(partial(_put, key))


class SharedKeyShelf:
    """The same for the command line, which may share the database with a broker that runs."""

    def __init__(self, db: sqlite3.Connection) -> None:
        self._db = db

    async def all(self) -> Sequence[Key]:
        return [_to_key(row) for row in self._db.execute(_SQL["all"])]

    async def put(self, key: Key) -> None:
        """Raises `StoreFailed` where the broker did not let go of the database in time."""
        try:
            self._db.execute(_SQL["put"], _from_key(key))
        except sqlite3.Error as error:
            raise StoreFailed(f"The key could not be written: {error}.") from error


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


def _put(key: Key, db: sqlite3.Connection, tally: Tally) -> None:
    db.execute(_SQL["put"], _from_key(key))


def _to_key(row: Sequence[Any]) -> Key:
    id_, scope, owner, label, hash_, *moments, limits = row
    per_minute, open_jobs, daily_jobs, models = json.loads(limits)
    read = Limits(per_minute, open_jobs, daily_jobs, None if models is None else tuple(models))
    return Key._make(
        (KeyId(id_), Scope(scope), Owner(owner), label, KeyHash(hash_), *moments, read)
    )


def _from_key(key: Key) -> tuple[Any, ...]:
    return (*key[:-1], json.dumps(key.limits))
