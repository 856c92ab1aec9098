"""Starts and stops the stand-in site in a thread of its own, and is the handle by which a test holds it."""

import asyncio
import socket
import threading
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Self

import uvicorn

from broker.demo.site.certificate import chromium_flags, make_certificate
from broker.demo.site.door import Door
from broker.demo.site.holds import Point
from broker.demo.site.ledger import Event, Submit
from broker.demo.site.switches import RateLimit, Switches
from broker.demo.site.world import World

__all__ = ["Event", "Point", "RateLimit", "StandIn", "Submit", "Switches"]

START_SECONDS = 20.0
STOP_SECONDS = 10.0


class _Server(uvicorn.Server):
    """Starts and stops at a word from another thread, and hangs up on whoever is still there when it stops."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.is_ready = threading.Event()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stopping = asyncio.Event()

    def stop(self) -> None:
        if self._loop and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._stopping.set)

    async def main_loop(self) -> None:
        self._loop = asyncio.get_running_loop()
        await self.on_tick(0)
        self.is_ready.set()
        await self._stopping.wait()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        for server in self.servers:
            server.close()
        for connection in list(self.server_state.connections):
            connection.transport.abort()
        # The loop closes a socket two turns after it was told to.
        for _ in range(3):
            await asyncio.sleep(0)


class StandIn:
    """The site, from entering the context to leaving it."""

    def __init__(self, switches: Switches | None = None, *, port: int = 0) -> None:
        self.switches = switches or Switches()
        self._certificate = make_certificate()
        self._socket = socket.create_server(("127.0.0.1", port))
        self.port: int = self._socket.getsockname()[1]
        self._world = World(self.switches)
        self._server = _Server(self._config())
        self._thread = threading.Thread(target=self._run, name="stand-in-site", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        if not self._server.is_ready.wait(START_SECONDS):
            raise TimeoutError("The stand-in site did not start.")
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._world.holds.release_all()
        self._server.stop()
        self._thread.join(STOP_SECONDS)

    @property
    def url(self) -> str:
        return "https://grok.com/"

    @property
    def chromium_flags(self) -> list[str]:
        return chromium_flags(self._certificate, self.port)

    @property
    def authority_pem(self) -> bytes:
        """The root to trust, for clients other than a browser."""
        return self._certificate.authority_pem

    @property
    def events(self) -> Sequence[Event]:
        return self._world.ledger.events

    @property
    def films(self) -> Mapping[str, bytes]:
        return self._world.films

    def submits(self, prompt: str | None = None) -> list[Submit]:
        return self._world.ledger.submits(prompt)

    def wait_for_submit(self, prompt: str | None = None, timeout: float = 20.0) -> Submit:
        return self._world.ledger.wait_for_submit(prompt, timeout)

    def wait_for_event(self, name: str, timeout: float = 20.0) -> Event:
        return self._world.ledger.wait_for_event(name, timeout)

    def hold(self, point: Point) -> None:
        self._world.holds.hold(point)

    def release(self, point: Point) -> None:
        self._world.holds.release(point)

    def wait_until_held(self, point: Point, timeout: float = 20.0) -> None:
        self._world.holds.wait_until_held(point, timeout)

    def _config(self) -> uvicorn.Config:
        config = uvicorn.Config(
            Door(self._world).app(),
            ws="websockets-sansio",
            lifespan="off",
            log_config=None,
            access_log=False,
        )
        config.load()
        config.ssl = self._certificate.context
        return config

    def _run(self) -> None:
        asyncio.run(self._serve())

    async def _serve(self) -> None:
        try:
            await self._server.serve(sockets=[self._socket])
        finally:
            await self._world.close()
