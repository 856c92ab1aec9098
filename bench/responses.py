"""Reads HTTP/1.1 answers off a connection, as cheaply as Python can, so that the load costs less than the server.

One answer at a time, by length or in chunks. Not a general client: it trusts the server it measures.
"""

from collections.abc import Callable
from typing import NamedTuple

HEAD_END = b"\r\n\r\n"
NO_BODY = frozenset({204, 304})


class Response(NamedTuple):
    status: int
    body: bytes


class ResponseParser:
    """Fed with bytes as they come; hands out the answer once it is whole."""

    def __init__(self) -> None:
        #: Called with each chunk of a chunked answer the moment it is complete.
        self.on_piece: Callable[[bytes], None] | None = None
        self._held = b""
        self._begin()

    def feed(self, data: bytes) -> Response | None:
        """The answer, if these bytes complete it. Raises `ValueError` for bytes that belong to no answer."""
        self._held = self._held + data if self._held else data
        if self._status == 0 and not self._read_head():
            return None
        if self._length is None:
            return self._read_chunks()
        if len(self._held) < self._length:
            return None
        return self._finish(self._held[: self._length], self._held[self._length :])

    def _begin(self) -> None:
        #: 0 until the head is read.
        self._status = 0
        #: None while the answer comes in chunks.
        self._length: int | None = None
        self._pieces: list[bytes] = []

    def _read_head(self) -> bool:
        end = self._held.find(HEAD_END)
        if end < 0:
            return False
        head = self._held[:end].lower()
        if not head.startswith(b"http/1."):
            raise ValueError(f"Not an answer: {head[:40]!r}")
        self._status = int(head[9:12])
        self._length = _length_of(head, self._status)
        self._held = self._held[end + 4 :]
        return True

    def _read_chunks(self) -> Response | None:
        while (line_end := self._held.find(b"\r\n")) >= 0:
            size = int(self._held[:line_end].split(b";")[0], 16)
            stop = line_end + 2 + size
            if len(self._held) < stop + 2:
                return None
            piece = self._held[line_end + 2 : stop]
            self._held = self._held[stop + 2 :]
            if not size:
                return self._finish(b"".join(self._pieces), self._held)
            self._pieces.append(piece)
            if self.on_piece:
                self.on_piece(piece)
        return None

    def _finish(self, body: bytes, surplus: bytes) -> Response:
        if surplus:
            raise ValueError(f"Bytes behind the answer: {surplus[:40]!r}")
        response = Response(self._status, body)
        self._held = b""
        self._begin()
        return response


def _length_of(head: bytes, status: int) -> int | None:
    if status in NO_BODY:
        return 0
    start = head.find(b"\r\ncontent-length:")
    if start >= 0:
        return int(head[start + 17 :].split(b"\r\n", 1)[0])
    if head.find(b"\r\ntransfer-encoding: chunked") >= 0:
        return None
    raise ValueError("An answer with neither a length nor chunks.")
