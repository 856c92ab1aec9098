"""uvicorn's HTTP protocol with two changes: an answer leaves in one write, and a request has to arrive in time.

By itself it writes an answer's head and its body one after the other, which is two system calls and two packets for
each of our small answers: a tenth of the broker's whole work at full load. And it waits for ever for the rest of a
request: whoever opens connections and says little would keep each of them, and what it holds, as long as they like.
"""

import asyncio
from collections.abc import Callable
from enum import Enum, auto
from typing import Any, NamedTuple, cast

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

#: What a body has to bring for each second that it takes beyond the first few.
BYTES_PER_SECOND = 1024
#: Enough for what has already come to be read.
OVERDUE_SECONDS = 0.02


class Patience(NamedTuple):
    """How long a connection may keep a request back."""

    #: A header may take this long; so may the beginning of a body, before its pace counts.
    header_seconds: float = 10.0
    #: The longest silence within a body.
    stall_seconds: float = 30.0

    @property
    def silent_seconds(self) -> float:
        """Longer than for a header: browsers connect ahead of what they are going to ask."""
        return self.header_seconds * 1.5


class OneWriteProtocol(HttpToolsProtocol):
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        sink = cast(asyncio.Transport, transport)
        super().connection_made(_HeadHolder(sink, self.loop, self.on_reading_resumed))

    def on_reading_resumed(self) -> None:
        """What the other side sends is taken again, after a time in which it was not."""


class _Missing(Enum):
    """What a connection has yet to deliver."""

    NOTHING = auto()
    FIRST_BYTE = auto()
    HEADER = auto()
    BODY = auto()


class DeadlineProtocol(OneWriteProtocol):
    """Closes a connection that does not deliver its request; touches none that has.

    A poll that waits, a stream and a slow reader have delivered theirs. A request that comes in one piece, as nearly
    all do, sets no timer.
    """

    patience = Patience()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self._timer: asyncio.TimerHandle | None = None
        self._timed = _Missing.NOTHING
        self._missing = _Missing.FIRST_BYTE
        self._body_bytes = 0
        self._set_timer()

    def connection_lost(self, exc: Exception | None) -> None:
        self._drop_timer()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self._missing is _Missing.NOTHING and self.cycle.response_complete:
            # Blank lines between two requests: they have ended the idle time, and begun nothing.
            self._missing = _Missing.HEADER
        if self._missing is not self._timed:
            self._set_timer()

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._missing = _Missing.HEADER

    def on_headers_complete(self) -> None:
        super().on_headers_complete()
        self._missing = _Missing.BODY
        self._body_bytes = 0

    def on_body(self, body: bytes) -> None:
        super().on_body(body)
        self._body_bytes += len(body)
        self._heard_at = self.loop.time()

    def on_message_complete(self) -> None:
        super().on_message_complete()
        self._missing = _Missing.NOTHING
        self._drop_timer()

    def on_reading_resumed(self) -> None:
        # Only a sender that is ahead of us is held up, so this gives nobody time who needs it to be slow.
        self._count_anew()

    def _set_timer(self) -> None:
        self._drop_timer()
        self._timed = self._missing
        self._since = self._heard_at = self.loop.time()
        self._is_overdue = False
        self._timer = self.loop.call_at(self._due_at(), self._look)

    def _drop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._timed = _Missing.NOTHING

    def _count_anew(self) -> None:
        self._since = self._heard_at = self.loop.time()
        self._body_bytes = 0

    def _due_at(self) -> float:
        """By when more must have come."""
        if self._timed is _Missing.FIRST_BYTE:
            return self._since + self.patience.silent_seconds
        due_at = self._since + self.patience.header_seconds
        if self._timed is _Missing.HEADER:
            return due_at
        due_at += self._body_bytes / BYTES_PER_SECOND
        return min(due_at, self._heard_at + self.patience.stall_seconds)

    def _look(self) -> None:
        if self._timed is _Missing.BODY and self._is_held_up_here():
            self._count_anew()
        due_at = self._due_at()
        if self.loop.time() < due_at:
            self._is_overdue = False
            self._timer = self.loop.call_at(due_at, self._look)
        elif not self._is_overdue:
            # What came while this process did not run, and timers go off before it is read.
            self._is_overdue = True
            self._timer = self.loop.call_later(OVERDUE_SECONDS, self._look)
        else:
            self._drop_timer()
            self.transport.close()

    def _is_held_up_here(self) -> bool:
        """Whether it is we who do not take the body: the disk is slow, or leave to send it has not been given."""
        return self.flow.read_paused or self.cycle.waiting_for_100_continue


class _HeadHolder(asyncio.Transport):
    """A transport that holds an answer's head back until its body comes, or the loop's next turn.

    It has what uvicorn asks of a transport; the rest raises as in any transport that lacks it.
    """

    def __init__(
        self,
        transport: asyncio.Transport,
        loop: asyncio.AbstractEventLoop,
        on_resumed: Callable[[], None],
    ) -> None:
        self._transport = transport
        self._loop = loop
        self._on_resumed = on_resumed
        self._head = b""

    def write(self, data: bytes | bytearray | memoryview) -> None:
        if self._head:
            data, self._head = self._head + bytes(data), b""
        elif bytes(data[:9]) == b"HTTP/1.1 ":
            self._head = bytes(data)
            # A stream says its head at once and its first words later.
            self._loop.call_soon(self.flush)
            return
        if data:
            self._transport.write(data)

    def flush(self) -> None:
        if self._head:
            head, self._head = self._head, b""
            self._transport.write(head)

    def close(self) -> None:
        self.flush()
        self._transport.close()

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return self._transport.get_extra_info(name, default)

    def is_closing(self) -> bool:
        return self._transport.is_closing()

    def pause_reading(self) -> None:
        self._transport.pause_reading()

    def resume_reading(self) -> None:
        self._transport.resume_reading()
        self._on_resumed()

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        self._transport.set_protocol(protocol)
