"""A chat answer as server-sent events, exactly as clients parse them.

Only comments and `data:` lines are sent: a bare `event:` or `retry:` line breaks clients in use. Every stream
ends with a finish reason or an error, and with `[DONE]`.
"""

import json
import time
from collections.abc import Sequence
from typing import Any

from broker.api.errors import Problem
from broker.api.lean import Call, Headers
from broker.api.openai.chat.translate import completion_id
from broker.api.openai.chat.wire import Usage
from broker.chunks import Chunk, ChunkKind, fresh
from broker.errors import ChunkGap
from broker.jobs import Job

KEEP_ALIVE_SECONDS = 10.0
_HEADERS: Headers = [
    (b"content-type", b"text/event-stream; charset=utf-8"),
    (b"cache-control", b"no-cache"),
    (b"x-accel-buffering", b"no"),
]
_FIELDS = {ChunkKind.TEXT: "content", ChunkKind.REASONING: "reasoning_content"}


class ChatStream:
    """One client's stream. Chunks are passed on once and in order, whatever repeats come in."""

    def __init__(self, call: Call, job: Job) -> None:
        self._call = call
        self._head = {
            "id": completion_id(job),
            "object": "chat.completion.chunk",
            "created": int(job.created_at),
            "model": job.model,
        }
        self._next_seq = 0
        self._text: list[str] = []
        self._last_sent = time.monotonic()

    @property
    def has_begun(self) -> bool:
        """Part of the answer has been sent: from here on its own timers bound it, not the client's wait."""
        return self._next_seq > 0

    async def open(self) -> None:
        """Headers and the first event, at once: clients and proxies give up on silence."""
        await self._call.start(200, list(_HEADERS))
        await self._send_delta({"role": "assistant", "content": ""})

    async def keep_alive(self) -> None:
        """A comment, if nothing has been sent for a while."""
        if time.monotonic() - self._last_sent >= KEEP_ALIVE_SECONDS:
            await self._send(b": keep-alive\n\n")

    async def send_chunks(self, attempt: int, chunks: Sequence[Chunk]) -> None:
        try:
            new = fresh(chunks, self._next_seq)
        except ChunkGap:
            return  # Cannot be told in order; the end of the stream brings the rest.
        for chunk in new:
            self._next_seq += 1
            if chunk.kind == ChunkKind.TEXT:
                self._text.append(chunk.delta)
            await self._send_delta({_FIELDS[chunk.kind]: chunk.delta})

    async def finish(self, text: str, reason: str, usage: Usage | None) -> None:
        """The rest of the text, the finish reason and, if asked for, the usage."""
        sent = "".join(self._text)
        if not text.startswith(sent):
            await self.fail(_changed())
            return
        if rest := text[len(sent) :]:
            await self._send_delta({"content": rest})
        await self._send_event(self._chunk([_choice({}, reason)]))
        if usage is not None:
            await self._send_event(self._chunk([]) | {"usage": usage.model_dump()})
        await self._done()

    async def fail(self, problem: Problem) -> None:
        await self._send_event(problem.body)
        await self._done()

    async def _send_delta(self, delta: dict[str, Any]) -> None:
        await self._send_event(self._chunk([_choice(delta, None)]))

    def _chunk(self, choices: list[dict[str, Any]]) -> dict[str, Any]:
        return {**self._head, "choices": choices}

    async def _send_event(self, event: dict[str, Any]) -> None:
        await self._send(b"data: %s\n\n" % json.dumps(event).encode())

    async def _send(self, data: bytes) -> None:
        self._last_sent = time.monotonic()
        await self._call.send_part(data)

    async def _done(self) -> None:
        await self._call.send_part(b"data: [DONE]\n\n", is_last=True)


def _choice(delta: dict[str, Any], finish_reason: str | None) -> dict[str, Any]:
    return {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish_reason}


def _changed() -> Problem:
    message = "The page changed its answer after it had been streamed; read the whole from the job."
    return Problem(502, "server_error", "answer_changed", message)
