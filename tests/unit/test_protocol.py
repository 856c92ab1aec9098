"""A connection delivers its request in time or is closed; one that has delivered it is left alone."""

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest
import uvicorn
from uvicorn.server import ServerState

from broker.cli.protocol import DeadlineProtocol, Patience

REQUEST = b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"
UPLOAD = b"PUT / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 10000000\r\n\r\n"
CHUNKED = b"PUT / HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n"
KIB = b"x" * 1024


class MovedLoop(asyncio.SelectorEventLoop):
    """A loop whose time passes when it is told to."""

    def __init__(self) -> None:
        self.now = 100.0
        super().__init__()

    def time(self) -> float:
        return self.now

    def turn(self) -> None:
        self.call_soon(self.stop)
        self.run_forever()

    def passes(self, seconds: float) -> None:
        """In small steps, as timers set timers."""
        until = self.now + seconds
        while self.now < until:
            self.now = min(self.now + 0.5, until)
            self.turn()


class Wire(asyncio.Transport):
    """The other side of one connection."""

    def __init__(self) -> None:
        super().__init__()
        self.sent = b""
        self.is_closed = False
        self.is_paused = False

    def write(self, data: Any) -> None:
        self.sent += data

    def close(self) -> None:
        self.is_closed = True

    def is_closing(self) -> bool:
        return self.is_closed

    def pause_reading(self) -> None:
        self.is_paused = True

    def resume_reading(self) -> None:
        self.is_paused = False


class Connection:
    """A connection to an application that answers once it has read its request and `may_answer` is set."""

    def __init__(self, loop: MovedLoop) -> None:
        self.loop = loop
        self.wire = Wire()
        self.may_read, self.may_answer = asyncio.Event(), asyncio.Event()
        self.may_read.set()
        config = uvicorn.Config(self._app, interface="asgi3", ws="none", timeout_keep_alive=75)
        config.load()
        self.protocol = DeadlineProtocol(config, ServerState(), {}, loop)
        self.protocol.connection_made(self.wire)

    def says(self, data: bytes) -> None:
        self.protocol.data_received(data)
        for _ in range(5):
            self.loop.turn()

    def lasts(self, seconds: float) -> bool:
        """Whether it is still open then."""
        self.loop.passes(seconds)
        return not self.wire.is_closed

    def answers(self) -> None:
        self.may_answer.set()
        for _ in range(5):
            self.loop.turn()

    async def _app(self, scope: Any, receive: Any, send: Any) -> None:
        await self.may_read.wait()
        while (await receive()).get("more_body", False):
            await self.may_read.wait()
        await self.may_answer.wait()
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"ok"})


@pytest.fixture
def loop() -> Iterator[MovedLoop]:
    loop = MovedLoop()
    yield loop
    for task in asyncio.all_tasks(loop):
        task.cancel()
    loop.turn()
    loop.close()


@pytest.fixture
def connection(loop: MovedLoop) -> Connection:
    return Connection(loop)


def test_a_connection_that_says_nothing_is_closed_after_15_seconds(connection: Connection) -> None:
    assert connection.lasts(14.5)
    assert not connection.lasts(1)


def test_a_header_has_10_seconds_from_its_first_byte_however_it_drips(
    connection: Connection,
) -> None:
    connection.loop.passes(9)
    for byte in b"GET / HTT":
        connection.says(bytes([byte]))
        assert connection.lasts(1)
    connection.says(b"P/1.1\r\n")

    assert not connection.lasts(1.5)


def test_blank_lines_are_no_request(connection: Connection) -> None:
    for _ in range(29):
        connection.says(b"\r\n")
        assert connection.lasts(0.5)

    assert not connection.lasts(1)


def test_a_body_of_which_nothing_comes_has_10_seconds(connection: Connection) -> None:
    connection.says(UPLOAD)

    assert connection.lasts(9.5)
    assert not connection.lasts(1)


def test_a_body_has_to_keep_up_a_kibibyte_a_second(connection: Connection) -> None:
    connection.says(UPLOAD)
    for _ in range(100):
        connection.says(KIB)
        assert connection.lasts(1)
    for _ in range(21):
        connection.says(KIB[:512])
        connection.lasts(1)

    assert connection.wire.is_closed


def test_a_quick_body_may_pause_for_less_than_30_seconds(connection: Connection) -> None:
    connection.says(UPLOAD + 60 * KIB)
    assert connection.lasts(29)
    connection.says(60 * KIB)
    assert connection.lasts(29.5)
    assert not connection.lasts(1)


def test_lengths_of_chunks_that_never_come_are_no_body(connection: Connection) -> None:
    connection.says(CHUNKED + b"ff\r\n")
    connection.says(KIB[:255] + b"\r\n")
    for _ in range(10):
        connection.says(b"0")
        connection.lasts(1)

    assert not connection.lasts(1)


def test_a_body_that_we_do_not_take_is_waited_for(connection: Connection) -> None:
    connection.may_read.clear()
    connection.says(UPLOAD + 100 * KIB)
    assert connection.wire.is_paused
    assert connection.lasts(100)

    connection.may_read.set()
    connection.loop.turn()
    assert not connection.wire.is_paused
    connection.may_read.clear()
    assert connection.lasts(9.5)
    assert not connection.lasts(1)


def test_once_we_take_a_body_again_its_sender_has_the_whole_time(connection: Connection) -> None:
    connection.may_read.clear()
    connection.says(UPLOAD + 100 * KIB)
    connection.loop.passes(29)

    connection.may_read.set()
    connection.loop.turn()
    assert connection.lasts(9.5)
    assert not connection.lasts(1)


def test_a_body_without_leave_to_be_sent_is_waited_for(connection: Connection) -> None:
    connection.may_read.clear()
    connection.says(UPLOAD.replace(b"\r\n\r\n", b"\r\nExpect: 100-continue\r\n\r\n"))
    assert connection.lasts(60)

    connection.may_read.set()
    connection.loop.turn()
    connection.loop.turn()
    assert connection.wire.sent == b"HTTP/1.1 100 Continue\r\n\r\n"
    assert not connection.lasts(20)


@pytest.mark.parametrize("request_bytes", [REQUEST, UPLOAD.replace(b"0000000", b"") + b"x"])
def test_a_request_that_is_whole_waits_for_its_answer_as_long_as_it_takes(
    connection: Connection, request_bytes: bytes
) -> None:
    connection.says(request_bytes[:30])
    connection.says(request_bytes[30:])

    assert connection.lasts(1000)
    connection.answers()
    assert connection.wire.sent.startswith(b"HTTP/1.1 200 OK")


def test_an_idle_connection_is_kept_as_before_and_its_next_request_has_its_own_10_seconds(
    connection: Connection,
) -> None:
    connection.says(REQUEST)
    connection.answers()
    assert connection.lasts(74)

    connection.says(REQUEST[:10])
    assert connection.lasts(9.5)
    assert not connection.lasts(1)


def test_blank_lines_do_not_keep_an_idle_connection(connection: Connection) -> None:
    connection.says(REQUEST)
    connection.answers()
    for _ in range(19):
        connection.says(b"\r\n")
        connection.lasts(0.5)

    assert not connection.lasts(1)


def test_the_beginning_of_a_further_request_is_timed_while_the_first_is_answered(
    connection: Connection,
) -> None:
    connection.says(REQUEST + REQUEST)
    assert connection.lasts(60)

    connection.says(REQUEST[:10])
    assert not connection.lasts(10.5)


@pytest.mark.parametrize("begun", [b"", REQUEST[:10], UPLOAD + 60 * KIB])
def test_what_came_while_the_process_did_not_run_came_in_time(
    connection: Connection, begun: bytes
) -> None:
    rest = REQUEST if not begun else REQUEST[10:] if begun == REQUEST[:10] else 60 * KIB
    if begun:
        connection.says(begun)
    connection.loop.now += 60
    connection.loop.turn()

    connection.says(rest)

    assert connection.lasts(9)


def test_an_upgrade_that_is_not_made_is_an_ordinary_request(connection: Connection) -> None:
    upgrade = b"\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"
    connection.says(REQUEST.replace(b"\r\n\r\n", upgrade))

    assert connection.lasts(60)


def test_a_connection_that_is_gone_leaves_no_timer(connection: Connection) -> None:
    connection.says(UPLOAD)
    connection.protocol.connection_lost(None)
    connection.wire.is_closed = False

    assert connection.lasts(100)


def test_the_limits_are_those_that_are_set(loop: MovedLoop) -> None:
    connection = Connection(loop)
    connection.protocol.patience = Patience(2.0, 3.0)

    connection.says(UPLOAD + 60 * KIB)

    assert connection.lasts(2.5)
    assert not connection.lasts(1)
