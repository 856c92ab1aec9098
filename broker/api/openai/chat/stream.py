"""A chat answer as server-sent events, exactly as clients parse them.

Only comments and `data:` lines are sent: a bare `event:` or `retry:` line breaks clients in use. Every stream
ends with a finish reason or an error, and with `[DONE]`.
"""

import json
from time import monotonic
from typing import Any

from broker.api.errors import Problem
from broker.api.lean import Call, Headers
from broker.api.openai.chat.answering import Answer, Began, Delta, Event, Question, Quiet
from broker.api.openai.chat.translate import head_of, usage_of
from broker.chunks import ChunkKind
from broker.jobs import Job

KEEP_ALIVE_SECONDS = 10.0
_HEADERS: Headers = [
    (b"content-type", b"text/event-stream; charset=utf-8"),
    (b"cache-control", b"no-cache"),
    (b"x-accel-buffering", b"no"),
]
_FIELDS = {ChunkKind.TEXT: "content", ChunkKind.REASONING: "reasoning_content"}


class ChatStream:
    """One client's stream."""

    def __init__(self, call: Call, question: Question, *, includes_usage: bool) -> None:
        self._call = call
        self._question = question
        self._includes_usage = includes_usage
        #: What all events have in common.
        self._head: dict[str, Any] = {}
        self._last_sent = monotonic()

    @property
    def is_open(self) -> bool:
        """What goes wrong from now on can only be told in the stream."""
        return bool(self._head)

    async def tell(self, event: Event) -> None:
        """Sends what an event is to its reader."""
        if isinstance(event, Delta):
            await self._send_delta({_FIELDS[event.kind]: event.text})
        elif isinstance(event, Quiet):
            await self._keep_alive()
        elif isinstance(event, Began):
            await self._open(event.job)
        elif event.answer is not None:
            await self._finish(event.answer)
        else:
            assert event.problem is not None
            await self.fail(event.problem)

    async def fail(self, problem: Problem) -> None:
        await self._send_event(problem.body)
        await self._done()

    async def _open(self, job: Job) -> None:
        """Headers and the first event, at once: clients and proxies give up on silence."""
        self._head = head_of(job, "chat.completion.chunk")
        await self._call.start(200, list(_HEADERS))
        first = self._chunk([_choice({"role": "assistant", "content": ""}, None)])
        if self._question.warnings:
            first["warnings"] = self._question.warnings
        await self._send_event(first)

    async def _keep_alive(self) -> None:
        """A comment, if nothing has been sent for a while."""
        if monotonic() - self._last_sent >= KEEP_ALIVE_SECONDS:
            await self._send(b": keep-alive\n\n")

    async def _finish(self, answer: Answer) -> None:
        """The finish reason and, if asked for, the usage."""
        if answer.refusal:
            await self._send_delta({"refusal": answer.refusal})
        await self._send_event(self._chunk([_choice({}, answer.finish_reason)]))
        if self._includes_usage:
            usage = usage_of(self._question, answer).on_the_line()
            await self._send_event({**self._head, "choices": [], "usage": usage})
        await self._done()

    async def _send_delta(self, delta: dict[str, Any]) -> None:
        await self._send_event(self._chunk([_choice(delta, None)]))

    def _chunk(self, choices: list[dict[str, Any]]) -> dict[str, Any]:
        chunk = {**self._head, "choices": choices}
        if self._includes_usage:
            chunk["usage"] = None
        return chunk

    async def _send_event(self, event: dict[str, Any]) -> None:
        await self._send(b"data: %s\n\n" % json.dumps(event).encode())

    async def _send(self, data: bytes) -> None:
        self._last_sent = monotonic()
        await self._call.send_part(data)

    async def _done(self) -> None:
        await self._call.send_part(b"data: [DONE]\n\n", is_last=True)


def _choice(delta: dict[str, Any], finish_reason: str | None) -> dict[str, Any]:
    return {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish_reason}
