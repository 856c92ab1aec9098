"""A receiver of webhooks on this machine: keeps what comes, answers as it was told."""

import threading
from collections.abc import Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from queue import Empty, SimpleQueue
from typing import Any, NamedTuple


class Received(NamedTuple):
    path: str
    #: By lower-case name.
    headers: Mapping[str, str]
    body: bytes


class Receiver:
    """`with Receiver() as receiver:`; statuses are answered in turn, then 200 for ever."""

    def __init__(self) -> None:
        self.statuses: list[int] = []
        #: While it is not set, no answer is given.
        self.may_answer = threading.Event()
        self.may_answer.set()
        self._received: SimpleQueue[Received] = SimpleQueue()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler_of(self))

    def __enter__(self) -> "Receiver":
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.may_answer.set()
        self._server.shutdown()
        self._server.server_close()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}/hook"

    def take(self, limit_seconds: float = 20.0) -> Received:
        """The next that comes, or has come."""
        try:
            return self._received.get(timeout=limit_seconds)
        except Empty:
            raise AssertionError("no webhook came") from None

    def is_empty(self) -> bool:
        return self._received.empty()

    def take_in(self, received: Received) -> int:
        """Keeps a request; the status to answer it with."""
        self._received.put(received)
        self.may_answer.wait(30)
        return self.statuses.pop(0) if self.statuses else 200


def _handler_of(receiver: Receiver) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            headers = {name.lower(): value for name, value in self.headers.items()}
            status = receiver.take_in(Received(self.path, headers, body))
            self.send_response(status)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            """Says nothing."""

    return Handler
