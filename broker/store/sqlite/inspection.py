"""Says whether a database file is ours, whole, and has all of its log. Looks, and changes neither."""

import os
import sqlite3
import struct
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from threading import Timer
from typing import NamedTuple
from urllib.parse import quote

from broker.errors import DatabaseDamaged, SchemaTooNew, StartRefused

#: "GrkB": tells our files from other people's.
APPLICATION_ID = 0x47726B42

#: A start reads all pages of a file up to this size, which takes it 0.05 s.
SMALL_BYTES = 32 * 1024 * 1024
#: Of a larger one it reads so long, and only after a stop that was none: a million jobs take 0.8 s.
UNCLEAN_SECONDS = 1.0

#: What SQLite answers when the file is in order, but not the disk, the folder, or who else uses it.
_NOT_THE_FILE = ("BUSY", "LOCKED", "FULL", "IOERR", "CANTOPEN", "READONLY", "PERM", "NOMEM")


def damaged(path: Path, what: str) -> DatabaseDamaged:
    return DatabaseDamaged(
        f"DB_PATH: {path} {what}. It has been left as it is. `python -m broker restore` sets it aside "
        "and puts the newest copy from backups/ (BACKUP_PATH) in its place."
    )


def refusal(path: Path, error: Exception) -> StartRefused:
    """What the error means for a start: a file that is damaged, or one that cannot be used now."""
    name = getattr(error, "sqlite_errorname", "").removeprefix("SQLITE_")
    is_damaged = isinstance(error, sqlite3.DatabaseError) and not name.startswith(_NOT_THE_FILE)
    if is_damaged:
        return damaged(path, f"is damaged or not a database ({error})")
    return StartRefused(f"DB_PATH: cannot open {path}: {error}.")


def read_only_uri(path: Path, *, immutable: bool = False) -> str:
    """`immutable` is for a file that nobody writes: it is read without a lock, and without a log."""
    return f"file:{quote(str(path.resolve()))}?mode=ro{'&immutable=1' if immutable else ''}"


def inspect(path: Path, newest_schema: int, limit_seconds: float | None = None) -> None:
    """Raises `DatabaseDamaged` or `SchemaTooNew`, or `StartRefused` where the file cannot be read at all.

    A file that is not there is in order. Without a limit all pages are read.
    """
    refuse_cut(path)
    if not path.exists():
        return
    try:
        with closing(sqlite3.connect(read_only_uri(path), uri=True)) as db:
            problem = identity_problem(db, path, newest_schema)
            problem = problem or find_problem(db, limit_seconds)
    except sqlite3.Error as error:
        raise refusal(path, error) from error
    if problem:
        raise damaged(path, problem)


def refuse_cut(path: Path) -> None:
    """Raises `DatabaseDamaged` for what SQLite itself would take for a new or an older database."""
    if not path.exists():
        if _size(_beside(path, "wal")):
            raise damaged(path, "is gone, but its log is still there")
    elif not path.stat().st_size:
        raise damaged(path, "is empty, as no broker leaves it")
    elif _log_is_cut(path):
        raise damaged(
            path,
            f"lacks the end of its log ({path.name}-wal), and with it what was acknowledged last "
            f"(`python -m broker restore {path}` goes on with what is left)",
        )


def start_seconds(path: Path) -> float | None:
    """How long a start may look through this file. None is without a limit."""
    if _size(path) <= SMALL_BYTES:
        return None
    # The log of a clean stop is gone, or empty if somebody has read the database since.
    return UNCLEAN_SECONDS if _size(_beside(path, "wal")) else 0.0


def identity_problem(db: sqlite3.Connection, path: Path, newest_schema: int) -> str | None:
    """Why this is no database of ours; None if it is. Raises `SchemaTooNew` for a newer broker's."""
    (application_id,) = db.execute("PRAGMA application_id").fetchone()
    (tables,) = db.execute("SELECT count(*) FROM sqlite_schema").fetchone()
    (version,) = db.execute("PRAGMA user_version").fetchone()
    if tables and application_id != APPLICATION_ID:
        return "is, by its application id, another program's database (if it is, set DB_PATH to another file)"
    if version > newest_schema:
        raise SchemaTooNew(
            f"{path} has schema {version}, this broker knows {newest_schema}. Use the newer broker."
        )
    return None


def find_problem(db: sqlite3.Connection, limit_seconds: float | None = None) -> str | None:
    """What is wrong with the pages, in a few words; None if nothing is, or was found in this time."""
    if limit_seconds == 0:
        return None
    try:
        with _interrupted(db, limit_seconds):
            (told,) = db.execute("PRAGMA quick_check(1)").fetchone()
    except sqlite3.OperationalError as error:
        if error.sqlite_errorname != "SQLITE_INTERRUPT":
            raise
        return None
    return None if told == "ok" else f"is damaged ({str(told).splitlines()[-1]})"


@contextmanager
def _interrupted(db: sqlite3.Connection, after_seconds: float | None) -> Iterator[None]:
    if after_seconds is None:
        yield
        return
    timer = Timer(after_seconds, db.interrupt)
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
        # The connection may be closed next, and must not be interrupted then.
        timer.join()


class _LogIndex(NamedTuple):
    """What the index of a write-ahead log says of it, in the form of sqlite.org/walformat.html, section 2."""

    frames: int
    page_bytes: int
    salt: bytes
    checksum: bytes
    #: So many of the frames are in the database too.
    copied: int

    @property
    def log_bytes(self) -> int:
        return 32 + self.frames * (24 + self.page_bytes)


def _log_is_cut(path: Path) -> bool:
    """Whether the log lacks frames that its index counts. SQLite itself takes such a log for a shorter one.

    An index outlives a kill, and is of no use after a power cut: then its salt tells that it is an older log's.
    """
    index = _read_index(path)
    if index is None or not index.frames:
        return False
    head, last = _read_log(path, index)
    if not head:
        is_cut = index.copied < index.frames
    elif head[16:24] != index.salt:
        is_cut = len(head) < 32
    else:
        is_cut = (
            last[8:] != index.salt + index.checksum or _size(_beside(path, "wal")) < index.log_bytes
        )
    # A broker that runs may have written in between.
    return is_cut and _read_index(path) == index


def _read_index(path: Path) -> _LogIndex | None:
    try:
        with _beside(path, "shm").open("rb") as file:
            data = file.read(100)
    except OSError:
        return None
    if len(data) < 100 or data[:48] != data[48:96]:
        return None
    version, *_, page, frames, _, first, second, salt = struct.unpack("=3I2BH4I8s", data[:40])
    if version != 3007000:
        return None
    page_bytes = (page & 0xFE00) | (page & 1) << 16
    (copied,) = struct.unpack("=I", data[96:100])
    return _LogIndex(frames, page_bytes, salt, struct.pack(">2I", first, second), copied)


def _read_log(path: Path, index: _LogIndex) -> tuple[bytes, bytes]:
    """The head of the log, and of its last frame."""
    try:
        with _beside(path, "wal").open("rb") as file:
            head = file.read(32)
            file.seek(index.log_bytes - index.page_bytes - 24)
            return head, file.read(24)
    except OSError:
        return b"", b""


def _beside(path: Path, ending: str) -> Path:
    # As SQLite names them: a link is followed first.
    return Path(f"{os.path.realpath(path)}-{ending}")


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0
