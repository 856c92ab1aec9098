"""Keeps the stills of films beside them, and has them made where they are missing. Decodes nothing itself.

A still bears its film's time of change, so that one of an earlier file under the same name is known as stale.
"""

import os
from contextlib import suppress
from pathlib import Path
from subprocess import SubprocessError

from broker.errors import NotFound
from broker.media.apart import read_apart
from broker.media.folder import Folder, save_file
from broker.media_ports import Variant

#: Whoever waits for a picture has given up after it; making one takes a second.
MAKE_SECONDS = 15.0


def read_kept(folder: Folder, name: str, variant: Variant) -> bytes | None:
    """The still that is there; None where it has to be made. Raises `NotFound` where there is no film."""
    film, still = folder.stored_film(name), folder.variant(name, variant)
    try:
        is_fresh = still.stat().st_mtime_ns == film.stat().st_mtime_ns
        return still.read_bytes() if is_fresh else None
    except FileNotFoundError:
        return None


def make(folder: Folder, name: str, variant: Variant) -> bytes:
    """Makes a still and keeps it. Raises `NotFound` where there is no film, or no frame that can be read.

    To be called by one thread at a time, which may find that another's call has made it.
    """
    if kept := read_kept(folder, name, variant):
        return kept
    path = folder.stored_film(name)
    with path.open("rb", buffering=0) as film:
        changed_ns = os.fstat(film.fileno()).st_mtime_ns
        try:
            data = read_apart("frames.py", film, variant, seconds=MAKE_SECONDS)
        except SubprocessError as error:
            raise NotFound(f"No {variant} can be made of this video.") from error
    # A full disk costs the keeping, not the answer.
    with suppress(OSError):
        _keep(folder, data, folder.variant(name, variant), changed_ns)
    if not path.exists():
        # Removed meanwhile, and with it any still but this one.
        folder.variant(name, variant).unlink(missing_ok=True)
    return data


def _keep(folder: Folder, data: bytes, still: Path, changed_ns: int) -> None:
    part = folder.open_part()
    try:
        save_file(data, part, still)
        os.utime(still, ns=(changed_ns, changed_ns))
    finally:
        folder.forget_part(part)
