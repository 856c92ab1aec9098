"""`Images`: the `ImageReader` port. Ties decoding, checking and, where switched on, fetching together."""

import asyncio
from collections.abc import Sequence

from broker.errors import InvalidValue
from broker.media.fetch import fetch_image
from broker.media.images import decode_image, read_image
from broker.media_ports import Image

MAX_IMAGES = 8
#: Decoding more than this would hold up the event loop for longer than a hop to a thread costs.
_INLINE_CHARS = 256 * 1024


class Images:
    def __init__(self, *, can_fetch: bool) -> None:
        self._can_fetch = can_fetch

    async def read_all(self, sources: Sequence[str | bytes]) -> Sequence[Image]:
        if len(sources) > MAX_IMAGES:
            raise InvalidValue(f"At most {MAX_IMAGES} images are taken.", param="image")
        return [await self._read(source) for source in sources]

    def mime(self, data: bytes) -> str:
        return read_image(data).mime

    async def _read(self, source: str | bytes) -> Image:
        if isinstance(source, bytes):
            data = source
        elif source[:8].lower().startswith(("http://", "https://")):
            data = await self._fetched(source)
        elif len(source) > _INLINE_CHARS:
            data = await asyncio.to_thread(decode_image, source)
        else:
            data = decode_image(source)
        return Image(data, read_image(data).mime)

    async def _fetched(self, url: str) -> bytes:
        if not self._can_fetch:
            raise InvalidValue(
                "Images are taken as base64 or a data: URL. To let the broker fetch https URLs, its "
                "operator sets IMAGE_FETCH=1.",
                param="image",
            )
        return await fetch_image(url)
