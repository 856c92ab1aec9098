"""Runs the server in this process until it is told to stop."""

import contextlib
import gc
import logging
import math
import os
import signal
import socket
import sys
from collections.abc import Iterator
from dataclasses import replace
from types import FrameType

import uvicorn

from broker import __version__
from broker.app import Application
from broker.cli.protocol import DeadlineProtocol, Patience
from broker.config import Settings
from broker.errors import PortTaken, StartRefused


def serve() -> int:
    """Serves until SIGTERM or Ctrl-C; returns the exit status. A bad start says why in one line."""
    try:
        settings = Settings.from_env(os.environ)
        listener = _bind(settings)
    except StartRefused as error:
        print(f"error: {error.message}", file=sys.stderr)
        return error.exit_code
    settings = replace(settings, server_port=listener.getsockname()[1])
    application = Application(settings)
    server = _Server(_config(application, settings), application, settings)
    application.stop_server = lambda: setattr(server, "should_exit", True)
    # uvicorn leaves by SystemExit when the application did not start; why, the application has said.
    with listener, contextlib.suppress(SystemExit):
        server.run(sockets=[listener])
    return application.exit_code or 0


class _Server(uvicorn.Server):
    """Says where it is once it can be called there, and ends cleanly when it is told to stop."""

    def __init__(
        self, config: uvicorn.Config, application: Application, settings: Settings
    ) -> None:
        super().__init__(config)
        self._application = application
        self._settings = settings

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        # What lives as long as the process need not be looked at again, and requests leave few cycles behind:
        # collecting less often is worth five per cent of the work.
        gc.freeze()
        gc.set_threshold(20_000, 20, 20)
        _tell_who_may_call(self._application, self._settings)
        _say(f"Grok Broker {__version__} is ready at {self._settings.own_url}")

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Unlike its parent's, does not die of the signal in the end: having stopped as asked is status 0."""
        numbers = (signal.SIGINT, signal.SIGTERM)
        earlier = {number: signal.signal(number, self.handle_exit) for number in numbers}
        try:
            yield
        finally:
            for number, handler in earlier.items():
                signal.signal(number, handler)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """The first signal stops, the second stops at once."""
        self.force_exit = self.should_exit
        self.should_exit = True


def _tell_who_may_call(application: Application, settings: Settings) -> None:
    gatekeeper = application.gatekeeper
    if gatekeeper is None:
        return  # It did not start.
    if gatekeeper.is_required:
        _say("Every call needs a key.")
        if not gatekeeper.has_live_keys:
            _say("warning: no key is in force: python -m broker keys create --scope admin")
        if not settings.is_loopback:
            _say(
                "warning: over http keys can be read on the way; put TLS in front of this address."
            )
    elif settings.is_loopback:
        _say("No key is needed on this machine; every program on it can use the broker.")
    else:
        _say("warning: anybody who reaches this address can use the broker.")


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def _config(application: Application, settings: Settings) -> uvicorn.Config:
    class Protocol(DeadlineProtocol):
        patience = Patience(settings.receive_header_seconds, settings.receive_stall_seconds)

    # Why it did not start, the application has said in a line of its own.
    logging.getLogger("uvicorn.error").addFilter(
        lambda record: "startup failed" not in record.getMessage()
    )
    return uvicorn.Config(
        application,
        # Its access log and the trust in forwarding headers from loopback are both unwanted here.
        access_log=False,
        proxy_headers=False,
        server_header=False,
        date_header=False,
        log_level="warning",
        http=Protocol,
        ws="none",
        lifespan="on",
        timeout_keep_alive=75,
        timeout_graceful_shutdown=math.ceil(settings.shutdown_seconds),
    )


def _bind(settings: Settings) -> socket.socket:
    """Takes the port before anything else is opened. Raises `PortTaken`, saying what to do."""
    address = (settings.server_host, settings.server_port)
    try:
        family, kind, protocol, _, place = socket.getaddrinfo(*address, type=socket.SOCK_STREAM)[0]
        listener = socket.socket(family, kind, protocol)
        if os.name == "posix":
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(place)
    except OSError as error:
        raise PortTaken(
            f"SERVER_PORT: cannot listen on {settings.server_host}:{settings.server_port} "
            f"({error.strerror or error}). Stop the other program or set SERVER_PORT."
        ) from error
    return listener
