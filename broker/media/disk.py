"""Keeps films, pictures and input images in one folder, whole or not at all. Does not know whose they are.

A film is written beside its place (`.incoming/*.part`), hashed on the way, synced, checked and renamed: a reader
sees all of it or nothing, and so does the next start after a power cut.
"""

import asyncio
import hashlib
import os
import shutil
import time
from collections.abc import AsyncIterator, Sequence
from concurrent.futures import Future
from contextlib import suppress
from pathlib import Path
from typing import Any

import aiofiles

from broker.errors import DiskFull, NotFound
from broker.media.folder import BINARY, Folder, save_file, take_away
from broker.media.gate import inspect_film
from broker.media.pictures import DiskPictures, read_pictures
from broker.media.threads import DiskThreads, disk_errors, outcome
from broker.media.upload import DiskUpload
from broker.media.variants import make, read_kept
from broker.media_ports import Film, FilmFacts, Image, Variant
from broker.outputs import Picture

#: One read from the disk, and all that a slow reader holds. A quarter faster than half of it with the next half read
#: ahead, which the system does by itself.
PIECE_BYTES = 512 * 1024
FREE_BYTES_TRUSTED_SECONDS = 1.0


class DiskMedia:
    """A `broker.media_ports.MediaStore` on a local disk.

    Folders it makes are 0700 and files 0600; a folder that was there keeps the mode its owner gave it.
    """

    def __init__(self, folder: Path, *, max_upload_bytes: int, min_free_bytes: int) -> None:
        """Makes the folder where it is missing. Raises `BadSetting` where that cannot be."""
        self._folder = Folder(folder)
        self._threads = DiskThreads()
        # One frame is decoded at a time, however many are asked for: chats come first.
        self._decoding = DiskThreads(1)
        self._max_upload_bytes = max_upload_bytes
        self._min_free_bytes = min_free_bytes
        self._free_bytes = 0
        self._free_bytes_seen_at = float("-inf")

    async def close(self) -> None:
        """Waits for what the disk is doing, then lets the threads go. Nothing else may be called after it."""
        await asyncio.to_thread(self._decoding.close, drop_waiting=True)
        await asyncio.to_thread(self._threads.close)

    async def receive(self) -> DiskUpload[FilmFacts]:
        """Begins an upload. Raises `DiskFull` when there is less room than is to be kept free."""
        await self._check_room()
        return DiskUpload(self._folder, self._threads, self._max_upload_bytes, inspect_film)

    async def receive_pictures(self) -> DiskPictures:
        """Begins the upload of pictures, which together may have what a film may. Raises `DiskFull` as for one."""
        await self._check_room()
        return DiskPictures(self._folder, self._threads, self._max_upload_bytes)

    async def find(self, name: str) -> Film | None:
        """The film or picture of this name; None where there is none, or where the name could not be one's."""
        try:
            return await self._threads.read(_look_up, self._folder, name)
        except NotFound:
            return None

    async def read(self, name: str, start: int, stop: int) -> AsyncIterator[bytes]:
        """The bytes from `start` up to `stop` or the end. A removal midway does not cut the reader."""
        busy: Future[Any]
        busy = opening = self._threads.start(_open_and_read, self._folder, name, start, stop)
        try:
            fd, piece = await outcome(opening, NotFound)
            while piece:
                yield piece
                start += len(piece)
                if start >= stop:
                    break
                busy = reading = self._threads.start(_read_at, fd, start, stop)
                piece = await outcome(reading, NotFound)
        finally:
            # Only then: until its thread is done, the descriptor must not become another file's. And in a
            # thread: closing a film that was removed meanwhile frees its blocks, 200 MB in 40 ms.
            self._threads.after(busy, _close_opened, opening)

    async def remove(self, name: str) -> bool:
        """Removes a film, or all pictures of a job; False where there were none.

        Raises `StoreFailed` where a reader prevents it (Windows).
        """
        try:
            return await self._threads.read(_remove, self._folder, name)
        except NotFound:
            return False

    async def films(self) -> Sequence[Film]:
        """Every published film and set of pictures, oldest first."""
        return await self._threads.read(_list_films, self._folder)

    async def digest(self, name: str) -> str:
        """The SHA-256 of a stored film, read from disk."""
        return await self._threads.read(_digest, self._folder, name)

    async def inspect(self, name: str) -> FilmFacts:
        """Reads a stored film. Raises `ResultRejected` with the gate's class."""
        return await self._threads.read(lambda: inspect_film(self._folder.stored_file(name)))

    async def inspect_pictures(self, name: str) -> Sequence[Picture]:
        """Reads the stored pictures of a job. Raises `ResultRejected` with the gate's class."""
        return await self._threads.read(read_pictures, self._folder, name)

    async def variant(self, name: str, variant: Variant) -> Image:
        """A still of a stored film, made where it is not there yet. Raises `NotFound` where that cannot be."""
        data = await self._threads.read(read_kept, self._folder, name, variant)
        if data is None:
            data = await self._decoding.read(make, self._folder, name, variant)
        return Image(data, "image/webp")

    async def save_input(self, data: bytes, name: str) -> None:
        """Keeps an input image, durably, until `remove_input`."""
        # In one hop, not through aiofiles: a caller cancelled between two steps would leave half an image.
        target, part = self._folder.input(name), self._folder.open_part()
        try:
            await self._threads.write(save_file, data, part, target)
        finally:
            self._folder.forget_part(part)

    async def load_input(self, name: str) -> bytes:
        """An input image. Raises `NotFound` where there is none."""
        path = self._folder.input(name)
        with disk_errors(NotFound):
            async with aiofiles.open(path, "rb", executor=self._threads.pool) as file:
                return await file.read()

    async def remove_input(self, name: str) -> None:
        """Removes an input image; no error where there was none."""
        with suppress(NotFound):
            await self._threads.read(os.unlink, self._folder.input(name))

    async def sweep_leftovers(self) -> int:
        """Deletes what an earlier run left unfinished; returns how many files. What is under way is left alone."""
        return await self._threads.read(self._folder.sweep)

    async def free_bytes(self) -> int:
        """How much room the disk has, as of a second ago at most."""
        if time.monotonic() - self._free_bytes_seen_at > FREE_BYTES_TRUSTED_SECONDS:
            usage = await self._threads.read(shutil.disk_usage, self._folder.films)
            self._free_bytes, self._free_bytes_seen_at = usage.free, time.monotonic()
        return self._free_bytes

    async def _check_room(self) -> None:
        if await self.free_bytes() < self._min_free_bytes:
            raise DiskFull


def _look_up(folder: Folder, name: str) -> Film:
    found = folder.stored_file(name).stat()
    return Film(name, found.st_size, found.st_mtime)


def _list_films(folder: Folder) -> Sequence[Film]:
    return sorted(folder.stored(), key=lambda film: (film.modified_at, film.name))


def _remove(folder: Folder, name: str) -> bool:
    film = folder.film(name)
    has_film = film.exists()
    film.unlink(missing_ok=True)
    for still in folder.variants(name):
        still.unlink(missing_ok=True)
    return take_away(folder.pictures(name)) or has_film


def _digest(folder: Folder, name: str) -> str:
    with folder.stored_file(name).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _open_and_read(folder: Folder, name: str, start: int, stop: int) -> tuple[int, bytes]:
    fd = os.open(folder.stored_file(name), os.O_RDONLY | BINARY)
    try:
        return fd, _read_at(fd, start, stop)
    except OSError:
        os.close(fd)
        raise


def _read_at(fd: int, start: int, stop: int) -> bytes:
    size = max(0, min(PIECE_BYTES, stop - start))
    if hasattr(os, "pread"):
        return os.pread(fd, size, start)
    os.lseek(fd, start, os.SEEK_SET)
    return os.read(fd, size)


def _close_opened(opening: Future[tuple[int, bytes]]) -> None:
    if not opening.exception():
        os.close(opening.result()[0])
