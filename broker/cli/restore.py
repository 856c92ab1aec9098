"""Puts a copy in the place of the database, and says what is different then. The broker must not be running."""

import os
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from broker.cli.backup import counted, now_stamp, stored_media, told
from broker.config import Settings
from broker.errors import StartRefused
from broker.media.folder import Folder
from broker.store.sqlite.connection import FileHold
from broker.store.sqlite.copies import Contents, examine, newest_first, put_back

SHOWN_JOBS = 10


def restore(file: Path | None, *, is_dry: bool) -> int:
    """Restores this copy, or the newest good one in BACKUP_PATH. Returns the exit status."""
    try:
        settings = Settings.from_env(os.environ)
        hold = FileHold(settings.db_path)
        hold.take()
        try:
            _restore(settings, file, is_dry=is_dry)
        finally:
            hold.leave()
    except StartRefused as error:
        print(f"error: {error.message}", file=sys.stderr)
        return error.exit_code
    return 0


def _restore(settings: Settings, file: Path | None, *, is_dry: bool) -> None:
    copy, contents = (file, examine(file)) if file else _newest_good(settings.backup_path)
    print(f"Copy: {copy}: {told(contents)}.")
    if is_dry:
        print(
            f"Nothing has been changed. Without --dry-run it would take the place of {settings.db_path}."
        )
    else:
        aside = put_back(copy, settings.db_path, now_stamp())
        for path in aside:
            print(f"Set aside: {path}")
        print(f"In its place: {settings.db_path}. The broker can be started.")
    for line in _differences(contents, settings.video_storage_path):
        print(line)


def _newest_good(folder: Path) -> tuple[Path, Contents]:
    for copy in newest_first(folder):
        try:
            return copy, examine(copy)
        except StartRefused as error:
            print(f"Passed over: {error.message}", file=sys.stderr)
    raise StartRefused(
        f"There is no good copy in {folder} (BACKUP_PATH). Name another file: restore FILE."
    )


def _differences(contents: Contents, folder: Path) -> Iterator[str]:
    """What the copy says that may not be so any more, and what it does not know of."""
    if contents.pending:
        yield (
            f"Pending in the copy: {counted(len(contents.pending), 'job')}{_names(contents.pending)}. What has become "
            "of them since it does not know: they are handed out to workers that poll, unless their time is over."
        )
    if contents.processing:
        yield (
            f"Processing in the copy: {counted(len(contents.processing), 'job')}{_names(contents.processing)}. Their "
            "workers have one lease of time to go on; then they are recovered or tried again."
        )
    yield from _media_differences(contents, folder)


def _media_differences(contents: Contents, folder: Path) -> Iterator[str]:
    found = set(stored_media(folder))
    if missing := contents.media - found:
        yield f"Missing in {folder}: {len(missing)} films or sets of images. They are answered 410 (gone)."
    if missing_inputs := _missing_inputs(contents, folder):
        yield f"Missing in {folder}/.inputs: {missing_inputs} images that open jobs were given."
    opened = {*contents.pending, *contents.processing}
    unknown = found - contents.media
    if adopted := unknown & opened:
        yield f"In {folder} for open jobs: {len(adopted)} films or sets of images. The start completes their jobs."
    if kept := unknown - opened:
        yield f"In {folder} without a row in the copy: {len(kept)} films or sets of images. They are kept."


def _missing_inputs(contents: Contents, folder: Path) -> int:
    if not folder.is_dir():
        return len(contents.inputs)
    media = Folder(folder)
    return sum(not media.input(name).exists() for name in contents.inputs)


def _names(job_ids: Sequence[str]) -> str:
    more = ", …" if len(job_ids) > SHOWN_JOBS else ""
    return f" ({', '.join(job_ids[:SHOWN_JOBS])}{more})"
