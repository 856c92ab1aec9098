"""A response as server-sent events: each with its name and its data, and comments while there is nothing to tell."""

import json
from collections.abc import Iterator

from broker.api.errors import Problem
from broker.api.lean import Call
from broker.api.openai.responses.narration import Event, broken
from broker.api.openai.sse import EventStream


class ResponseStream(EventStream):
    """One client's stream. `after` is the last event that it has seen already."""

    def __init__(self, call: Call, after: int = -1) -> None:
        super().__init__(call)
        self._after = after

    async def tell(self, events: Iterator[Event]) -> None:
        """Where there is nothing to tell, and has not been for a while, a comment is sent."""
        data = b"".join(_line(each) for each in events if each["sequence_number"] > self._after)
        if data:
            await self.send(data)
        else:
            await self.keep_alive()

    async def break_off(self, problem: Problem, number: int) -> None:
        await self.close(_line(broken(problem, number)))


def _line(event: Event) -> bytes:
    return b"event: %s\ndata: %s\n\n" % (event["type"].encode(), json.dumps(event).encode())
