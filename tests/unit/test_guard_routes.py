"""Every kind of caller at every route there is: what Chromium sends for each, and what the guard makes of it."""

import asyncio
from collections.abc import Callable
from typing import Any, NamedTuple

import httpx
import pytest

from broker.api.guard import OUR_EXTENSION
from broker.api.table import ORDINARY_ROUTES
from broker.app import Application
from broker.config import Settings

PORT = 8000
OURS = OUR_EXTENSION.decode()
OTHERS = "chrome-extension://ponmlkjihgfedcbaponmlkjihgfedcba"
PAGE = "https://page.example"
#: A worker's calls are POST, but for these.
WORKER_METHODS = {
    "/extension/poll": "GET",
    "/extension/pack": "GET",
    "/extension/pair/x": "GET",
    "/extension/result/x": "PUT",
}
EVERY = ("GET", "HEAD", "POST", "PUT", "DELETE", "PATCH")
Verdict = Callable[[str, str], int | None]


def fetched(site: str, mode: str = "cors", dest: str = "empty", **more: str) -> dict[str, str]:
    return {"sec-fetch-site": site, "sec-fetch-mode": mode, "sec-fetch-dest": dest, **more}


def is_media(method: str, path: str) -> bool:
    is_file = path.startswith(("/videos/", "/images/")) or "/late" in path
    return method in ("GET", "HEAD") and is_file


def passes(method: str, path: str) -> int | None:
    return None


def refused(method: str, path: str) -> int | None:
    """A film's name is the permission to see it."""
    return None if is_media(method, path) else 403


def only_as_worker(method: str, path: str) -> int | None:
    is_workers = path.startswith("/extension/") and method == WORKER_METHODS.get(path, "POST")
    return None if is_workers else 403


def passes_but_pairs_not(method: str, path: str) -> int | None:
    """A worker's key is asked for by our extension alone."""
    asks = (
        ("POST", "/extension/pair"),
        ("GET", "/extension/pair/x"),
        ("HEAD", "/extension/pair/x"),
    )
    return 403 if (method, path) in asks else None


def not_even_asked(method: str, path: str) -> int | None:
    """The browser asks whether it may send this at all."""
    return 403


def misdirected(method: str, path: str) -> int | None:
    return 421


class Caller(NamedTuple):
    """Somebody who calls, the methods that are his to choose, and the status he gets; None is to be let through."""

    methods: tuple[str, ...]
    headers: dict[str, str]
    verdict: Verdict
    host: str = f"127.0.0.1:{PORT}"
    asks_first: bool = False


# fmt: off
CALLERS = {
    "a program": Caller(EVERY, {}, passes),
    "our worker, GET": Caller(("GET",), fetched("none"), passes),
    "our worker, POST": Caller(("POST", "PUT"), fetched("none", origin=OURS), only_as_worker),
    "another extension": Caller(EVERY, fetched("none", origin=OTHERS), refused),
    "a content script": Caller(EVERY, fetched("cross-site", origin=PAGE), not_even_asked, asks_first=True),
    "a page's image": Caller(("GET",), fetched("cross-site", "no-cors", "image"), refused),
    "a page's simple fetch": Caller(("GET", "HEAD", "POST"), fetched("cross-site", "no-cors", origin=PAGE), refused),
    "a page's JSON or DELETE": Caller(EVERY, fetched("cross-site", origin=PAGE), not_even_asked, asks_first=True),
    "a form navigation": Caller(("POST",), fetched("cross-site", "navigate", "document", origin=PAGE), refused),
    "rebinding, GET": Caller(("GET", "HEAD"), {}, misdirected, f"evil.example:{PORT}"),
    "rebinding, POST": Caller(EVERY, {"origin": f"http://evil.example:{PORT}"}, misdirected, f"evil.example:{PORT}"),
    "another local port": Caller(EVERY, fetched("same-site", origin="http://127.0.0.1:3000"), refused),
    "a sandboxed frame": Caller(EVERY, fetched("cross-site", origin="null"), refused),
    "our dashboard": Caller(EVERY, fetched("same-origin", origin=f"http://127.0.0.1:{PORT}"), passes_but_pairs_not),
}
# fmt: on

#: Method, path, status: what each call met.
Met = list[tuple[str, str, int]]


@pytest.fixture(scope="module")
def met(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Met]:
    """All calls of all callers, one after the other, at one broker."""
    folder = tmp_path_factory.mktemp("broker")
    names = {"DB_PATH": "jobs.db", "VIDEO_STORAGE_PATH": "videos", "LOG_PATH": "logs"}
    settings = Settings.from_env({name: str(folder / path) for name, path in names.items()})

    async def scene() -> dict[str, Met]:
        application = Application(settings)
        transport = httpx.ASGITransport(application)
        base = f"http://127.0.0.1:{PORT}"
        async with (
            application.running(),
            httpx.AsyncClient(transport=transport, base_url=base) as http,
        ):
            paths = await all_paths(http)
            return {name: await called(http, caller, paths) for name, caller in CALLERS.items()}

    return asyncio.run(scene())


async def all_paths(http: httpx.AsyncClient) -> list[str]:
    """Every path of the route table, with a name where it wants one, and one that is not there."""
    document: dict[str, Any] = (await http.get("/openapi.json")).json()
    patterns = {*document["paths"], *(route.path for route in ORDINARY_ROUTES)}
    paths = {_named(pattern) for pattern in patterns}
    assert len(paths) > 35
    return sorted(paths | {"/nowhere"})


def _named(pattern: str) -> str:
    before, brace, rest = pattern.partition("{")
    return f"{before}x{_named(rest.partition('}')[2])}" if brace else pattern


async def called(http: httpx.AsyncClient, caller: Caller, paths: list[str]) -> Met:
    answers = []
    for path in paths:
        for method in caller.methods:
            headers = {"host": caller.host, **caller.headers}
            sent = method
            if caller.asks_first:
                sent = "OPTIONS"
                headers |= {
                    "access-control-request-method": method,
                    "access-control-request-headers": "authorization,content-type",
                }
            answer = await http.request(sent, path, headers=headers)
            assert not [name for name in answer.headers if name.startswith("access-control-")]
            answers.append((method, path, answer.status_code))
    return answers


@pytest.mark.parametrize("name", CALLERS)
def test_each_kind_of_caller_meets_its_verdict_at_every_route(
    name: str, met: dict[str, Met]
) -> None:
    verdict = CALLERS[name].verdict
    wrong = [
        (method, path, status)
        for method, path, status in met[name]
        if (status if status in (403, 421) else None) != verdict(method, path)
    ]

    assert len(met[name]) > 40
    assert wrong == []
