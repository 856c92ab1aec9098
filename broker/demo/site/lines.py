"""Writes objects as the site streams them: mostly one to a line, now and then glued together or cut in the middle."""

import json
from collections.abc import AsyncIterator

from starlette.responses import StreamingResponse

from broker.demo.site.world import Wire

#: Every so many objects the end of the line is left out, and every so many an object comes in two pieces.
GLUED_EVERY = 3
CUT_EVERY = 4


def streamed(objects: AsyncIterator[Wire]) -> StreamingResponse:
    headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
    return StreamingResponse(in_pieces(objects), media_type="application/json", headers=headers)


async def in_pieces(objects: AsyncIterator[Wire]) -> AsyncIterator[bytes]:
    number = 0
    async for found in objects:
        number += 1
        data = json.dumps(found, ensure_ascii=False).encode()
        if number % GLUED_EVERY:
            data += b"\n"
        if number % CUT_EVERY == 0:
            # Also through a letter of several bytes.
            yield data[: len(data) // 2]
            data = data[len(data) // 2 :]
        yield data
