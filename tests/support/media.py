"""A media store in memory, for tests of what is around it."""

import hashlib
from collections.abc import AsyncIterator, Sequence

from broker.errors import NotFound, ResultRejected
from broker.media_ports import Film, FilmFacts, Image, Variant
from broker.outputs import Picture


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


class MemoryPictures:
    def __init__(self, media: "MemoryMedia", files: Sequence[bytes] = ()) -> None:
        self._media = media
        self._files = list(files)

    async def begin(self) -> None:
        self._files.append(b"")

    async def write(self, data: bytes | memoryview) -> None:
        self._files[-1] += bytes(data)

    async def seal(self) -> None:
        """Nothing to do."""

    async def inspect(self) -> Sequence[Picture]:
        return [_picture_of(data) for data in self._files]

    async def publish(self, name: str) -> None:
        self._media.sets[name] = self._files

    async def discard(self) -> None:
        """Nothing to do."""


def _picture_of(data: bytes) -> Picture:
    if not data.startswith(b"picture"):
        raise ResultRejected("not_image", "Pictures here begin with the word picture.")
    return Picture(hashlib.sha256(data).hexdigest(), len(data), "image/png", 640, 480)


class MemoryMedia:
    """Films that begin with `film` and pictures that begin with `picture` pass its gate."""

    def __init__(self) -> None:
        self.kept: dict[str, bytes] = {}
        #: The pictures of jobs.
        self.sets: dict[str, list[bytes]] = {}
        self.inputs: dict[str, bytes] = {}
        self.free = 10**12

    async def receive(self) -> MemoryUpload:
        return MemoryUpload(self)

    def film(self, data: bytes) -> MemoryUpload:
        return MemoryUpload(self, data)

    async def receive_pictures(self) -> MemoryPictures:
        return MemoryPictures(self)

    def pictures(self, *files: bytes) -> MemoryPictures:
        return MemoryPictures(self, files)

    async def find(self, name: str) -> Film | None:
        return Film(name, len(self.kept[name]), 0.0) if name in self.kept else None

    async def read(self, name: str, start: int, stop: int) -> AsyncIterator[bytes]:
        if name not in self.kept:
            raise NotFound()
        yield self.kept[name][start:stop]

    async def remove(self, name: str) -> bool:
        found = self.kept.pop(name, None), self.sets.pop(name, None)
        return found != (None, None)

    async def films(self) -> Sequence[Film]:
        sizes = {name: len(data) for name, data in self.kept.items()}
        sizes |= {name: sum(map(len, files)) for name, files in self.sets.items()}
        return [Film(name, size_bytes, 0.0) for name, size_bytes in sizes.items()]

    async def digest(self, name: str) -> str:
        return hashlib.sha256(self.kept[name]).hexdigest()

    async def inspect_pictures(self, name: str) -> Sequence[Picture]:
        if name not in self.sets:
            raise NotFound()
        return [_picture_of(data) for data in self.sets[name]]

    async def inspect(self, name: str) -> FilmFacts:
        if name not in self.kept:
            raise NotFound()
        return await MemoryUpload(self, self.kept[name]).inspect()

    async def variant(self, name: str, variant: Variant) -> Image:
        if name not in self.kept:
            raise NotFound()
        return Image(f"{variant} of ".encode() + self.kept[name], "image/webp")

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
