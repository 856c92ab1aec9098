"""A chat's stream keeps its client awake, whatever else it waits for."""

import json
from typing import Any, cast

import pytest

from broker.api.errors import problem
from broker.api.lean import Call
from broker.api.openai.chat.answering import Answer, Began, Delta, Ended, Question, Quiet
from broker.api.openai.chat.stream import ChatStream
from broker.api.openai.intake import Order
from broker.chunks import ChunkKind
from broker.jobs import JobKind
from tests.support.builders import a_job
from tests.support.clock import ManualClock
from tests.support.running import run

JOB = a_job(JobKind.CHAT)


class Line:
    """The client's side of a call."""

    def __init__(self) -> None:
        self.status = 0
        self.parts: list[bytes] = []
        self.is_over = False

    async def start(self, status: int, headers: object) -> None:
        self.status = status

    async def send_part(self, body: bytes, *, is_last: bool = False) -> None:
        self.parts.append(body)
        self.is_over = is_last

    def events(self) -> list[Any]:
        data = [part.removeprefix(b"data: ") for part in self.parts if part.startswith(b"data: {")]
        return [json.loads(part) for part in data]


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> ManualClock:
    clock = ManualClock()
    monkeypatch.setattr("broker.api.openai.sse.monotonic", clock.now)
    return clock


@pytest.fixture
def line() -> Line:
    return Line()


def a_stream(line: Line, *, includes_usage: bool = False) -> ChatStream:
    question = Question(Order(JobKind.CHAT, "grok", "Hi"), 1)
    return ChatStream(cast(Call, line), question, includes_usage=includes_usage)


def test_a_comment_is_sent_after_ten_seconds_of_silence(clock: ManualClock, line: Line) -> None:
    stream = a_stream(line)
    run(stream.tell(Began(JOB)))
    for _ in range(25):
        clock.advance(1)
        run(stream.tell(Quiet()))

    assert line.status == 200
    assert line.parts[1:] == [b": keep-alive\n\n"] * 2


def test_whatever_is_sent_puts_the_comment_off(clock: ManualClock, line: Line) -> None:
    stream = a_stream(line)
    run(stream.tell(Began(JOB)))
    for _ in range(25):
        clock.advance(1)
        run(stream.tell(Delta(ChunkKind.TEXT, "x")))
        run(stream.tell(Quiet()))

    assert b": keep-alive\n\n" not in line.parts


def test_a_stream_ends_with_its_reason_and_once(line: Line) -> None:
    stream = a_stream(line, includes_usage=True)
    for event in (
        Began(JOB),
        Delta(ChunkKind.TEXT, "Hello"),
        Ended(JOB, Answer("Hello", None, "length")),
    ):
        run(stream.tell(event))

    *_, last, usage = line.events()
    assert last["choices"][0]["finish_reason"] == "length"
    assert usage["choices"] == []
    assert line.parts[-1] == b"data: [DONE]\n\n"
    assert line.is_over


def test_a_stream_that_fails_ends_with_the_error(line: Line) -> None:
    stream = a_stream(line)
    was_open = [stream.is_open]
    run(stream.tell(Began(JOB)))
    was_open.append(stream.is_open)
    run(stream.tell(Ended(JOB, problem=problem("no_worker", "Nobody is there."))))

    assert was_open == [False, True]
    assert line.events()[-1]["error"]["code"] == "no_worker"
    assert line.parts[-1] == b"data: [DONE]\n\n"
    assert line.is_over
