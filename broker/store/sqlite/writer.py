"""Writes in groups: whatever is waiting becomes one transaction, with one write to disk for all of it.

The statements of a group run on the event loop, some ten microseconds each and all in memory; only what waits
for the disk, the commit, runs in a thread. (Run in the thread as well, each statement would hand the
interpreter lock to and fro: full cycles a second fell to half.) While one group is on its way to the
disk the next gathers by itself; there is no timer. An operation runs whole or not at all, whether or not its
caller is still there.
"""

import asyncio
import sqlite3
import threading
from collections import Counter
from collections.abc import Callable
from queue import SimpleQueue
from typing import Any, NamedTuple

from broker.errors import BrokerError, DiskFull, StoreFailed

#: (owner, kind, state) → by how much this transaction changes that count.
Tally = Counter[tuple[str, str, str]]
Operation = Callable[[sqlite3.Connection, Tally], Any]

#: More than this in one transaction would hold up the loop for more than a few milliseconds.
MAX_GROUP = 128
#: How long another process may hold the database before callers are told.
BUSY_MILLISECONDS = 5000


class _Waiting(NamedTuple):
    operation: Operation
    future: "asyncio.Future[Any]"


class _Task(NamedTuple):
    """What the thread does: a step that waits for the disk, and whom to tell on the loop."""

    step: Callable[[], None]
    then: Callable[[BaseException | None], None]


class Writer:
    """Owns the writing connection, on the loop and in its thread by turns, never in both at once."""

    def __init__(
        self,
        db: sqlite3.Connection,
        save_tally: Callable[[sqlite3.Connection, Tally], None],
        on_fatal: Callable[[BaseException], None],
    ) -> None:
        self._db = db
        self._save_tally = save_tally
        self._on_fatal = on_fatal
        self._loop = asyncio.get_running_loop()
        self._waiting: list[_Waiting] = []
        #: Members of a group that failed: each is tried again in a transaction of its own.
        self._alone: list[_Waiting] = []
        self._is_busy = False
        self._idle = asyncio.Event()
        self._idle.set()
        self._tasks: SimpleQueue[_Task | None] = SimpleQueue()
        self._thread = threading.Thread(target=self._work, name="store-commit", daemon=True)
        self._thread.start()

    def submit(self, operation: Operation) -> "asyncio.Future[Any]":
        """Queues an operation at once. The future is done when its transaction is on disk."""
        future: asyncio.Future[Any] = self._loop.create_future()
        self._waiting.append(_Waiting(operation, future))
        if not self._is_busy:
            self._is_busy = True
            self._idle.clear()
            # Two turns of the loop: what this operation wakes may add its own to the same transaction,
            # so that a job and its hand-out to a waiting worker cost one write to disk.
            self._loop.call_soon(self._loop.call_soon, self._begin)
        return future

    async def close(self) -> None:
        """Finishes what is queued, then ends the thread."""
        await self._idle.wait()
        self._tasks.put(None)
        await asyncio.to_thread(self._thread.join)
        self._db.close()

    # On the loop.

    def _begin(self) -> None:
        group = self._next_group()
        if not group:
            self._is_busy = False
            self._idle.set()
            return
        try:
            self._db.execute("BEGIN IMMEDIATE")
        except sqlite3.OperationalError as error:
            if error.sqlite_errorname != "SQLITE_BUSY":
                self._fail(group, error)
                return
            # Another process is writing: wait for it where nobody else has to.
            self._tasks.put(_Task(self._begin_patiently, lambda error: self._begun(group, error)))
            return
        self._begun(group, None)

    def _next_group(self) -> list[_Waiting]:
        if self._alone:
            return [self._alone.pop(0)]
        group, self._waiting = self._waiting[:MAX_GROUP], self._waiting[MAX_GROUP:]
        return group

    def _begun(self, group: list[_Waiting], error: BaseException | None) -> None:
        if error is not None:
            self._fail(group, error)
            return
        try:
            answers = self._run(group)
        except Exception as broken:
            self._spoiled(group, broken)
            return
        self._tasks.put(_Task(self._commit, lambda error: self._committed(group, answers, error)))

    def _run(self, group: list[_Waiting]) -> list[Any]:
        tally: Tally = Counter()
        answers: list[Any] = []
        for operation, future in group:
            try:
                # A caller that left before its turn gets nothing, so nothing needs undoing.
                answers.append(None if future.cancelled() else operation(self._db, tally))
            except BrokerError as refusal:
                # Raised before the operation wrote anything.
                answers.append(refusal)
        if tally:
            self._save_tally(self._db, tally)
        return answers

    def _spoiled(self, group: list[_Waiting], error: Exception) -> None:
        """One operation broke the transaction: each alone now, so that it breaks only its own."""
        self._roll_back()
        if len(group) == 1:
            self._fail(group, error)
            return
        self._alone.extend(group)
        self._begin()

    def _committed(
        self, group: list[_Waiting], answers: list[Any], error: BaseException | None
    ) -> None:
        if error is not None:
            self._roll_back()
            self._fail(group, error)
            return
        for (_, future), answer in zip(group, answers, strict=True):
            if future.done():
                continue
            if isinstance(answer, BrokerError):
                future.set_exception(answer)
            else:
                future.set_result(answer)
        self._begin()

    def _fail(self, group: list[_Waiting], error: BaseException) -> None:
        for _, future in group:
            if not future.done():
                future.set_exception(self._translated(error))
        self._begin()

    def _roll_back(self) -> None:
        if self._db.in_transaction:
            self._db.execute("ROLLBACK")

    def _translated(self, error: BaseException) -> BaseException:
        if not isinstance(error, sqlite3.Error):
            return error
        name = getattr(error, "sqlite_errorname", "")
        if name == "SQLITE_FULL":
            return DiskFull()
        if name.startswith(("SQLITE_IOERR", "SQLITE_CORRUPT", "SQLITE_NOTADB")):
            # After a failed fsync nobody knows what is on disk: stop, and find out at the next start.
            self._loop.call_soon(self._on_fatal, error)
        failed = StoreFailed(f"The database did not answer ({name or type(error).__name__}).")
        failed.__cause__ = error
        return failed

    # In the thread.

    def _work(self) -> None:
        while (task := self._tasks.get()) is not None:
            error: BaseException | None = None
            try:
                task.step()
            except BaseException as raised:
                error = raised
            try:
                self._loop.call_soon_threadsafe(task.then, error)
            except RuntimeError:
                return  # The loop is gone, and with it everybody who waited.

    def _commit(self) -> None:
        self._db.execute("COMMIT")

    def _begin_patiently(self) -> None:
        self._db.execute(f"PRAGMA busy_timeout = {BUSY_MILLISECONDS}")
        try:
            self._db.execute("BEGIN IMMEDIATE")
        finally:
            self._db.execute("PRAGMA busy_timeout = 0")
