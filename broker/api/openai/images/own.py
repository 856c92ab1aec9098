"""Images that this broker made, sent back to it by their address: they are read here, and never fetched."""

import sys
from collections.abc import Sequence

from broker.api.deps import Deps
from broker.api.lean import Call
from broker.api.links import base_url
from broker.errors import InvalidValue
from broker.ids import parse_job_id
from broker.media_ports import MediaStore
from broker.outputs import picture_names


class OwnPictures:
    def __init__(self, deps: Deps) -> None:
        self._store = deps.store
        self._media = deps.media
        self._settings = deps.settings

    async def in_place(self, call: Call, sources: Sequence[str | bytes]) -> list[str | bytes]:
        """The images as they came, with the bytes of each that is one of ours. Raises `InvalidValue`."""
        ours = f"{base_url(self._settings, call)}/images/"
        return [
            await self._read(call, source.removeprefix(ours).partition("?")[0])
            if isinstance(source, str) and source.startswith(ours)
            else source
            for source in sources
        ]

    async def _read(self, call: Call, file_name: str) -> bytes:
        stem, _, ending = file_name.partition(".")
        job_id = parse_job_id(stem)
        record = call.visible(await self._store.get(job_id)) if job_id else None
        if record is not None and record.result is not None and not record.result.removed_at:
            name = f"{record.job.id}.{ending}"
            if name in picture_names(record.job.id, record.result.pictures):
                return await picture_bytes(self._media, name)
        raise InvalidValue(f"There is no image {file_name[:80]} here.", param="image")


async def picture_bytes(media: MediaStore, name: str) -> bytes:
    """The whole of a picture. Raises `NotFound` where there is none of this name."""
    return b"".join([piece async for piece in media.read(name, 0, sys.maxsize)])
