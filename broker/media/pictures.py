"""The pictures of an image job on their way in, and the gate that checks them. Decodes none of them.

Each is a part file of its own, written as a film is. They are put into one folder, and the folder is renamed: a
reader sees all of them or none, and so does the next start after a power cut.
"""

import hashlib
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import NoReturn, TypeVar

from broker.errors import BrokerError, InvalidValue, ResultRejected, TooLarge
from broker.media.folder import Folder, put_together
from broker.media.images import ImageFacts, check_alone, check_size, read_header
from broker.media.threads import DiskThreads
from broker.media.upload import DiskUpload
from broker.outputs import MAX_PICTURES, PICTURE_ENDINGS, Picture

MAX_PICTURE_BYTES = 32 * 1024 * 1024
_TAKEN = "The image must be PNG, JPEG or WebP."
T = TypeVar("T")


class DiskPictures:
    """A `broker.media_ports.PicturesUpload`."""

    def __init__(self, folder: Folder, threads: DiskThreads, max_bytes: int) -> None:
        self._folder = folder
        self._threads = threads
        self._room = max_bytes
        self._uploads: list[DiskUpload[ImageFacts]] = []

    async def begin(self) -> None:
        if len(self._uploads) == MAX_PICTURES:
            raise TooLarge(f"A job may have {MAX_PICTURES} images at most.")
        await self.seal()
        room = min(MAX_PICTURE_BYTES, self._room)
        self._uploads.append(DiskUpload(self._folder, self._threads, room, inspect_picture))

    async def write(self, data: bytes | memoryview) -> None:
        await self._uploads[-1].write(data)

    async def seal(self) -> None:
        """The last one; those before it were sealed as the next began."""
        if self._uploads and not self._uploads[-1].is_sealed:
            await self._uploads[-1].seal()
            self._room -= self._uploads[-1].size_bytes

    async def inspect(self) -> Sequence[Picture]:
        pictures = []
        for upload in self._uploads:
            facts = await upload.inspect()
            pictures.append(Picture(upload.sha256, upload.size_bytes, *facts))
        return pictures

    async def publish(self, name: str) -> None:
        pictures = await self.inspect()
        files = {
            f"{number}.{picture.ending}": upload.path
            for number, (picture, upload) in enumerate(zip(pictures, self._uploads, strict=True), 1)
        }
        part = self._folder.open_part()
        try:
            await self._threads.write(put_together, files, part, self._folder.pictures(name))
        finally:
            self._folder.forget_part(part)

    async def discard(self) -> None:
        """Those that were published have left their parts behind them, so nothing of them goes."""
        for upload in self._uploads:
            with suppress(BrokerError):
                await upload.discard()


def read_pictures(folder: Folder, name: str) -> Sequence[Picture]:
    """The stored pictures of a job, in order. Raises `ResultRejected` where one will not do."""
    return [_read_stored(path) for path in folder.stored_pictures(name)]


def _read_stored(path: Path) -> Picture:
    facts = inspect_picture(path)
    with path.open("rb") as file:
        sha256 = hashlib.file_digest(file, "sha256").hexdigest()
    return Picture(sha256, path.stat().st_size, *facts)


def inspect_picture(path: Path) -> ImageFacts:
    """Reads a picture. Raises `ResultRejected` with one of these classes:

    `empty`, `not_image`, `truncated`, `implausible_size`.
    """
    data = path.read_bytes() if path.exists() else b""
    if not data:
        _refuse("empty", "The image is empty.")
    try:
        facts = read_header(data)
    except InvalidValue:
        _refuse("not_image", _TAKEN)
    if facts is None:
        _refuse("truncated", "The image is damaged or cut short.")
    if facts.mime not in PICTURE_ENDINGS:
        _refuse("not_image", _TAKEN)
    _check(check_alone, data, "not_image")
    _check(check_size, facts, "implausible_size")
    return facts


def _check(check: Callable[[T], None], subject: T, gate_class: str) -> None:
    try:
        check(subject)
    except InvalidValue as error:
        _refuse(gate_class, error.message)


def _refuse(gate_class: str, message: str) -> NoReturn:
    raise ResultRejected(gate_class, message)
