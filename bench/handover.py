"""How long a job takes from its create to a parked worker, and to its answer, one job at a time.

Before each job there is a pause, so that the worker is parked again and nothing is still on its way to the disk; the
references are measured with the same pause, because a machine that rests between requests is slower at each.
"""

import asyncio
import os
from collections.abc import Awaitable, Callable
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import NamedTuple

from bench.calls import Calls, handed_out
from bench.load import Connection, expect_success, open_many, round_trip
from bench.responses import Response

PAUSE_SECONDS = 0.002


class Handover(NamedTuple):
    """Seconds since the create was sent."""

    handed_out: float
    answered: float


class ParkedWorkers:
    """Workers that wait for chats. Whichever is handed one answers it at once and waits again."""

    def __init__(self, calls: Calls, connections: list[Connection]) -> None:
        self._calls = calls
        self._connections = connections
        self._handed_out_at = 0.0
        self._failure: Exception | None = None
        for number in range(len(connections)):
            self._park(number)

    @classmethod
    async def park(cls, port: int, count: int) -> "ParkedWorkers":
        """So many parked polls. Done when the server has seen them all."""
        workers = cls(Calls(port), await open_many(port, count))
        # Each answer shows that the server has been once more through all that had arrived.
        witness = await Connection.open(port)
        for _ in range(5):
            await asyncio.sleep(0.1)
            expect_success(await witness.ask(workers._calls.health))
        witness.close()
        workers.check()
        return workers

    async def hand_over(self, client: Connection) -> Handover:
        """One job through. Raises `RuntimeError` if any answer was no success."""
        answered: asyncio.Future[tuple[float, Response]] = (
            asyncio.get_running_loop().create_future()
        )
        await asyncio.sleep(PAUSE_SECONDS)
        started = perf_counter()
        client.send(
            self._calls.chat(), lambda response: answered.set_result((perf_counter(), response))
        )
        answered_at, response = await answered
        expect_success(response)
        self.check()
        return Handover(self._handed_out_at - started, answered_at - started)

    def check(self) -> None:
        if self._failure:
            raise self._failure

    def close(self) -> None:
        for connection in self._connections:
            connection.close()

    def _park(self, number: int) -> None:
        worker_id = f"parked{number}"
        connection = self._connections[number]

        def polled(response: Response) -> None:
            if response.status == 200:
                self._handed_out_at = perf_counter()
                answer = self._calls.complete_chat(handed_out(response), worker_id)
                connection.send(answer, completed)
            else:
                self._go_on(response, 204, number)

        def completed(response: Response) -> None:
            self._go_on(response, 200, number)

        connection.send(self._calls.poll("chat", worker_id), polled)

    def _go_on(self, response: Response, expected: int, number: int) -> None:
        if response.status == expected:
            self._park(number)
        else:
            self._failure = RuntimeError(
                f"The server said {response.status}: {response.body[:300]!r}"
            )


async def handovers(workers: ParkedWorkers, client: Connection, jobs: int) -> list[Handover]:
    return [await workers.hand_over(client) for _ in range(jobs)]


async def round_trip_p50(connection: Connection, request: bytes, times: int) -> float:
    """Seconds, with the same pause before each."""
    return await _p50(lambda: round_trip(connection, request), times)


async def fdatasync_p50(folder: Path, times: int) -> float:
    """Seconds for what a commit cannot do without: 4 KiB appended and on disk."""
    file = os.open(folder / "fdatasync", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    page = os.urandom(4096)

    async def write() -> float:
        started = perf_counter()
        os.write(file, page)
        os.fdatasync(file)
        return perf_counter() - started

    try:
        return await _p50(write, times)
    finally:
        os.close(file)


async def _p50(measure: Callable[[], Awaitable[float]], times: int) -> float:
    seconds = []
    for _ in range(times):
        await asyncio.sleep(PAUSE_SECONDS)
        seconds.append(await measure())
    return median(seconds)
