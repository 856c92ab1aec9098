"""The load: keep-alive connections that send ready-made bytes. Where it stops: what the bytes say is `calls.py`.

Answers arrive by callback, because a future and a task switch for each request would cost more than the request.
"""

import asyncio
from collections.abc import Callable
from time import perf_counter
from typing import Any, Self, cast

from bench.responses import Response, ResponseParser

HOST = "127.0.0.1"

Then = Callable[[Response], None]


class Connection(asyncio.Protocol):
    """One keep-alive connection that carries one request at a time."""

    def __init__(self) -> None:
        self._parser = ResponseParser()
        self._then: Then | None = None
        self._failed: Callable[[Exception], None] | None = None
        self._transport: asyncio.Transport | None = None

    @classmethod
    async def open(cls, port: int) -> Self:
        _, connection = await asyncio.get_running_loop().create_connection(cls, HOST, port)
        return connection

    def send(self, request: bytes, then: Then) -> None:
        """Sends a request; `then` is called with its answer. Raises `ConnectionError` once closed."""
        if self._transport is None:
            raise ConnectionError("The connection is closed.")
        self._then = then
        self._transport.write(request)

    async def ask(
        self, request: bytes, on_piece: Callable[[bytes], None] | None = None
    ) -> Response:
        """Sends a request and waits for its answer. Raises `ConnectionError` if the server hangs up first."""
        answer: asyncio.Future[Response] = asyncio.get_running_loop().create_future()
        self._parser.on_piece = on_piece
        self._failed = answer.set_exception
        self.send(request, answer.set_result)
        try:
            return await answer
        finally:
            self._failed = None

    def close(self) -> None:
        if self._transport is not None:
            self._transport.abort()
            self._transport = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        response = self._parser.feed(data)
        if response is not None and self._then is not None:
            self._then(response)

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        if self._failed is not None:
            self._failed(exc or ConnectionError("The server closed the connection."))


async def open_many(port: int, count: int) -> list[Connection]:
    """So many connections, opened in groups that a listen queue can hold."""
    connections: list[Connection] = []
    while len(connections) < count:
        group = min(200, count - len(connections))
        connections += await asyncio.gather(*(Connection.open(port) for _ in range(group)))
    return connections


class Flood:
    """The same request over many connections, on each the next as soon as the last is answered."""

    def __init__(self, port: int, clients: int, request: bytes) -> None:
        self._port = port
        self._clients = clients
        self._request = request
        self._is_over = False
        self._answered = 0
        self._spoiled: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    async def per_second(self, seconds: float) -> float:
        """Answers a second. Raises `RuntimeError` for an answer that is no success."""
        # Anew each time: a server may close what rested while the other side was measured.
        connections = await open_many(self._port, self._clients)
        self._answered, self._is_over = 0, False
        started = perf_counter()
        drained: asyncio.Future[Any] = asyncio.gather(*map(self._run, connections))
        await asyncio.wait([self._spoiled], timeout=seconds)
        rate = self._answered / (perf_counter() - started)
        self._is_over = True
        await asyncio.wait([self._spoiled, drained], return_when=asyncio.FIRST_COMPLETED)
        for connection in connections:
            connection.close()
        if self._spoiled.done():
            self._spoiled.result()
        return rate

    def spoil(self, response: Response) -> None:
        """Ends the flood: some part of the load got an answer that makes the figure worthless."""
        if not self._spoiled.done():
            self._spoiled.set_exception(unexpected(response))

    def _run(self, connection: Connection) -> "asyncio.Future[None]":
        drained: asyncio.Future[None] = asyncio.get_running_loop().create_future()

        def answered(response: Response) -> None:
            if response.status != 200:
                self.spoil(response)
            elif self._is_over:
                drained.set_result(None)
            else:
                self._answered += 1
                connection.send(self._request, answered)

        connection.send(self._request, answered)
        return drained


async def round_trip(connection: Connection, request: bytes) -> float:
    """Seconds from the request to its whole answer. Raises `RuntimeError` unless that is a 200."""
    ended: asyncio.Future[tuple[float, Response]] = asyncio.get_running_loop().create_future()
    started = perf_counter()
    connection.send(request, lambda response: ended.set_result((perf_counter(), response)))
    ended_at, response = await ended
    expect_success(response)
    return ended_at - started


def expect_success(response: Response) -> Response:
    if response.status != 200:
        raise unexpected(response)
    return response


def unexpected(response: Response) -> RuntimeError:
    return RuntimeError(f"The server said {response.status}: {response.body[:300]!r}")
