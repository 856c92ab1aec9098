"""The page pack: what workers know of the site's page, as data. Read afresh whenever its file has changed.

What stands in it is the workers' affair; here it only has to be one JSON object with a version.
"""

import asyncio
import hashlib
import json
import stat
from pathlib import Path
from typing import NamedTuple

from broker.api.deps import Deps
from broker.api.extension.wire import PagePack
from broker.api.lean import Call, Door, Reply, Route
from broker.errors import BrokerError, NotFound, PackUnusable

MAX_PACK_BYTES = 256 * 1024
MAX_VERSION_CHARS = 40


class Pack(NamedTuple):
    """A page pack that can be used, byte for byte."""

    data: bytes
    version: str

    @property
    def tag(self) -> str:
        return f'"{hashlib.sha256(self.data).hexdigest()}"'


class PackFile:
    """Remembers the pack, or what was wrong with it, for as long as its file stays as it is."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._seen: tuple[int, ...] = ()
        self._found: Pack | PackUnusable | None = None

    async def read(self) -> Pack:
        """Raises `NotFound` where there is no file and `PackUnusable` where it will not do."""
        return await asyncio.to_thread(self._read)

    async def version(self) -> str | None:
        """The pack's version; None where there is no pack that can be used."""
        try:
            return (await self.read()).version
        except BrokerError:
            return None

    def _read(self) -> Pack:
        try:
            found = self._path.stat()
            seen = (found.st_mtime_ns, found.st_size, found.st_ino)
            if self._found is None or seen != self._seen:
                self._found, self._seen = _read_pack(self._path, found.st_mode), seen
        except FileNotFoundError:
            raise NotFound("There is no page pack.") from None
        except OSError as error:
            raise PackUnusable(f"The page pack cannot be read: {error.strerror}.") from error
        if isinstance(self._found, PackUnusable):
            raise self._found
        return self._found


class PackDoor:
    def __init__(self, deps: Deps) -> None:
        self._pack = PackFile(deps.settings.pack_path)

    def routes(self) -> list[Route]:
        return [
            Route(
                "GET",
                "/extension/pack",
                Door.WORKER,
                handle=self.read,
                is_noted=False,
                gives=PagePack,
                answers={304: None, 404: None},
            )
        ]

    async def read(self, call: Call) -> Reply:
        """Fetch the page pack: what workers know of the site's page"""
        pack = await self._pack.read()
        tag = ((b"etag", pack.tag.encode()),)
        if pack.tag in (call.header(b"if-none-match") or ""):
            return Reply(304, headers=tag)
        return Reply(200, pack.data, headers=tag)


def _read_pack(path: Path, mode: int) -> Pack | PackUnusable:
    if not stat.S_ISREG(mode):
        return PackUnusable("The page pack is not a file.")
    with path.open("rb") as file:
        data = file.read(MAX_PACK_BYTES + 1)
    if len(data) > MAX_PACK_BYTES:
        return PackUnusable(f"The page pack has more than {MAX_PACK_BYTES // 1024} KiB.")
    try:
        pack = json.loads(data.decode("utf-8"))
    except (ValueError, RecursionError):
        return PackUnusable("The page pack is not JSON in UTF-8.")
    version = pack.get("version") if isinstance(pack, dict) else None
    if not isinstance(version, str) or not 0 < len(version) <= MAX_VERSION_CHARS:
        return PackUnusable(
            f"The page pack has no version, a text of up to {MAX_VERSION_CHARS} characters."
        )
    return Pack(data, version)
