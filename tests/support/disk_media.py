"""A media store of its own for a test, on the disk or in memory, and the few steps that most tests begin with."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import NamedTuple

from broker.media.disk import DiskMedia
from broker.media_ports import MediaStore, Upload
from tests.support.media import MemoryMedia
from tests.support.running import run

JOB = "job_" + "0a" * 16
OTHER = "job_" + "0b" * 16
MIB = 1024 * 1024
FILM = bytes(range(256)) * 4096 * 3 + b"the end"


class Opened(NamedTuple):
    """A media store and its folder."""

    store: MediaStore
    folder: Path

    def parts(self) -> list[Path]:
        return list((self.folder / ".incoming").iterdir())

    def tree(self) -> list[Path]:
        return sorted(self.folder.parent.rglob("*"))


@asynccontextmanager
async def opened(
    folder: Path, *, max_upload_bytes: int = 100 * MIB, min_free_bytes: int = 0
) -> AsyncIterator[Opened]:
    disk = DiskMedia(folder, max_upload_bytes=max_upload_bytes, min_free_bytes=min_free_bytes)
    try:
        yield Opened(disk, folder)
    finally:
        await disk.close()


def with_store(folder: Path, test: Callable[[Opened], Awaitable[None]], **limits: int) -> None:
    """Runs a test in a store of its own."""

    async def body() -> None:
        async with opened(folder / "videos", **limits) as media:
            await test(media)

    run(body())


def with_memory(folder: Path, test: Callable[[Opened], Awaitable[None]]) -> None:
    """Runs a test in the store that other tests use; its folder stays empty."""
    run(test(Opened(MemoryMedia(), folder)))


async def sent(media: Opened, data: bytes = FILM) -> Upload:
    """A sealed upload."""
    upload = await media.store.receive()
    await upload.write(data)
    await upload.seal()
    return upload


async def published(media: Opened, name: str = JOB, data: bytes = FILM) -> Upload:
    upload = await sent(media, data)
    await upload.publish(name)
    return upload


async def read_all(media: Opened, name: str, start: int = 0, stop: int = len(FILM)) -> bytes:
    return b"".join([piece async for piece in media.store.read(name, start, stop)])
