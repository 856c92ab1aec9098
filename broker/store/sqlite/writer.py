"""One thread that writes. Whatever is waiting is committed as one transaction: group commit.

While one batch is on its way to the disk the next gathers by itself; there is no timer. An operation is a
function of the connection and runs whole or not at all, whether or not its caller is still there.
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

#: More than this in one transaction only makes its first caller wait.
MAX_BATCH = 512


class _Waiting(NamedTuple):
    operation: Operation
    future: "asyncio.Future[Any]"


class Writer:
    """Owns the writing connection. `submit` from the event loop; the rest happens in the writer's thread."""

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
        self._is_busy = False
        self._idle = asyncio.Event()
        self._idle.set()
        self._batches: SimpleQueue[list[_Waiting] | None] = SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="store-writer", daemon=True)
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
            self._loop.call_soon(self._loop.call_soon, self._send)
        return future

    async def close(self) -> None:
        """Finishes what is queued, then ends the thread."""
        await self._idle.wait()
        self._batches.put(None)
        await asyncio.to_thread(self._thread.join)
        self._db.close()

    def _send(self) -> None:
        batch, self._waiting = self._waiting[:MAX_BATCH], self._waiting[MAX_BATCH:]
        if batch:
            self._batches.put(batch)
        else:
            self._is_busy = False
            self._idle.set()

    def _run(self) -> None:
        while (batch := self._batches.get()) is not None:
            answers = self._commit(batch)
            try:
                self._loop.call_soon_threadsafe(self._deliver, batch, answers)
            except RuntimeError:
                return  # The loop is gone, and with it everybody who waited.

    def _deliver(self, batch: list[_Waiting], answers: list[Any]) -> None:
        for (_, future), answer in zip(batch, answers, strict=True):
            if future.done():
                continue
            if isinstance(answer, BaseException):
                future.set_exception(answer)
            else:
                future.set_result(answer)
        self._send()

    def _commit(self, batch: list[_Waiting]) -> list[Any]:
        try:
            return self._in_one_transaction(batch)
        except BaseException as error:
            self._roll_back()
            if len(batch) == 1:
                return [self._translated(error)]
        # One operation spoiled the transaction: each alone, so that it spoils only its own.
        return [self._commit([waiting])[0] for waiting in batch]

    def _in_one_transaction(self, batch: list[_Waiting]) -> list[Any]:
        tally: Tally = Counter()
        answers: list[Any] = []
        self._db.execute("BEGIN IMMEDIATE")
        for operation, future in batch:
            try:
                # A caller that left before its turn gets nothing, so nothing needs undoing.
                answers.append(None if future.cancelled() else operation(self._db, tally))
            except BrokerError as error:
                # A refusal: raised before the operation wrote anything.
                answers.append(error)
        if tally:
            self._save_tally(self._db, tally)
        self._db.execute("COMMIT")
        return answers

    def _roll_back(self) -> None:
        if self._db.in_transaction:
            self._db.execute("ROLLBACK")

    def _translated(self, error: BaseException) -> BaseException:
        if not isinstance(error, sqlite3.Error):
            return error
        code = getattr(error, "sqlite_errorname", "")
        if code == "SQLITE_FULL":
            return DiskFull()
        if code.startswith(("SQLITE_IOERR", "SQLITE_CORRUPT", "SQLITE_NOTADB")):
            # After a failed fsync nobody knows what is on disk: stop, and find out at the next start.
            self._loop.call_soon_threadsafe(self._on_fatal, error)
        failed = StoreFailed(f"The database did not answer ({code or type(error).__name__}).")
        failed.__cause__ = error
        return failed
