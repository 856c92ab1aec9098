"""A job's whole life over HTTP, as often as it goes: a client posts a chat, a worker takes it and answers it.

Three requests and three durable steps a job. Every client has one job under way, as a waiting client does.
"""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from bench.calls import Calls, handed_out
from bench.load import Connection, Flood, open_many
from bench.plan import Plan
from bench.responses import Response

DURABILITY = "broker: SQLite WAL, synchronous=FULL at create, hand-out and finish"


@asynccontextmanager
async def full_cycle(port: int, plan: Plan) -> AsyncIterator[Flood]:
    """The clients of a broker whose workers are parked: what they get answered a second are whole cycles."""
    calls = Calls(port)
    flood = Flood(port, plan.clients, calls.chat())
    workers = await open_many(port, plan.workers)
    _park(workers, calls, flood)
    try:
        yield flood
    finally:
        for worker in workers:
            worker.close()


def _park(workers: Sequence[Connection], calls: Calls, flood: Flood) -> None:
    for number, connection in enumerate(workers):
        _Worker(connection, calls, flood, f"w{number}").poll()


class _Worker:
    """Polls, answers at once, polls again."""

    def __init__(self, connection: Connection, calls: Calls, flood: Flood, worker_id: str) -> None:
        self._connection = connection
        self._calls = calls
        self._flood = flood
        self._id = worker_id
        self._poll = calls.poll("chat", worker_id)

    def poll(self) -> None:
        self._connection.send(self._poll, self._polled)

    def _polled(self, response: Response) -> None:
        if response.status == 200:
            answer = self._calls.complete_chat(handed_out(response), self._id)
            self._connection.send(answer, self._completed)
        elif response.status == 204:
            self.poll()
        else:
            self._flood.spoil(response)

    def _completed(self, response: Response) -> None:
        if response.status == 200:
            self.poll()
        else:
            self._flood.spoil(response)
