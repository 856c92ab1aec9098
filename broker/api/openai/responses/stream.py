"""A response as server-sent events: each with its name and its data, and comments while there is nothing to tell."""

import json
import time
from collections.abc import Iterator

from broker.api.errors import Problem
from broker.api.lean import Call, Headers
from broker.api.openai.responses.narration import Event, broken

KEEP_ALIVE_SECONDS = 10.0
_HEADERS: Headers = [
    (b"content-type", b"text/event-stream; charset=utf-8"),
    (b"cache-control", b"no-cache"),
    (b"x-accel-buffering", b"no"),
]


class ResponseStream:
    """One client's stream. `after` is the last event that it has seen already."""

    def __init__(self, call: Call, after: int = -1) -> None:
        self._call = call
        self._after = after
        self._last_sent = time.monotonic()
        self.is_open = False

    async def open(self) -> None:
        """The headers, at once: clients and proxies give up on silence."""
        self.is_open = True
        await self._call.start(200, list(_HEADERS))

    async def tell(self, events: Iterator[Event]) -> None:
        """Where there is nothing to tell, and has not been for a while, a comment is sent."""
        data = b"".join(_line(each) for each in events if each["sequence_number"] > self._after)
        if data:
            await self._send(data)
        elif time.monotonic() - self._last_sent >= KEEP_ALIVE_SECONDS:
            await self._send(b": keep-alive\n\n")

    async def break_off(self, problem: Problem, number: int) -> None:
        await self._send(_line(broken(problem, number)))
        await self.close()

    async def close(self) -> None:
        await self._call.send_part(b"", is_last=True)

    async def _send(self, data: bytes) -> None:
        self._last_sent = time.monotonic()
        await self._call.send_part(data)


def _line(event: Event) -> bytes:
    return b"event: %s\ndata: %s\n\n" % (event["type"].encode(), json.dumps(event).encode())
