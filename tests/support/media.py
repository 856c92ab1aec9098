"""A media store in memory, for tests of what is around it."""

import hashlib
from collections.abc import AsyncIterator, Sequence

from broker.errors import NotFound, ResultRejected
from broker.ports import Film, FilmFacts


class MemoryUpload:
    def __init__(self, media: "MemoryMedia", data: bytes = b"") -> None:
        self._media = media
        self._data = data

    @property
    def size_bytes(self) -> int:
        return len(self._data)

    @property
    def sha256(self) -> str:
        return hashlib.sha256(self._data).hexdigest()

    async def write(self, data: bytes | memoryview) -> None:
        self._data += bytes(data)

    async def seal(self) -> None:
        """Nothing to do."""

    async def inspect(self) -> FilmFacts:
        if not self._data.startswith(b"film"):
            raise ResultRejected("not_mp4", "Films here begin with the word film.")
        return FilmFacts(6.0, 640, 360)

    async def publish(self, name: str) -> None:
        self._media.kept[name] = self._data

    async def discard(self) -> None:
        """Nothing to do."""


class MemoryMedia:
    """Films that begin with `film` pass its gate."""

    def __init__(self) -> None:
        self.kept: dict[str, bytes] = {}
        self.inputs: dict[str, bytes] = {}
        self.free = 10**12

    async def receive(self) -> MemoryUpload:
        return MemoryUpload(self)

    def film(self, data: bytes) -> MemoryUpload:
        return MemoryUpload(self, data)

    async def find(self, name: str) -> Film | None:
        return Film(name, len(self.kept[name]), 0.0) if name in self.kept else None

    async def read(self, name: str, start: int, stop: int) -> AsyncIterator[bytes]:
        if name not in self.kept:
            raise NotFound()
        yield self.kept[name][start:stop]

    async def remove(self, name: str) -> bool:
        return self.kept.pop(name, None) is not None

    async def films(self) -> Sequence[Film]:
        return [Film(name, len(data), 0.0) for name, data in self.kept.items()]

    async def digest(self, name: str) -> str:
        return hashlib.sha256(self.kept[name]).hexdigest()

    async def inspect(self, name: str) -> FilmFacts:
        return await MemoryUpload(self, self.kept[name]).inspect()

    async def save_input(self, data: bytes, name: str) -> None:
        self.inputs[name] = data

    async def load_input(self, name: str) -> bytes:
        return self.inputs[name]

    async def remove_input(self, name: str) -> None:
        self.inputs.pop(name, None)

    async def sweep_leftovers(self) -> int:
        return 0

    async def free_bytes(self) -> int:
        return self.free
