"""HTTP said by hand: what no client library sends, and where a test decides when the line is cut."""

import contextlib
import json
import socket
import struct
from collections.abc import Iterable
from typing import NamedTuple


class Said(NamedTuple):
    """What came back: no status where the line was cut without an answer."""

    status: int | None
    code: str | None
    body: bytes


class Line:
    """`with Line(port) as line:`; one connection."""

    def __init__(self, port: int) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port), timeout=60)

    def __enter__(self) -> "Line":
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()

    def says(self, *pieces: bytes) -> None:
        for piece in pieces:
            self._socket.sendall(piece)

    def pours(self, pieces: Iterable[bytes]) -> bool:
        """Says them until the other side hears no more; whether it heard all of them."""
        try:
            self.says(*pieces)
        except (BrokenPipeError, ConnectionResetError):
            return False
        return True

    def ends(self) -> None:
        """Says that nothing more comes, and still listens."""
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_WR)

    def breaks(self) -> None:
        """Goes away with a reset."""
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._socket.close()

    def hears(self) -> Said:
        """The one answer on a connection that is closed after it, or whose answer has a length."""
        heard = b""
        with contextlib.suppress(ConnectionResetError):
            while not _is_whole(heard) and (piece := self._socket.recv(65536)):
                heard += piece
        head, _, body = heard.partition(b"\r\n\r\n")
        status = int(head.split()[1]) if head else None
        return Said(status, _code(body), body)


def _is_whole(heard: bytes) -> bool:
    head, parted, body = heard.partition(b"\r\n\r\n")
    for line in head.lower().split(b"\r\n"):
        if parted and line.startswith(b"content-length:"):
            return len(body) >= int(line.split(b":")[1])
    return bool(parted) and head.split()[1:2] == [b"204"]


def _code(body: bytes) -> str | None:
    try:
        return str(json.loads(body)["error"]["code"])
    except (ValueError, KeyError, TypeError):
        return None


def head(method: str, path: str, **headers: object) -> bytes:
    """A request's head; `content_type=` is `Content-Type:`."""
    lines = [f"{method} {path} HTTP/1.1", "Host: 127.0.0.1"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return "\r\n".join([*lines, "", ""]).encode()


def chunk(data: bytes) -> bytes:
    """One piece of a chunked body."""
    return b"%x\r\n%b\r\n" % (len(data), data)
