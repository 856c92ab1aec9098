"""A guard before a handful of routes, with no server around it, for tests that knock at the door."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from broker.api.gatekeeper import Gatekeeper
from broker.api.guard import Guard
from broker.api.lean import JSON_BODY, Body, Call, ClientGone, Door, Reply, Route, RouteTable
from broker.config import Settings
from broker.errors import InvalidValue, LeaseLost
from broker.keyring import KeyRing
from broker.store.memory_keyshelf import MemoryKeyShelf
from tests.support.clock import ManualClock
from tests.support.running import run

LOOPBACK = ("127.0.0.1", 8000)
FORM_BODY = Body(1000, (b"multipart/form-data",))
Headers = Sequence[tuple[bytes, bytes]]


class Log:
    """Keeps what it is told."""

    def __init__(self) -> None:
        self.told: list[tuple[Any, ...]] = []

    def error(self, event: str, **data: Any) -> None:
        self.told.append((event, data))

    def request(self, *told: Any) -> None:
        self.told.append(told)


class Answer(NamedTuple):
    status: int
    headers: Mapping[str, str]
    body: bytes
    #: What let the call through: "lean", "app", or nothing.
    reached: str
    #: How often the body was asked for.
    reads: int


class House:
    """A guard before a handful of routes, and a door to knock at."""

    def __init__(self, **settings: Any) -> None:
        self.reached = ""
        self.sent: list[dict[str, Any]] = []
        self.reads = 0
        self.chunks: list[bytes] = []
        self.log = Log()
        routes = [
            Route("GET", "/", Door.PUBLIC),
            Route("GET", "/health", Door.PUBLIC),
            Route("GET", "/videos/{file_name}", Door.MEDIA, handle=self.lean),
            Route("GET", "/extension/poll", Door.WORKER, handle=self.lean),
            Route("POST", "/extension/beat", Door.WORKER, JSON_BODY, self.reading),
            Route("POST", "/extension/complete", Door.WORKER, FORM_BODY, self.lean),
            Route("POST", "/v1/videos/generations", Door.CLIENT, JSON_BODY, self.lean),
            Route("GET", "/jobs", Door.ADMIN),
            Route("DELETE", "/jobs", Door.ADMIN),
            Route("GET", "/jobs/{job_id}", Door.ADMIN),
            Route("POST", "/workers/{worker_id}/directives", Door.ADMIN, JSON_BODY),
            Route("GET", "/crash", Door.PUBLIC, handle=self.crash),
            Route("GET", "/gone", Door.PUBLIC, handle=self.gone),
            Route("POST", "/lost", Door.WORKER, JSON_BODY, self.lost),
            Route("POST", "/invalid", Door.CLIENT, JSON_BODY, self.invalid, invalid_status=422),
        ]
        clock, log = ManualClock(), self.log
        given = Settings(**settings)
        self.ring = KeyRing(MemoryKeyShelf(), clock, b"secret")
        gatekeeper = Gatekeeper(self.ring, clock, given)
        self.guard = Guard(self.app, RouteTable(routes), given, clock, log, log, gatekeeper)

    async def app(self, scope: Any, receive: Any, send: Any) -> None:
        """Reads whatever body there is, as a framework would."""
        self.reached = "app"
        more, size = bool(self.chunks), 0
        while more:
            message = await receive()
            size += len(message.get("body", b""))
            more = message.get("more_body", False)
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"%d" % size})

    async def lean(self, call: Call) -> Reply:
        self.reached = "lean"
        return Reply(200, b"{}")

    async def reading(self, call: Call) -> Reply:
        self.reached = "lean"
        return Reply(200, await call.body())

    async def crash(self, call: Call) -> Reply:
        raise ZeroDivisionError("secret detail")

    async def gone(self, call: Call) -> Reply:
        raise ClientGone

    async def lost(self, call: Call) -> Reply:
        raise LeaseLost

    async def invalid(self, call: Call) -> Reply:
        raise InvalidValue("No.", param="prompt")

    def knock(
        self,
        method: str = "GET",
        path: str = "/extension/poll?mode=video",
        headers: Mapping[str, str] | None = None,
        *,
        hosts: tuple[str | bytes, ...] = ("localhost:8000",),
        server: Any = LOOPBACK,
        chunks: Sequence[bytes] = (),
        more: Headers = (),
    ) -> Answer:
        """What becomes of one request. `more` are headers that may come twice."""
        self.reached, self.sent, self.reads = "", [], 0
        self.chunks = list(chunks)
        path, _, query = path.partition("?")
        raw: list[tuple[bytes, bytes]] = [(b"host", _bytes(host)) for host in hosts]
        raw += [(name.encode(), _bytes(value)) for name, value in (headers or {}).items()]
        raw += more
        scope = {
            "type": "http",
            "method": method,
            "path": path,
            "query_string": query.encode(),
            "headers": raw,
            "server": server,
        }
        run(self.guard(scope, self._receive, self._send))
        return self._answer()

    async def _receive(self) -> dict[str, Any]:
        self.reads += 1
        body = self.chunks.pop(0) if self.chunks else b""
        return {"type": "http.request", "body": body, "more_body": bool(self.chunks)}

    async def _send(self, message: dict[str, Any]) -> None:
        self.sent.append(message)

    def _answer(self) -> Answer:
        if not self.sent:
            return Answer(0, {}, b"", self.reached, self.reads)
        start, *rest = self.sent
        headers = {name.decode(): value.decode() for name, value in start["headers"]}
        body = b"".join(part.get("body", b"") for part in rest)
        return Answer(start["status"], headers, body, self.reached, self.reads)


def _bytes(value: str | bytes) -> bytes:
    return value if isinstance(value, bytes) else value.encode("utf-8")
