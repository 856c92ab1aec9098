"""What the core asks of a media store: films, pictures and input images, whole or not there at all.

Each verb carries its promise here; `tests/contract/test_media_store.py` proves that an implementation keeps it.
"""

from collections.abc import AsyncIterator, Sequence
from typing import Literal, NamedTuple, Protocol

from broker.outputs import Picture


class FilmFacts(NamedTuple):
    """What the gate read off a film."""

    duration_seconds: float
    width: int
    height: int


class Upload(Protocol):
    """A film on its way in. Nothing of it is visible until it is published."""

    @property
    def size_bytes(self) -> int: ...

    @property
    def sha256(self) -> str:
        """Of the bytes written so far; final once sealed."""

    async def write(self, data: bytes | memoryview) -> None:
        """Takes more bytes. Raises `TooLarge` over the limit and `DiskFull` when the disk is."""

    async def seal(self) -> None:
        """Everything is on disk."""

    async def inspect(self) -> FilmFacts:
        """Reads the sealed file as a film. Raises `ResultRejected` with the gate's class."""

    async def publish(self, name: str) -> None:
        """Makes the sealed file appear whole under `name`, durably. Replaces nothing that readers have open."""

    async def discard(self) -> None:
        """Forgets the file unless it was published. Never fails."""


class PicturesUpload(Protocol):
    """The pictures of one job on their way in. None of them is visible until all are, at one stroke."""

    async def begin(self) -> None:
        """What is written from here on is the next picture's. Raises `TooLarge` when there are too many."""

    async def write(self, data: bytes | memoryview) -> None:
        """Takes more bytes. Raises as a film's does."""

    async def seal(self) -> None:
        """Everything is on disk."""

    async def inspect(self) -> Sequence[Picture]:
        """Reads the sealed files as pictures, in order. Raises `ResultRejected` with the gate's class."""

    async def publish(self, name: str) -> None:
        """Makes all of them appear under `name`, durably, in the place of any that were there."""

    async def discard(self) -> None:
        """Forgets the files unless they were published. Never fails."""


class Image(NamedTuple):
    """An image whose type is known to be true."""

    data: bytes
    mime: str


class ImageReader(Protocol):
    """Turns what a client sent as an image into checked bytes."""

    async def read_all(self, sources: Sequence[str | bytes]) -> Sequence[Image]:
        """Checks bytes; decodes base64 and data URLs; fetches http(s) URLs where that is switched on.

        Raises `InvalidValue` or `TooLarge`, naming what would be right.
        """

    def mime(self, data: bytes) -> str:
        """The type of an image that was checked before."""


#: A still that stands for a film: one frame of it, or many in a grid.
Variant = Literal["thumbnail", "spritesheet"]


class Film(NamedTuple):
    """A stored film, or the pictures of one job together, for reading."""

    name: str
    size_bytes: int
    #: Unix seconds of its last change.
    modified_at: float


class MediaStore(Protocol):
    """Where films, pictures and input images live. What has a name is whole and checked.

    A job's film and its pictures, of which it has one or the other, go by the job's name. One picture of
    them is `<job>.<number>.<ending>`, numbered from 1, and can be found and read like a film.
    """

    async def receive(self) -> Upload:
        """Begins the upload of a film. Raises `DiskFull` when there is no room for one."""

    async def receive_pictures(self) -> PicturesUpload:
        """Begins the upload of pictures. Raises `DiskFull` when there is no room for them."""

    async def find(self, name: str) -> Film | None: ...

    def read(self, name: str, start: int, stop: int) -> AsyncIterator[bytes]:
        """The bytes from `start` up to `stop`, in pieces. Raises `NotFound` where there is no such film."""

    async def remove(self, name: str) -> bool:
        """Removes a film with its variants, or all pictures of a job; False where there were none."""

    async def films(self) -> Sequence[Film]:
        """Every published film and set of pictures, oldest first."""

    async def digest(self, name: str) -> str:
        """The SHA-256 of a stored film, read from disk."""

    async def inspect(self, name: str) -> FilmFacts:
        """Reads a stored film. Raises `ResultRejected` with the gate's class."""

    async def inspect_pictures(self, name: str) -> Sequence[Picture]:
        """Reads the stored pictures of a job, in order. Raises `ResultRejected` with the gate's class."""

    async def variant(self, name: str, variant: Variant) -> Image:
        """A WebP of a stored film, made when it is first asked for and removed with the film.

        It is no film: `find` and `films` do not know it. Raises `NotFound` where there is no such film, or no
        frame of it can be read.
        """

    async def save_input(self, data: bytes, name: str) -> None:
        """Keeps an input image, durably, until `remove_input`."""

    async def load_input(self, name: str) -> bytes: ...

    async def remove_input(self, name: str) -> None:
        """Removes an input image; no error where there was none."""

    async def sweep_leftovers(self) -> int:
        """Deletes what an earlier run left unfinished; returns how many files."""

    async def free_bytes(self) -> int:
        """How much room the disk has."""
