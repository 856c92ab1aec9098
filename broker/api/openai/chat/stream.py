"""A chat answer as server-sent events, exactly as clients parse them.

Only comments and `data:` lines are sent: a bare `event:` or `retry:` line breaks clients in use. Every stream
ends with a finish reason or an error, and with `[DONE]`.
"""

import json
from typing import Any

from broker.api.errors import Problem
from broker.api.lean import Call
from broker.api.openai.chat.answering import Answer, Began, Delta, Event, Question, Quiet
from broker.api.openai.chat.translate import head_of, usage_of
from broker.api.openai.sse import EventStream
from broker.chunks import ChunkKind
from broker.jobs import Job

_DONE = b"data: [DONE]\n\n"
_FIELDS = {ChunkKind.TEXT: "content", ChunkKind.REASONING: "reasoning_content"}


class ChatStream:
    """One client's stream."""

    def __init__(self, call: Call, question: Question, *, includes_usage: bool) -> None:
        self._stream = EventStream(call)
        self._question = question
        self._includes_usage = includes_usage
        #: What all events have in common.
        self._head: dict[str, Any] = {}

    @property
    def is_open(self) -> bool:
        return self._stream.is_open

    async def tell(self, event: Event) -> None:
        """Sends what an event is to its reader."""
        if isinstance(event, Delta):
            await self._send_delta({_FIELDS[event.kind]: event.text})
        elif isinstance(event, Quiet):
            await self._stream.keep_alive()
        elif isinstance(event, Began):
            await self._open(event.job)
        elif event.answer is not None:
            await self._finish(event.answer)
        else:
            assert event.problem is not None
            await self.fail(event.problem)

    async def fail(self, problem: Problem) -> None:
        await self._send_event(problem.body)
        await self._stream.close(_DONE)

    async def _open(self, job: Job) -> None:
        self._head = head_of(job, "chat.completion.chunk")
        await self._stream.open()
        first = self._chunk([_choice({"role": "assistant", "content": ""}, None)])
        if self._question.warnings:
            first["warnings"] = self._question.warnings
        await self._send_event(first)

    async def _finish(self, answer: Answer) -> None:
        """The finish reason and, if asked for, the usage."""
        if answer.refusal:
            await self._send_delta({"refusal": answer.refusal})
        await self._send_event(self._chunk([_choice({}, answer.finish_reason)]))
        if self._includes_usage:
            usage = usage_of(self._question, answer).on_the_line()
            await self._send_event({**self._head, "choices": [], "usage": usage})
        await self._stream.close(_DONE)

    async def _send_delta(self, delta: dict[str, Any]) -> None:
        await self._send_event(self._chunk([_choice(delta, None)]))

    def _chunk(self, choices: list[dict[str, Any]]) -> dict[str, Any]:
        chunk = {**self._head, "choices": choices}
        if self._includes_usage:
            chunk["usage"] = None
        return chunk

    async def _send_event(self, event: dict[str, Any]) -> None:
        await self._stream.send(b"data: %s\n\n" % json.dumps(event).encode())


def _choice(delta: dict[str, Any], finish_reason: str | None) -> dict[str, Any]:
    return {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish_reason}
