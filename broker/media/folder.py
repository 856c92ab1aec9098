"""Which path a name stands for, and how a file comes to its place whole. Knows nothing of threads or waiting."""

import os
import re
import secrets
import shutil
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path

from broker.errors import BadSetting, NotFound
from broker.media_ports import Film, Variant

_RESULT_NAME = re.compile(r"job_[0-9a-f]{32}(?:\.late)?", re.ASCII)
_PICTURE_NAME = re.compile(
    r"(job_[0-9a-f]{32}(?:\.late)?)\.((?:[1-9]|10)\.(?:png|jpg|webp))", re.ASCII
)
#: Lower case, because some disks do not tell the cases apart; nothing that is a device on Windows.
_INPUT_NAME = re.compile(
    r"(?!(?:con|prn|aux|nul|com\d|lpt\d)(?:\.|\Z))(?=.{1,120}\Z)[a-z0-9]+(?:[._-][a-z0-9]+)*",
    re.ASCII,
)
#: The pictures of one job lie in a folder of their own, so that all of them appear and go at one stroke.
PICTURES_ENDING = ".images"
#: The stills of a film lie beside it.
VARIANT_ENDINGS: dict[Variant, str] = {
    "thumbnail": ".thumbnail.webp",
    "spritesheet": ".spritesheet.webp",
}
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
        return self._place(name, ".mp4")

    def pictures(self, name: str) -> Path:
        """The folder in which the pictures of this name have their place. Raises as `film` does."""
        return self._place(name, PICTURES_ENDING)

    def variant(self, name: str, variant: Variant) -> Path:
        """Where this still of the film of this name has its place. Raises as `film` does."""
        return self._place(name, VARIANT_ENDINGS[variant])

    def variants(self, name: str) -> list[Path]:
        return [self._place(name, ending) for ending in VARIANT_ENDINGS.values()]

    def stored_film(self, name: str) -> Path:
        """The film of this name, which is there. Raises `NotFound` for everything else."""
        self.film(name)
        return self.stored_file(name)

    def stored_file(self, name: str) -> Path:
        """The film or the one picture of this name, which is there.

        Raises `NotFound`, also for a link that leads out of the folder.
        """
        picture = _PICTURE_NAME.fullmatch(name)
        place = self.pictures(picture[1]) / picture[2] if picture else self.film(name)
        path = Path(os.path.realpath(place))
        if path.parent != self.films / place.parent.relative_to(self.films) or not path.is_file():
            raise NotFound("There is no such file.")
        return path

    def stored_pictures(self, name: str) -> list[Path]:
        """The pictures of this name, in order. Raises `NotFound` where there are none."""
        with os.scandir(self.pictures(name)) as entries:
            names = [f"{name}.{entry.name}" for entry in entries]
        named = [match for name in names if (match := _PICTURE_NAME.fullmatch(name))]
        named.sort(key=lambda match: int(match[2].partition(".")[0]))
        return [self.stored_file(match[0]) for match in named]

    def stored(self) -> Iterator[Film]:
        """Every film and every set of pictures that is there. Links are passed over."""
        with os.scandir(self.films) as entries:
            for entry in entries:
                name, ending = os.path.splitext(entry.name)
                is_named = ending in (".mp4", PICTURES_ENDING) and _RESULT_NAME.fullmatch(name)
                with suppress(FileNotFoundError):  # Removed this moment.
                    if is_named and (found := _stored(entry, is_folder=ending == PICTURES_ENDING)):
                        yield Film(name, *found)

    def _place(self, name: str, ending: str) -> Path:
        if not _RESULT_NAME.fullmatch(name):
            raise NotFound("There is no such file.")
        return self.films / f"{name}{ending}"

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
        leftovers += self._widowed()
        for path in leftovers:
            if path.is_dir():
                shutil.rmtree(path, ignore_errors=True)
            else:
                path.unlink(missing_ok=True)
        return len(leftovers)

    def _widowed(self) -> Iterator[Path]:
        """Stills whose film is gone: a kill came between the two."""
        for ending in VARIANT_ENDINGS.values():
            for still in self.films.glob(f"job_*{ending}"):
                name = still.name.removesuffix(ending)
                if _RESULT_NAME.fullmatch(name) and not self.film(name).exists():
                    yield still


def _stored(entry: "os.DirEntry[str]", *, is_folder: bool) -> tuple[int, float] | None:
    """How large it is, and when it was changed; None for what is not of that kind."""
    if is_folder and entry.is_dir(follow_symlinks=False):
        with os.scandir(entry) as files:
            size_bytes = sum(file.stat(follow_symlinks=False).st_size for file in files)
        return size_bytes, entry.stat().st_mtime
    if not is_folder and entry.is_file(follow_symlinks=False):
        return entry.stat().st_size, entry.stat().st_mtime
    return None


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


def put_together(files: Mapping[str, Path], part: Path, target: Path) -> None:
    """Makes a folder of these files appear whole, in the place of one that was there."""
    part.mkdir(mode=0o700)
    try:
        for name, file in files.items():
            os.replace(file, part / name)
        _sync_folder(part)
        take_away(target)
        put_in_place(part, target)
    except OSError:
        shutil.rmtree(part, ignore_errors=True)
        raise


def take_away(folder: Path) -> bool:
    """Removes a folder of pictures at one stroke; False where there was none."""
    gone = folder.parent / ".incoming" / f"{secrets.token_hex(16)}.part"
    try:
        os.rename(folder, gone)
    except FileNotFoundError:
        return False
    shutil.rmtree(gone, ignore_errors=True)
    return True


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
