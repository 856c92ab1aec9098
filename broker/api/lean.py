"""What a lean route is: a plain function from a `Call` to a `Reply`, declared in one table with all the rest.

Routes that are called for every job, beat or chunk are lean, because a framework's work per request would be
four fifths of their cost. The others are ordinary FastAPI. Both stand in the route table that the guard reads,
so a route that is not declared there does not exist.
"""

import re
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from dataclasses import dataclass, field
from enum import StrEnum
from functools import lru_cache
from typing import Any, NamedTuple
from urllib.parse import parse_qs

from pydantic import BaseModel

from broker.errors import InvalidValue, TooLarge
from broker.keys import LOCAL, Caller
from broker.ports import Record

ASGIScope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
Headers = list[tuple[bytes, bytes]]


class Door(StrEnum):
    """Who may come through."""

    PUBLIC = "public"
    MEDIA = "media"
    #: No key is asked for, but no web page and no other extension comes through, wherever it is allowed otherwise.
    PAIRING = "pairing"
    CLIENT = "client"
    WORKER = "worker"
    ADMIN = "admin"


class Body(NamedTuple):
    """What a route takes: nothing unless said."""

    max_bytes: int = 0
    types: tuple[bytes, ...] = ()


NO_BODY = Body()
MIB = 1024 * 1024
JSON_BODY = Body(MIB, (b"application/json",))
JSON_WITH_IMAGES = Body(32 * MIB, (b"application/json",))
FORM_OR_JSON = Body(32 * MIB, (b"application/json", b"multipart/form-data"))


class Reply(NamedTuple):
    """A whole answer."""

    status: int
    body: bytes = b""
    content_type: bytes = b"application/json"
    headers: tuple[tuple[bytes, bytes], ...] = ()


class Call:
    """One request, past the guard."""

    __slots__ = (
        "_headers",
        "_added",
        "_receive",
        "_send",
        "is_body_read",
        "is_committed",
        "caller",
        "params",
        "request_id",
        "route",
        "scope",
    )

    def __init__(
        self,
        scope: ASGIScope,
        receive: Receive,
        send: Send,
        route: "Route",
        params: Mapping[str, str],
        request_id: str,
        added: Headers,
        caller: Caller = LOCAL,
    ) -> None:
        self.caller = caller
        self.scope = scope
        self.route = route
        self.params = params
        self.request_id = request_id
        self.is_body_read = False
        #: A status has been sent before the answer is known; only the body of a 200 can follow.
        self.is_committed = False
        self._receive = receive
        self._send = send
        self._added = added
        self._headers: dict[bytes, bytes] | None = None

    def visible(self, record: Record | None) -> Record | None:
        """The record, if its job is there for this caller: another owner's looks like none at all."""
        if record is None or not self.caller.may_see(record.job.owner):
            return None
        return record

    def header(self, name: bytes) -> str | None:
        """The last header of this lower-case name, or None."""
        if self._headers is None:
            self._headers = dict(self.scope["headers"])
        value = self._headers.get(name)
        return None if value is None else value.decode("latin-1")

    def query(self) -> Mapping[str, list[str]]:
        """Query values by name. Raises `InvalidValue` for one that is not UTF-8 text."""
        return _parsed_query(self.scope["query_string"])

    async def body(self) -> bytes:
        """The whole body. Raises `TooLarge` as soon as it is longer than the route allows."""
        message = await self._receive()
        body: bytes = message.get("body", b"")
        if not message.get("more_body", False):
            self.is_body_read = True
            return self._checked(body)
        parts = [body]
        size = len(body)
        async for part in self.stream():
            size += len(part)
            self.check_size(size)
            parts.append(part)
        return self._checked(b"".join(parts))

    async def stream(self) -> Any:
        """The body in pieces as they come. Raises `ClientGone` when the sender leaves before its end."""
        while True:
            message = await self._receive()
            if message["type"] == "http.disconnect":
                raise ClientGone
            if part := message.get("body", b""):
                yield part
            if not message.get("more_body", False):
                self.is_body_read = True
                return

    def is_alive(self) -> bool:
        """Whether the caller is still connected: one step of `receive`, without waiting."""
        while True:
            step = self._receive().__await__()
            try:
                next(step)
            except StopIteration as stop:
                if stop.value["type"] == "http.disconnect":
                    return False
                self.is_body_read = True
                continue
            _close(step)
            return True

    async def commit(self) -> None:
        """Promises a JSON answer of status 200 before it is known, for clients that do not wait without headers."""
        await self.start(200, [(b"content-type", b"application/json")])
        self.is_committed = True

    async def start(self, status: int, headers: Headers) -> None:
        """Begins an answer that goes out in pieces, with the headers that every answer has."""
        headers = with_common(headers, self._added)
        await self._send({"type": "http.response.start", "status": status, "headers": headers})

    async def send(self, message: MutableMapping[str, Any]) -> None:
        """An ASGI message, with the headers that every answer has if it is the first."""
        if message["type"] == "http.response.start":
            message["headers"] = with_common(message["headers"], self._added)
        await self._send(message)

    def replayed(self, body: bytes) -> Receive:
        """`receive` for an application that is to read a body that has been read already."""
        was_told = False

        async def receive() -> MutableMapping[str, Any]:
            nonlocal was_told
            if was_told:
                return await self._receive()
            was_told = True
            return {"type": "http.request", "body": body, "more_body": False}

        return receive

    async def send_part(self, body: bytes, *, is_last: bool = False) -> None:
        await self._send({"type": "http.response.body", "body": body, "more_body": not is_last})

    def check_size(self, size_bytes: int) -> None:
        """Raises `TooLarge` for a body of more than this route allows."""
        if size_bytes > self.route.body.max_bytes:
            raise TooLarge()

    def _checked(self, body: bytes) -> bytes:
        self.check_size(len(body))
        return body


#: Unless an answer has a rule of its own for caches.
NO_STORE = (b"cache-control", b"no-store")


def with_common(headers: Headers, added: Headers) -> Headers:
    """An answer's headers with those that every answer has."""
    if any(name == b"cache-control" for name, _ in headers):
        return [*headers, *added]
    return [*headers, NO_STORE, *added]


@lru_cache(maxsize=256)
def _parsed_query(raw: bytes) -> Mapping[str, list[str]]:
    """Remembered, because a worker asks with the same query each time."""
    try:
        return parse_qs(
            raw.decode("ascii"), keep_blank_values=True, errors="strict", max_num_fields=50
        )
    except ValueError:
        raise InvalidValue(
            "The query must be percent-encoded UTF-8 of at most 50 fields."
        ) from None


class ClientGone(Exception):  # noqa: N818 - not a fault: nobody is left to be told
    """The sender left in the middle of its body."""


def _close(step: Any) -> None:
    close = getattr(step, "close", None)
    if close is not None:
        close()


Handler = Callable[[Call], Awaitable[Reply | None]]


class QueryParam(NamedTuple):
    """A field of a route's query, as the OpenAPI document tells it."""

    name: str
    #: As JSON Schema.
    schema: Mapping[str, Any]
    about: str = ""
    is_required: bool = False


@dataclass(frozen=True, slots=True)
class Route:
    """One line of the route table. A lean route has `handle`; without it the call goes on to FastAPI."""

    method: str
    path: str
    door: Door
    body: Body = NO_BODY
    handle: Handler | None = None
    #: Status of a refused field: 422 where the seed says so, else 400.
    invalid_status: int = 400
    #: Whether the guard notes each call in the request log; calls that come every few seconds are not noted,
    #: and routes that create a job note it themselves, with its id.
    is_noted: bool = True
    #: The rest is for the OpenAPI document. What is taken as the body, and what a 200 answers.
    takes: type[BaseModel] | None = None
    gives: type[BaseModel] | None = None
    query: tuple[QueryParam, ...] = ()
    #: Of a form: its fields that are files.
    files: tuple[str, ...] = ()
    #: Types of a 200 that is not JSON, or not always: `video/mp4`, `text/event-stream`.
    types: tuple[str, ...] = ()
    #: Further statuses, beside those that follow from the rest: with its shape, or None for an empty answer and
    #: for an error.
    answers: Mapping[int, type[BaseModel] | None] = field(default_factory=dict)

    @property
    def is_pattern(self) -> bool:
        return "{" in self.path

    @property
    def names(self) -> list[str]:
        """The names of the path's parameters."""
        return re.findall(r"\{(\w+)(?::path)?\}", self.path)


class RouteTable:
    """Finds the route of a request. What is not declared here is not there."""

    def __init__(self, routes: list[Route]) -> None:
        self.routes = routes
        self._exact = {
            (route.method, route.path): route for route in routes if not route.is_pattern
        }
        self._exact_paths = frozenset(path for _, path in self._exact)
        self._patterns = [(_compiled(route.path), route) for route in routes if route.is_pattern]

    def find(self, method: str, path: str) -> tuple[Route, Mapping[str, str]] | None:
        """HEAD finds the route of GET. A path that is declared word for word is never a pattern's as well."""
        method = "GET" if method == "HEAD" else method
        if route := self._exact.get((method, path)):
            return route, {}
        if path in self._exact_paths:
            return None
        for pattern, route in self._patterns:
            if route.method == method and (match := pattern.fullmatch(path)):
                return route, match.groupdict()
        return None

    def methods(self, path: str) -> list[str]:
        """The methods that this path has."""
        found = {method for method, exact in self._exact if exact == path}
        found = found or {
            route.method for pattern, route in self._patterns if pattern.fullmatch(path)
        }
        return sorted(found | ({"HEAD"} if "GET" in found else set()))


def _compiled(path: str) -> re.Pattern[str]:
    parts = re.split(r"\{(\w+)(:path)?\}", path)
    pattern = re.escape(parts[0])
    for name, is_path, rest in zip(parts[1::3], parts[2::3], parts[3::3], strict=True):
        pattern += f"(?P<{name}>{'.+' if is_path else '[^/]+'}){re.escape(rest)}"
    return re.compile(pattern)
