"""Which path a name stands for, and how a file comes to its place whole. Knows nothing of threads or waiting."""

import os
import re
import secrets
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from broker.errors import BadSetting, NotFound

_FILM_NAME = re.compile(r"job_[0-9a-f]{32}(?:\.late)?", re.ASCII)
#: Lower case, because some disks do not tell the cases apart; nothing that is a device on Windows.
_INPUT_NAME = re.compile(
    r"(?!(?:con|prn|aux|nul|com\d|lpt\d)(?:\.|\Z))(?=.{1,120}\Z)[a-z0-9]+(?:[._-][a-z0-9]+)*",
    re.ASCII,
)
#: Without it Windows translates line ends.
BINARY = getattr(os, "O_BINARY", 0)


class Folder:
    """Which path a name stands for. Nothing becomes a path that is not the exact spelling of a name."""

    def __init__(self, folder: Path) -> None:
        try:
            for each in (folder, folder / ".incoming", folder / ".inputs"):
                _make_folder(each)
            self.films = folder.resolve(strict=True)
        except OSError as error:
            raise BadSetting(f"The video folder {folder} cannot be used: {error}") from error
        if not os.access(self.films, os.R_OK | os.W_OK | os.X_OK):
            raise BadSetting(f"The video folder {folder} cannot be written to.")
        self._incoming = self.films / ".incoming"
        self._inputs = self.films / ".inputs"
        self._open_parts: set[Path] = set()

    def film(self, name: str) -> Path:
        """Where the film of this name has its place. Raises `NotFound` for what is not a film's name."""
        if not _FILM_NAME.fullmatch(name):
            raise NotFound("There is no such video.")
        return self.films / f"{name}.mp4"

    def stored_film(self, name: str) -> Path:
        """The film of this name, which is there. Raises `NotFound`, also for a link that leads out of the folder."""
        path = Path(os.path.realpath(self.film(name)))
        if path.parent != self.films or not path.is_file():
            raise NotFound("There is no such video.")
        return path

    def stored_films(self) -> Iterator[tuple[str, os.stat_result]]:
        """Every film that is there, with what the disk says of it. Links are passed over."""
        with os.scandir(self.films) as entries:
            for entry in entries:
                name, dot, ending = entry.name.rpartition(".mp4")
                is_named = bool(dot) and not ending and _FILM_NAME.fullmatch(name)
                with suppress(FileNotFoundError):  # Removed this moment.
                    if is_named and entry.is_file(follow_symlinks=False):
                        yield name, entry.stat()

    def input(self, name: str) -> Path:
        if not _INPUT_NAME.fullmatch(name):
            raise NotFound("There is no such image.")
        return self._inputs / name

    def open_part(self) -> Path:
        part = self._incoming / f"{secrets.token_hex(16)}.part"
        self._open_parts.add(part)
        return part

    def forget_part(self, part: Path) -> None:
        self._open_parts.discard(part)

    def sweep(self) -> int:
        leftovers = [path for path in self._incoming.glob("*.part") if path not in self._open_parts]
        for path in leftovers:
            path.unlink(missing_ok=True)
        return len(leftovers)


def _make_folder(folder: Path) -> None:
    """Makes a folder and those above it, durably: a film is no safer than the folder's own entry."""
    if folder.is_dir():
        return
    if not folder.parent.exists():
        _make_folder(folder.parent)
    folder.mkdir(mode=0o700, exist_ok=True)
    _sync_folder(folder.parent)


def _sync_folder(folder: Path) -> None:
    if os.name == "nt":  # Windows has no such thing: a rename there is as durable as it gets.
        return
    fd = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def create_file(path: Path) -> int:
    return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | BINARY, 0o600)


def write_all(fd: int, data: bytes | memoryview) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(fd, view) :]


def put_in_place(part: Path, target: Path) -> None:
    os.replace(part, target)
    _sync_folder(target.parent)


def save_file(data: bytes, part: Path, target: Path) -> None:
    try:
        fd = create_file(part)
        try:
            write_all(fd, data)
            os.fsync(fd)
        finally:
            os.close(fd)
        put_in_place(part, target)
    finally:
        part.unlink(missing_ok=True)
