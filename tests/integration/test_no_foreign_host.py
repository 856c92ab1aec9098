"""Nothing that the broker answers leads anywhere else: whoever opens it in a browser tells no other host of it."""

import re
from collections.abc import Iterator
from itertools import product
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import pytest

from broker.api.table import ORDINARY_ROUTES
from tests.support.auto_worker import AutoWorker
from tests.support.server import ROOT, BrokerProcess

STATIC = ROOT / "broker" / "dashboard" / "static"
_URL = re.compile(r"(?i)\b([a-z][a-z0-9+.-]*):\\?/\\?/([^\s\"'`<>\\)]*)")
#: Ways for a page to name another host without a scheme.
_BARE_HOST = re.compile(
    r"""(?i)(?:\b(?:src|href|action|from|import|poster|srcset)\s*[=(]?\s*["']|url\(\s*["']?|@import\s+["']?)//"""
)
#: None of these is fetched from here.
KNOWN = {
    "/dashboard/icon.svg": {"http://www.w3.org/2000/svg"},  # the name of a language
    "/dashboard/format.js": {"http://here"},  # what a path is completed with, to be read
    # Where the extension's page is found. The broker itself never goes there.
    "/extension/pack": {
        "https://grok.com/",
        "https://grok.com/c/",
        "https://grok.com/imagine",
        "https://grok.com/imagine/post/",
        "https://grok.com/imagine/saved",
        "https://assets.grok.com/",
    },
}
#: There is nothing to be had here in a broker that has done all its jobs in time.
EMPTY = {
    "/extension/pair/{pairing_id}",
    "/v1/videos/characters/{character_id}",
    "/jobs/{job_id}/late.mp4",
    "/jobs/{job_id}/late/{file_name}",
    "/extension/poll",
}
MARKUP = "<img src=x> https is a scheme"


class House(NamedTuple):
    """A broker that has done something of each kind, and by which names that goes."""

    broker: BrokerProcess
    names: dict[str, list[str]]


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory, base_film: bytes) -> Iterator[House]:
    films = (base_film + bytes([0, 0, 0, 9]) + b"free" + bytes([n]) for n in range(99))
    with BrokerProcess(tmp_path_factory.mktemp("broker")) as broker, broker.client() as client:
        with AutoWorker(broker, lambda: next(films)):
            names = _filled(client)
        yield House(broker, names)


def _filled(client: httpx.Client) -> dict[str, list[str]]:
    films = [
        client.post("/v1/videos/generations", json={"prompt": text}).json()
        for text in (MARKUP, "fail moderated")
    ]
    ask: dict[str, Any] = {"messages": [{"role": "user", "content": MARKUP}]}
    chat = client.post("/v1/chat/completions", json=ask).json()
    deferred = client.post("/v1/chat/completions", json={**ask, "deferred": True}).json()
    response = client.post("/v1/responses", json={"input": MARKUP}).json()
    image = client.post("/v1/images/generations", json={"prompt": MARKUP}).json()
    jobs = [film["id"] for film in films]
    for job in jobs:
        client.get(f"/jobs/{job}?wait=30")
    picture = image["data"][0]["url"].rpartition("/")[2]
    return {
        "job_id": [*jobs, chat["id"], response["id"], picture.partition(".")[0], "job_none"],
        "file_name": [f"{jobs[0]}.mp4", picture, "none.mp4"],
        "request_id": [deferred["request_id"]],
        "response_id": [response["id"]],
        "character_id": ["char_1"],
        "pairing_id": ["none"],
        "name": ["grok", "none"],
        "file_path": [path.relative_to(STATIC).as_posix() for path in _static_files()],
    }


def _static_files() -> list[Path]:
    return [path for path in STATIC.rglob("*") if path.is_file()]


def readable(house: House) -> list[str]:
    """Every route that is read, by its pattern."""
    with house.broker.client() as client:
        paths = client.get("/openapi.json").json()["paths"]
    told = {path for path, methods in paths.items() if "get" in methods}
    ordinary = {route.path for route in ORDINARY_ROUTES if route.method == "GET"}
    return sorted(told | {path.replace(":path", "") for path in ordinary})


def calls(pattern: str, names: dict[str, list[str]]) -> list[str]:
    """The paths that a pattern stands for here."""
    fields = re.findall(r"\{(\w+)\}", pattern)
    template = re.sub(r"\{\w+\}", "{}", pattern)
    return [template.format(*values) for values in product(*(names[field] for field in fields))]


def hosts_named(answer: httpx.Response, own: str) -> set[str]:
    """The addresses in an answer's headers and text that are not the broker's own."""
    mime = answer.headers.get("content-type", "").partition(";")[0]
    is_text = mime.startswith("text/") or mime in ("application/json", "image/svg+xml")
    said = "\n".join(answer.headers.values()) + ("\n" + answer.text if is_text else "")
    found = {found[0] for found in _URL.finditer(said)} | {
        found[0] for found in _BARE_HOST.finditer(said)
    }
    return {url for url in found if url != own and not url.startswith(f"{own}/")}


def test_no_readable_route_names_a_foreign_host(house: House) -> None:
    own, empty = house.broker.url, set()
    with house.broker.client(follow_redirects=False) as client:
        for pattern in readable(house):
            paths = [
                path + ("?mode=video&wait=0" * ("poll" in path))
                for path in calls(pattern, house.names)
            ]
            answers = [client.get(path) for path in paths]
            for path, answer in zip(paths, answers, strict=True):
                assert answer.status_code < 500, path
                assert not answer.has_redirect_location, path
                assert hosts_named(answer, own) - KNOWN.get(path, set()) == set(), path
            if not any(answer.status_code == 200 for answer in answers):
                empty.add(pattern)

    assert empty == EMPTY


def test_the_pages_own_files_are_all_served_and_name_no_host(house: House) -> None:
    with house.broker.client() as client:
        page = client.get("/", headers={"Accept": "text/html"})
        assert page.headers["content-type"].startswith("text/html")
        assert hosts_named(page, house.broker.url) == set()
        for path in calls("/dashboard/{file_path}", house.names):
            answer = client.get(path)
            assert answer.status_code == 200, path
            assert hosts_named(answer, house.broker.url) == KNOWN.get(path, set()), path


REFUSED: list[tuple[str, str, dict[str, Any]]] = [
    ("GET", "/nowhere", {}),
    ("GET", "/dashboard/nowhere.js", {}),
    ("PATCH", "/jobs", {}),
    ("GET", "/jobs?limit=x", {}),
    ("GET", "/jobs", {"headers": {"Host": "evil.example"}}),
    ("GET", "/jobs", {"headers": {"Origin": "https://evil.example"}}),
    ("POST", "/v1/videos/generations", {"json": {}}),
    ("POST", "/v1/videos/generations", {"content": b"{"}),
    ("POST", "/v1/videos/generations", {"json": {"prompt": "x", "image": "https://x.example/a"}}),
    ("POST", "/v1/chat/completions", {"json": {"messages": [], "model": "https://x.example"}}),
    ("POST", "/extension/beat", {"json": {"job_id": "x", "lease_token": "y"}}),
    ("PUT", "/extension/result/job_1", {"content": b"x", "headers": {"Content-Type": "text/html"}}),
]


@pytest.mark.parametrize(("method", "path", "sent"), REFUSED)
def test_no_refusal_names_a_foreign_host(
    house: House, method: str, path: str, sent: dict[str, Any]
) -> None:
    with house.broker.client() as client:
        answer = client.request(method, path, **sent)

    assert 400 <= answer.status_code < 500
    assert hosts_named(answer, house.broker.url) == set()


@pytest.mark.parametrize("path", ["/docs", "/docs/", "/docs/oauth2-redirect", "/redoc", "/redoc/"])
def test_the_frameworks_own_pages_are_not_there(house: House, path: str) -> None:
    with house.broker.client() as client:
        assert client.get(path, headers={"Accept": "text/html"}).status_code == 404


FOREIGN = [
    '{"next": "https:\\/\\/cdn.example\\/a.js"}',
    '<script src="//cdn.example/a.js"></script>',
    "<a href='ftp://x.example'>",
    "@import '//cdn.example/a.css';",
    "a { background: url(//cdn.example/a.png) }",
    'import x from "//cdn.example/a.js"',
    "wss://x.example/socket",
    "http://127.0.0.1:8000@x.example/",
]


@pytest.mark.parametrize("text", FOREIGN)
def test_what_looks_for_foreign_hosts_finds_them(text: str) -> None:
    answer = httpx.Response(200, text=text, headers={"content-type": "text/html"})

    assert hosts_named(answer, "http://127.0.0.1:8000")
    own = httpx.Response(200, text="see http://127.0.0.1:8000/jobs", headers=answer.headers)
    assert hosts_named(own, "http://127.0.0.1:8000") == set()
