"""Big bodies over one blocking socket, in a thread: bytes go by sendfile and come into one reused buffer."""

import socket
from pathlib import Path
from time import perf_counter
from typing import NoReturn

from bench.load import HOST
from bench.responses import Response, ResponseParser

BUFFER = 1 << 20
TIMEOUT_SECONDS = 60.0


def upload(port: int, head: bytes, film: Path) -> tuple[float, Response]:
    """Sends a head and a file; seconds until the answer, and the answer."""
    with socket.create_connection((HOST, port), TIMEOUT_SECONDS) as line, film.open("rb") as file:
        started = perf_counter()
        line.sendall(head)
        line.sendfile(file)
        response = read_answer(line)
        return perf_counter() - started, response


def download(port: int, requests: list[bytes]) -> tuple[float, int]:
    """Sends these one after the other over one connection; seconds for all, and how many body bytes came."""
    buffer = memoryview(bytearray(BUFFER))
    with socket.create_connection((HOST, port), TIMEOUT_SECONDS) as line:
        started = perf_counter()
        size_bytes = 0
        for request in requests:
            line.sendall(request)
            size_bytes += _drain(line, buffer)
        return perf_counter() - started, size_bytes


def read_answer(line: socket.socket) -> Response:
    """The next answer. Raises `ConnectionError` if the server hangs up instead."""
    parser = ResponseParser()
    while data := line.recv(65_536):
        if response := parser.feed(data):
            return response
    raise ConnectionError("The server closed the connection before it answered.")


def _drain(line: socket.socket, buffer: memoryview) -> int:
    """Reads one answer and forgets its body. Raises `RuntimeError` unless it is a 200 or 206."""
    held = b""
    while b"\r\n\r\n" not in held:
        held += line.recv(4096) or _closed()
    head, _, body = held.partition(b"\r\n\r\n")
    if head[9:12] not in (b"200", b"206"):
        raise RuntimeError(f"The server said {held[:300]!r}")
    length = int(head.lower().split(b"content-length:")[1].split(b"\r\n")[0])
    left = length - len(body)
    while left:
        left -= line.recv_into(buffer, min(left, BUFFER)) or _closed()
    return length


def _closed() -> NoReturn:
    raise ConnectionError("The server closed the connection.")
