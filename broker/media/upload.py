"""A file on its way in: one part file, hashed as it is written. Who sends it, and why, is not known here."""

import hashlib
import os
import threading
from collections.abc import Callable
from concurrent.futures import Future, wait
from contextlib import suppress
from pathlib import Path
from typing import Generic, NoReturn, TypeVar

from broker.errors import BrokerError, StoreFailed, TooLarge
from broker.media.folder import Folder, create_file, put_in_place, write_all
from broker.media.threads import DiskThreads, outcome

#: One write to the disk: large enough that the hop to a thread costs little beside it. An upload holds two of these.
GATHER_BYTES = 1024 * 1024


F = TypeVar("F")


class DiskUpload(Generic[F]):
    """A `broker.media_ports.Upload`, or one picture of several: one part file, made by the first write to the disk.

    Bytes are gathered in one buffer while a thread hashes and writes the other, so 2 MiB are held at most. The
    film path does without aiofiles: one hop for hash and write together is what keeps an upload at disk speed.
    """

    def __init__(
        self, folder: Folder, threads: DiskThreads, max_bytes: int, gate: Callable[[Path], F]
    ) -> None:
        """`gate` reads a whole file, in a thread, and says what it shows, or raises `ResultRejected`."""
        self._gate = gate
        self._folder = folder
        self._threads = threads
        self._max_bytes = max_bytes
        self._part = folder.open_part()
        self._size_bytes = 0
        self._hash = hashlib.sha256()
        self._fd: int | None = None
        #: Held by whichever thread uses or drops the file.
        self._lock = threading.Lock()
        self._buffer, self._spare = bytearray(GATHER_BYTES), bytearray(GATHER_BYTES)
        self._filled = 0
        self._writing: Future[None] | None = None
        self._inspecting: Future[F] | None = None
        self._failure: BrokerError | None = None
        self._is_over = False

    @property
    def size_bytes(self) -> int:
        return self._size_bytes

    @property
    def sha256(self) -> str:
        """Of the bytes written so far; final once sealed. Before that it may wait for a write to the disk."""
        if self._writing:
            wait([self._writing])
        digest = self._hash.copy()
        digest.update(memoryview(self._buffer)[: self._filled])
        return digest.hexdigest()

    @property
    def is_sealed(self) -> bool:
        return self._inspecting is not None

    @property
    def path(self) -> Path:
        """Where the bytes are until they are published."""
        return self._part

    async def write(self, data: bytes | memoryview) -> None:
        """Takes more bytes. Raises `TooLarge` over the limit and `DiskFull` when the disk is.

        Both remove the file. What the disk says of one piece may be raised by the next call.
        """
        assert not self._inspecting, "Sealed: nothing more is taken."
        self._refuse_after_failure()
        view = memoryview(data)
        self._size_bytes += len(view)
        if self._size_bytes > self._max_bytes:
            await self._fail(TooLarge(f"The file may have {self._max_bytes:,} bytes at most."))
        while view:
            taken = min(len(view), GATHER_BYTES - self._filled)
            self._buffer[self._filled : self._filled + taken] = view[:taken]
            self._filled += taken
            view = view[taken:]
            if self._filled == GATHER_BYTES:
                await self._flush()

    async def seal(self) -> None:
        """Everything is on disk."""
        self._refuse_after_failure()
        await self._flush()
        await self._land()
        # The gate reads the same bytes while the disk takes its time.
        self._inspecting = self._threads.start(self._gate, self._part)
        self._writing = self._threads.start(self._sync)
        await self._land()
        self._buffer = self._spare = bytearray()

    async def inspect(self) -> F:
        """What the gate says of the sealed file. Raises `ResultRejected` with the gate's class."""
        assert self._inspecting, "Sealed first."
        return await outcome(self._inspecting, StoreFailed)

    async def publish(self, name: str) -> None:
        """Makes the sealed file appear whole under `name`, durably. A film that was there stays with its readers.

        Raises `StoreFailed` where that cannot be (on Windows: a film of this name is being read).
        """
        await self._threads.write(put_in_place, self._part, self._folder.film(name))
        self._is_over = True
        self._folder.forget_part(self._part)

    async def discard(self) -> None:
        """Forgets the file unless it was published. Never fails."""
        if self._is_over:
            return
        self._is_over = True
        # A part that cannot be removed now is removed by the sweep at the next start.
        with suppress(BrokerError):
            await self._threads.write(self._drop)
        self._folder.forget_part(self._part)

    def _refuse_after_failure(self) -> None:
        if self._failure:
            raise self._failure

    async def _flush(self) -> None:
        """Sends the full buffer on its way to the disk and goes on with the other."""
        await self._land()
        full = memoryview(self._buffer)[: self._filled]
        self._buffer, self._spare, self._filled = self._spare, self._buffer, 0
        self._writing = self._threads.start(self._put, full)

    async def _land(self) -> None:
        """Waits for the write that is under way."""
        try:
            if self._writing:
                await outcome(self._writing, StoreFailed)
        except BrokerError as error:
            await self._fail(error)

    async def _fail(self, error: BrokerError) -> NoReturn:
        self._failure = error
        await self.discard()
        raise error

    # In a thread, from here on.

    def _put(self, data: memoryview) -> None:
        with self._lock:
            if self._is_over:
                return
            if self._fd is None:
                self._fd = create_file(self._part)
            self._hash.update(data)
            write_all(self._fd, data)

    def _sync(self) -> None:
        with self._lock:
            if self._fd is not None:
                os.fsync(self._fd)
                self._close()

    def _drop(self) -> None:
        with self._lock:
            self._close()
            self._part.unlink(missing_ok=True)

    def _close(self) -> None:
        fd, self._fd = self._fd, None
        if fd is not None:
            os.close(fd)
