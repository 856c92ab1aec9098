"""Server-sent events, as every stream at the clients' door sends them: begun at once, and never silent for long."""

from time import monotonic

from broker.api.lean import Call, Headers

KEEP_ALIVE_SECONDS = 10.0
_HEADERS: Headers = [
    (b"content-type", b"text/event-stream; charset=utf-8"),
    (b"cache-control", b"no-cache"),
    (b"x-accel-buffering", b"no"),
]


class EventStream:
    """One client's stream."""

    def __init__(self, call: Call) -> None:
        self._call = call
        self._last_sent = monotonic()
        #: What goes wrong from now on can only be told in the stream.
        self.is_open = False

    async def open(self) -> None:
        """The headers, at once: clients and proxies give up on silence."""
        self.is_open = True
        await self._call.start(200, list(_HEADERS))

    async def send(self, data: bytes) -> None:
        self._last_sent = monotonic()
        await self._call.send_part(data)

    async def keep_alive(self) -> None:
        """A comment, if nothing has been sent for a while: a line of any other kind breaks clients in use."""
        if monotonic() - self._last_sent >= KEEP_ALIVE_SECONDS:
            await self.send(b": keep-alive\n\n")

    async def close(self, last: bytes = b"") -> None:
        await self._call.send_part(last, is_last=True)
