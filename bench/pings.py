"""A small request every few milliseconds, whether or not the last is answered: how long a server keeps people waiting.

Each takes a connection that is free, so as many requests meet a stall as fall into it, and none queues behind another.
"""

import asyncio
from time import perf_counter
from typing import Self

from bench.load import Connection, open_many, unexpected
from bench.responses import Response

EVERY_SECONDS = 0.005
#: So many may wait at once; a stall of one second needs 200.
CONNECTIONS = 400


class Pings:
    """Pings from entering to leaving; then `waits_ms` holds how long each answer took.

    Raises `RuntimeError` on leaving if an answer was not the expected one, or if more waited than can.
    """

    def __init__(self, port: int, request: bytes, expected: int) -> None:
        self.waits_ms: list[float] = []
        self._port = port
        self._request = request
        self._expected = expected
        self._free: list[Connection] = []
        self._connections: list[Connection] = []
        self._failure: Exception | None = None
        self._pinging: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        self._connections = await open_many(self._port, CONNECTIONS)
        self._free = list(self._connections)
        self._pinging = asyncio.create_task(self._ping())
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._pinging:
            self._pinging.cancel()
        for connection in self._connections:
            connection.close()
        if self._failure:
            raise self._failure

    async def _ping(self) -> None:
        due = perf_counter()
        while self._failure is None:
            self._send()
            # Waking late is this process's own fault and delays the next; it is never counted as the server's.
            due = max(due + EVERY_SECONDS, perf_counter())
            await asyncio.sleep(due - perf_counter())

    def _send(self) -> None:
        if not self._free:
            self._failure = RuntimeError(f"{CONNECTIONS} requests are waiting for an answer.")
            return
        connection = self._free.pop()
        sent_at = perf_counter()

        def answered(response: Response) -> None:
            self.waits_ms.append((perf_counter() - sent_at) * 1000)
            self._free.append(connection)
            if response.status != self._expected:
                self._failure = unexpected(response)

        connection.send(self._request, answered)
