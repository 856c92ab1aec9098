"""The guard in front of everything: decides on the request line and headers alone, before a body byte is read.

Order: Host (421), who sent the browser here (403), route (404, 405), size and type of the body (413, 415). A web
page can reach a loopback port without any leave, and after DNS rebinding its Origin equals the Host; hence the
exact list of names, and hence every method is checked.
"""

import ipaddress
import itertools
import secrets
from collections.abc import Mapping, MutableMapping
from functools import cache
from typing import Any, NamedTuple

from broker.api.calling import CALLER
from broker.api.cors import answer_headers, preflight_headers
from broker.api.errors import Problem, problem, problem_of
from broker.api.gatekeeper import Gatekeeper
from broker.api.lean import (
    NO_STORE,
    ASGIScope,
    Call,
    ClientGone,
    Door,
    Handler,
    Headers,
    Receive,
    Reply,
    Route,
    RouteTable,
    Send,
)
from broker.config import Settings
from broker.errors import BrokerError
from broker.keys import Caller
from broker.log import ProgramLog, RequestLog
from broker.ports import Clock

#: Where FastAPI's error pages find the number of the request.
REQUEST_ID = "broker.request_id"
#: Our own extension, whose id follows from the key in its manifest. Let in where a worker has to call.
OUR_EXTENSION = b"chrome-extension://cbbjidhpddkbmnhlnldimfkcageanjdb"
LOOPBACK_NAMES = ("localhost", "127.0.0.1", "[::1]")
_FOREIGN_SITES = (b"cross-site", b"same-site")

#: On every answer. Media routes add their own cache rule instead of no-store.
COMMON_HEADERS: Headers = [
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"x-frame-options", b"DENY"),
    (b"cross-origin-opener-policy", b"same-origin"),
]


class _Seen(NamedTuple):
    """The headers that the guard decides on."""

    hosts: list[bytes]
    origin: bytes | None
    site: bytes | None
    length: bytes | None
    content_type: bytes
    encoding: bytes | None
    is_chunked: bool
    asks_preflight: bool


class Guard:
    """ASGI: lets a call through to its lean handler or to FastAPI, or answers why not."""

    def __init__(
        self,
        app: Any,
        table: RouteTable,
        settings: Settings,
        clock: Clock,
        log: ProgramLog,
        request_log: RequestLog,
        gatekeeper: Gatekeeper,
    ) -> None:
        self._app = app
        self._gatekeeper = gatekeeper
        self._table = table
        self._clock = clock
        self._log = log
        self._request_log = request_log
        self._names = (*LOOPBACK_NAMES, *settings.allowed_hosts)
        self._origins = frozenset(origin.encode() for origin in settings.allowed_origins)
        self._is_open = settings.dangerously_allow_open_network
        self._request_prefix = f"req_{secrets.token_hex(6)}"
        self._numbers = itertools.count(1)
        self._hosts_at = cache(self._hosts_of_port)
        self._origins_at = cache(self._origins_of_port)

    async def __call__(self, scope: ASGIScope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        if scope["type"] != "http":
            await send({"type": "websocket.close", "code": 1008})
            return
        seen = _see(scope["headers"])
        request_id = f"{self._request_prefix}{next(self._numbers):x}"
        added = self._added(seen, request_id)
        refused, found = self._examine(scope, seen)
        if found is None:
            answer = refused.reply() if isinstance(refused, Problem) else refused
            await _answer(send, answer, added, closes=bool(seen.length or seen.is_chunked))
            return
        route, params = found
        caller = self._admitted(scope, seen, route)
        if isinstance(caller, Problem):
            has_body = bool(seen.length or seen.is_chunked)
            await _answer(send, caller.reply(), added, closes=has_body)
            return
        if route.is_noted:
            at, method, path = self._clock.wall(), scope["method"], scope["path"]
            self._request_log.request(at, method, path, params.get("job_id"))
        handle: Handler = route.handle or self._handed_on
        if route.door == Door.CLIENT:
            send = self._timed(send)
        call = Call(scope, receive, send, route, params, request_id, added, caller)
        reply = await self._reply(handle, call)
        if reply is not None and call.is_committed:
            await self._fulfil(call, reply)
        elif reply is not None:
            has_body = bool(seen.length or seen.is_chunked)
            await _answer(send, reply, added, closes=has_body and not call.is_body_read)

    async def _fulfil(self, call: Call, reply: Reply) -> None:
        """Ends an answer whose status went out before it was known. One that is not 200 can only be cut off."""
        if reply.status == 200:
            await call.send_part(reply.body, is_last=True)
            return
        self._log.error(
            "answer_cut_off",
            path=call.route.path,
            request_id=call.request_id,
            status=reply.status,
            body=reply.body[:500].decode("utf-8", "replace"),
        )

    def _timed(self, send: Send) -> Send:
        """Tells clients how long their answer took to begin, as SDKs log it."""
        begun_at = self._clock.now()

        async def timed(message: MutableMapping[str, Any]) -> None:
            if message["type"] == "http.response.start":
                passed_ms = round((self._clock.now() - begun_at) * 1000)
                message["headers"].append((b"openai-processing-ms", b"%d" % passed_ms))
            await send(message)

        return timed

    async def _handed_on(self, call: Call) -> None:
        """Lets FastAPI answer; only a body that was read here, and found small enough, goes on to it."""
        body = await call.body() if call.route.body.types else b""
        # What is answered to GET, the server sends to HEAD without its body.
        method = "GET" if call.scope["method"] == "HEAD" else call.scope["method"]
        own = {REQUEST_ID: call.request_id, CALLER: call.caller}
        scope = {**call.scope, "method": method, **own}
        try:
            await self._app(scope, call.replayed(body), call.send)
        except Exception as error:
            # FastAPI has told the caller, and passes on what broke.
            self._note_crash(call, error)

    async def _reply(self, handle: Handler, call: Call) -> Reply | None:
        """What the handler answers; None where it has answered itself, or nobody is left to be answered."""
        try:
            return await handle(call)
        except BrokerError as error:
            return problem_of(error, call.route.invalid_status).reply()
        except ClientGone:
            return None
        except Exception as error:
            self._note_crash(call, error)
            message = f"Something went wrong here ({call.request_id})."
            return problem("internal_error", message).reply()

    def _note_crash(self, call: Call, error: Exception) -> None:
        self._log.error(
            "request_crashed",
            path=call.route.path,
            request_id=call.request_id,
            error=repr(error),
        )

    # What is decided, in order.

    def _examine(
        self, scope: ASGIScope, seen: _Seen
    ) -> tuple[Problem | Reply | None, tuple[Route, Mapping[str, str]] | None]:
        server = scope.get("server") or ("localhost", None)
        if not self._is_known_host(seen.hosts, server[0], server[1]):
            return problem(
                "host_not_allowed",
                "Call the broker by a name it knows: localhost, or one in ALLOWED_HOSTS.",
            ), None
        path, method = scope["path"], scope["method"]
        found = self._table.find(method, path)
        is_media = found is not None and found[0].door == Door.MEDIA
        is_worker = seen.origin == OUR_EXTENSION and found is not None and _is_for_workers(found[0])
        if found is not None and found[0].door == Door.PAIRING and not _may_pair(seen):
            return problem("origin_not_allowed", "Only the extension and programs may pair."), None
        if not is_media and (refused := self._examine_browser(seen, server[1], is_worker)):
            return refused, None
        if method == "OPTIONS" and seen.asks_preflight and seen.origin in self._origins:
            headers = preflight_headers(self._table.methods(path), scope["headers"])
            return Reply(204, headers=tuple(headers)), None
        return (self._no_route(method, path) if found is None else None), found

    def _admitted(self, scope: ASGIScope, seen: _Seen, route: Route) -> Caller | Problem:
        """Who calls; or why not, or why not with this body."""
        address = (scope.get("client") or ("unknown", 0))[0]
        try:
            caller = self._gatekeeper.caller(
                route, scope["headers"], scope["query_string"], address
            )
        except BrokerError as error:
            return problem_of(error)
        return _examine_body(route, seen) or caller

    def _is_known_host(self, hosts: list[bytes], address: str, port: int | None) -> bool:
        if len(hosts) != 1 or hosts[0].lower() not in self._hosts_at(port):
            return False
        return self._is_open or self._gatekeeper.is_required or _is_loopback(address)

    def _examine_browser(self, seen: _Seen, port: int | None, is_worker: bool) -> Problem | None:
        origin = seen.origin
        if origin is not None and origin in self._origins:
            return None
        is_known = origin is None or is_worker or self._is_ours(origin, port)
        if seen.site in _FOREIGN_SITES or not is_known:
            return problem(
                "origin_not_allowed",
                "Web pages and extensions may call only from an origin in ALLOWED_ORIGINS.",
            )
        return None

    def _is_ours(self, origin: bytes, port: int | None) -> bool:
        return origin in self._origins_at(port)

    def _no_route(self, method: str, path: str) -> Problem:
        methods = self._table.methods(path)
        if methods:
            told = problem("method_not_allowed", f"{path} takes {', '.join(methods)}.")
            return told._replace(headers=((b"allow", ", ".join(methods).encode()),))
        if path.startswith("/v1/video/"):
            return problem("not_found", f"There is no {path}: the path is /v1/videos/generations.")
        return problem("not_found", f"There is no {path} here. GET /openapi.json lists the paths.")

    # What is added.

    def _added(self, seen: _Seen, request_id: str) -> Headers:
        """The headers that every answer has."""
        added = [*COMMON_HEADERS, (b"x-request-id", request_id.encode())]
        if not self._origins:
            return added
        if seen.origin in self._origins and seen.origin is not None:
            added += answer_headers(seen.origin)
        return [*added, (b"vary", b"Origin")]

    def _hosts_of_port(self, port: int | None) -> frozenset[bytes]:
        names = [name.encode() for name in self._names]
        return frozenset(names if port is None else [*names, *_with_port(names, port)])

    def _origins_of_port(self, port: int | None) -> frozenset[bytes]:
        """Our own pages: at the port we listen on; under a declared name also where a proxy shows us."""
        shown = [name.encode() for name in self._names if name not in LOOPBACK_NAMES]
        ours = [b"%s://%s" % (scheme, name) for scheme in (b"http", b"https") for name in shown]
        if port is not None:
            names = [name.encode() for name in self._names]
            ours += [b"http://" + name for name in (*_with_port(names, port), *_at_80(names, port))]
        return frozenset(ours)


def _with_port(names: list[bytes], port: int) -> list[bytes]:
    return [b"%s:%d" % (name, port) for name in names]


def _at_80(names: list[bytes], port: int) -> list[bytes]:
    """Browsers leave a scheme's own port out."""
    return names if port == 80 else []


def _see(headers: Headers) -> _Seen:
    hosts = []
    origin = site = length = encoding = None
    content_type = b""
    is_chunked = asks_preflight = False
    for name, value in headers:
        if name == b"host":
            hosts.append(value)
        elif name == b"origin":
            # Two different ones are nobody's.
            origin = value if origin is None else b"null"
        elif name == b"sec-fetch-site":
            site = value
        elif name == b"content-length":
            length = value
        elif name == b"content-type":
            content_type = value
        elif name == b"content-encoding":
            encoding = value
        elif name == b"transfer-encoding":
            is_chunked = True
        elif name == b"access-control-request-method":
            asks_preflight = True
    return _Seen(hosts, origin, site, length, content_type, encoding, is_chunked, asks_preflight)


def _is_for_workers(route: Route) -> bool:
    return route.door in (Door.WORKER, Door.PAIRING) or route.path == "/health"


def _may_pair(seen: _Seen) -> bool:
    return seen.origin in (None, OUR_EXTENSION) and seen.site in (None, b"none")


def _examine_body(route: Route, seen: _Seen) -> Problem | None:
    if not seen.is_chunked and seen.length in (None, b"0"):
        return None
    if seen.encoding is not None:
        return problem("unsupported_media_type", "Send the body without Content-Encoding.")
    if seen.length is not None and not seen.length.isdigit():
        return problem("invalid_request", "Content-Length must be a number.")
    if seen.length is not None and int(seen.length) > route.body.max_bytes:
        return problem(
            "request_too_large", f"The body may have at most {route.body.max_bytes} bytes here."
        )
    if route.body.types:
        sent = seen.content_type.partition(b";")[0].strip().lower()
        if sent not in route.body.types:
            wanted = b" or ".join(route.body.types).decode()
            return problem("unsupported_media_type", f"Content-Type must be {wanted}.")
    return None


@cache
def _is_loopback(address: str) -> bool:
    """Whether a local address of a connection is one that only this machine reaches."""
    try:
        return ipaddress.ip_address(address).is_loopback
    except ValueError:
        return address == "localhost"


async def _answer(send: Send, reply: Reply | None, added: Headers, *, closes: bool) -> None:
    assert reply is not None
    headers: Headers = [*reply.headers, NO_STORE, *added]
    if reply.status not in (204, 304):
        headers += [
            (b"content-type", reply.content_type),
            (b"content-length", b"%d" % len(reply.body)),
        ]
    if closes:
        # The rest of the body has not been read and never will be.
        headers.append((b"connection", b"close"))
    await send({"type": "http.response.start", "status": reply.status, "headers": headers})
    await send({"type": "http.response.body", "body": reply.body})
