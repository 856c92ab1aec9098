"""Packs the extension into a zip that comes out byte for byte the same wherever and whenever it is made.

So a person who has the source can tell by a hash whether a zip holds it. Packs what is there; changes nothing in it.
"""

import hashlib
import json
import sys
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from zipfile import ZIP_STORED, ZipFile, ZipInfo

from broker.config import SHIPPED_PACK

EXTENSION = SHIPPED_PACK.parents[1]
#: What Chromium loads. Anything else in the folder is somebody's leftover and stays out.
ENDINGS = frozenset({".css", ".html", ".js", ".json", ".png"})
#: The earliest that a zip can tell. The true times differ from one copy of the source to the next.
_MADE_AT = (1980, 1, 1, 0, 0, 0)
_UNIX = 3
_PLAIN_FILE = 0o100644 << 16


def pack_extension(target: Path | None = None, source: Path = EXTENSION) -> int:
    """Writes the zip, by default into this folder, and prints its name and hash. The command's exit status."""
    target = target or Path(f"grok-broker-extension-{_version(source)}.zip")
    data = packed(source)
    try:
        target.write_bytes(data)
    except OSError as error:
        print(f"error: {target} cannot be written: {error.strerror}.", file=sys.stderr)
        return 1
    print(f"{hashlib.sha256(data).hexdigest()}  {target}")
    return 0


def packed(source: Path = EXTENSION) -> bytes:
    """The zip."""
    made = BytesIO()
    with ZipFile(made, "w") as archive:
        for name, path in files_of(source):
            archive.writestr(_entry(name), path.read_bytes())
    return made.getvalue()


def files_of(source: Path) -> Iterator[tuple[str, Path]]:
    """The extension's files by their names in the zip, in an order that no file system decides."""
    found = {
        path.relative_to(source).as_posix(): path
        for path in source.rglob("*")
        if path.suffix in ENDINGS and path.is_file() and not path.is_symlink()
    }
    names = [name for name in found if not any(part.startswith(".") for part in name.split("/"))]
    return ((name, found[name]) for name in sorted(names))


def _entry(name: str) -> ZipInfo:
    entry = ZipInfo(name, _MADE_AT)
    entry.create_system = _UNIX
    entry.external_attr = _PLAIN_FILE
    # Squeezed bytes differ from one zlib to the next, and there is little to save.
    entry.compress_type = ZIP_STORED
    return entry


def _version(source: Path) -> str:
    manifest = json.loads((source / "manifest.json").read_text(encoding="utf-8"))
    return str(manifest["version"])
