"""Copies the database of a broker that runs or does not, and says what the copy does not hold."""

import os
import sys
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

from broker.config import Settings
from broker.errors import StartRefused
from broker.media.folder import Folder
from broker.store.sqlite.copies import Contents, back_up

MB = 1_000_000


def make_backup(file: Path | None) -> int:
    """Makes a copy, by default a dated one in BACKUP_PATH. Returns the exit status."""
    try:
        settings = Settings.from_env(os.environ)
        target = _target(settings, file)
        contents = back_up(settings.db_path, target)
        print(f"{target}: {told(contents)}. Its pages have been checked, its rows counted.")
        print(_not_in_it(settings))
    except StartRefused as error:
        print(f"error: {error.message}", file=sys.stderr)
        return error.exit_code
    return 0


def told(contents: Contents) -> str:
    size = f"{contents.size_bytes / MB:.1f} MB, {counted(contents.jobs, 'job')}"
    if contents.newest_job_at is None:
        return size
    newest = datetime.fromtimestamp(contents.newest_job_at, UTC)
    return f"{size}, the newest of {newest:%Y-%m-%d %H:%M:%S} UTC"


def counted(count: int, what: str) -> str:
    return f"{count} {what}" if count == 1 else f"{count} {what}s"


def now_stamp() -> str:
    return datetime.fromtimestamp(time.time(), UTC).strftime("%Y-%m-%dT%H%M%SZ")


def stored_media(folder: Path) -> Mapping[str, int]:
    """The films and sets of pictures that are there, with their sizes. A folder that is missing is not made."""
    if not folder.is_dir():
        return {}
    return {film.name: film.size_bytes for film in Folder(folder).stored()}


def _target(settings: Settings, file: Path | None) -> Path:
    name = f"jobs-{now_stamp()}.db"
    if file is not None:
        return file / name if file.is_dir() else file
    try:
        settings.backup_path.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise StartRefused(f"BACKUP_PATH: {settings.backup_path}: {error.strerror}.") from error
    return settings.backup_path / name


def _not_in_it(settings: Settings) -> str:
    folder = settings.video_storage_path
    media = stored_media(folder)
    size = sum(media.values()) / MB
    return (
        f"Not in it: films and images ({len(media)}, {size:.1f} MB) and input images, all in {folder}; the webhook "
        f"secret, {settings.db_path}.webhook-secret; the logs. Copy the folder after the database: "
        f"cp -a {folder}/. /elsewhere/"
    )
