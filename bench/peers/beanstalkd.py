"""beanstalkd, spoken to in its own protocol: put, reserve, delete. Its binlog is fsynced at each write."""

import asyncio
import shutil
import socket
import time
from collections import deque
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from time import perf_counter
from typing import cast

from bench.calls import PROMPT
from bench.load import HOST
from bench.server import READY_WITHIN_SECONDS, free_port, pinned_process

BODY = PROMPT.encode()
PUT = b"put 0 0 60 %d\r\n%s\r\n" % (len(BODY), BODY)


def is_installed() -> bool:
    return shutil.which("beanstalkd") is not None


@contextmanager
def running(folder: Path) -> Iterator[int]:
    """A beanstalkd on the server's core; hands out its port."""
    folder.mkdir(parents=True, exist_ok=True)
    port = free_port()
    command = ["beanstalkd", "-l", HOST, "-p", str(port), "-b", str(folder), "-f", "0"]
    with pinned_process(command):
        _wait_until_listening(port)
        yield port


@asynccontextmanager
async def cycle(port: int, producers: int, workers: int) -> AsyncIterator["Cycle"]:
    loop = asyncio.get_running_loop()
    jobs = Cycle()
    for _ in range(producers):
        await loop.create_connection(lambda: _Producer(jobs), HOST, port)
    for _ in range(workers):
        await loop.create_connection(lambda: _Worker(jobs), HOST, port)
    try:
        yield jobs
    finally:
        for connection in jobs.connections:
            connection.close()


class Cycle:
    """Jobs in a circle: a producer puts the next once one is done, as the broker's clients do, so that as many are
    under way. It costs beanstalkd nothing: the producer learns it from the harness, not over the line."""

    def __init__(self) -> None:
        self.connections: list[_Line] = []
        self._resting: deque[_Producer] = deque()
        self._is_over = True
        self._finished = 0
        self._under_way = 0
        #: Puts that wait for a producer whose last put is not confirmed yet.
        self._owed = 0
        self._drained = asyncio.Event()

    async def jobs_per_second(self, seconds: float) -> float:
        self._is_over, self._finished = False, 0
        self._drained.clear()
        started = perf_counter()
        for _ in range(len(self._resting)):
            self._put_next()
        await asyncio.sleep(seconds)
        rate = self._finished / (perf_counter() - started)
        self._is_over = True
        await self._drained.wait()
        return rate

    def rest(self, producer: "_Producer") -> None:
        """A producer has put its job and is free for the next."""
        if self._owed:
            self._owed -= 1
            producer.put()
        else:
            self._resting.append(producer)

    def finish(self) -> None:
        """A worker has deleted a job."""
        self._finished += 1
        self._under_way -= 1
        if not self._is_over:
            self._put_next()
        elif not self._under_way:
            self._drained.set()

    def _put_next(self) -> None:
        self._under_way += 1
        if self._resting:
            self._resting.popleft().put()
        else:
            self._owed += 1


class _Line(asyncio.Protocol):
    def __init__(self, cycle: Cycle) -> None:
        self._cycle = cycle

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._cycle.connections.append(self)

    def close(self) -> None:
        self._transport.abort()


class _Producer(_Line):
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self._cycle.rest(self)

    def put(self) -> None:
        self._transport.write(PUT)

    def data_received(self, data: bytes) -> None:
        if not data.startswith(b"INSERTED"):
            raise RuntimeError(f"beanstalkd said {data!r}")
        self._cycle.rest(self)


class _Worker(_Line):
    """Takes a job, deletes it, takes the next."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self._held = b""
        self._transport.write(b"reserve\r\n")

    def data_received(self, data: bytes) -> None:
        self._held += data
        if self._held == b"DELETED\r\n":
            self._held = b""
            self._cycle.finish()
            self._transport.write(b"reserve\r\n")
        elif self._held.endswith(b"%s\r\n" % BODY):
            # RESERVED <id> <size>, the body behind it
            job_id = self._held.split(b" ", 2)[1]
            self._held = b""
            self._transport.write(b"delete %s\r\n" % job_id)


def _wait_until_listening(port: int) -> None:
    deadline = time.monotonic() + READY_WITHIN_SECONDS
    while True:
        try:
            socket.create_connection((HOST, port), timeout=1).close()
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.01)
        else:
            return
