"""The image fetch: no URL, name or redirect leads it into this machine or its network, and no answer harms it.

A canary listens on this machine and everything that gets past the guard is sent to it, whatever address it was meant
for: a single hit is a hole.
"""

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from contextlib import asynccontextmanager, suppress
from itertools import chain, repeat
from typing import Any

import httpx
import pytest

from broker.errors import InvalidValue
from broker.media import fetch
from broker.media.fetch import fetch_image
from tests.support.images import png_of
from tests.support.running import run

PNG = png_of(3, 2)

PUBLIC, PUBLIC_6 = "93.184.215.14", "2606:2800:21f:cb07:6820:80da:af6b:8b2c"
#: What the test's DNS knows. A name that is not here is asked of the system if it is a number, and fails if not.
NAMES = {
    "example.com": [PUBLIC],
    "six.example": [PUBLIC_6],
    "xn--bcher-kva.example": [PUBLIC],
    "localhost": ["127.0.0.1", "::1"],
    "localhost.": ["127.0.0.1"],
    "inside.example": ["10.0.0.7"],
    "metadata.example": ["169.254.169.254"],
    "both.example": [PUBLIC, "127.0.0.1"],
    "both-six.example": [PUBLIC, "::1"],
    "mapped.example": ["::ffff:127.0.0.1"],
    "nothing.example": [],
}
HOSTILE_URLS = """
http://127.0.0.1/                       http://127.0.0.1:80/cat.png          https://127.0.0.1/
http://127.1/                           http://127.0.1/                      http://2130706433/
http://0x7f000001/                      http://0x7f.0x0.0x0.0x1/             http://0177.0.0.1/
http://017700000001/                    http://0177.0x0.0.1/                 http://127.0.0.1./
http://0/                               http://0.0.0.0/                      http://127.255.255.254/
http://10.0.0.1/                        http://172.16.0.1/                   http://192.168.1.1/
http://169.254.169.254/latest/meta-data http://100.64.0.1/                   http://192.0.2.1/
http://198.18.0.1/                      http://224.0.0.1/                    http://239.255.255.250/
http://240.0.0.1/                       http://255.255.255.255/              http://[::1]/
http://[::]/                            http://[0:0:0:0:0:0:0:1]/            http://[::ffff:127.0.0.1]/
http://[::ffff:7f00:1]/                 http://[::127.0.0.1]/                http://[64:ff9b::7f00:1]/
http://[64:ff9b:1::7f00:1]/             http://[2002:7f00:1::1]/             http://[2001:0:7f00:1::]/
http://[fe80::1]/                       http://[fe80::1%25eth0]/             http://[fe80::1%25lo]/
http://[fc00::1]/                       http://[fd12:3456::1]/               http://[ff02::1]/
http://[fec0::1]/                       http://[2001:db8::1]/                http://[::ffff:10.0.0.1]/
http://localhost/                       http://LOCALHOST/                    http://localhost./
http://inside.example/                  http://metadata.example/             http://both.example/
http://both-six.example/                http://mapped.example/               http://nothing.example/
http://unknown.example/                 http://example.com:8000/             http://example.com:0/
http://example.com:22/                  https://example.com:8443/            http://user@example.com/
http://user:secret@example.com/         http://example.com@127.0.0.1/        http://127.0.0.1@example.com/
http://127.0.0.1\\@example.com/         http://example.com\\@127.0.0.1/      http://127.0.0.1#@example.com/
http://127.0.0.1?@example.com/          http://127.0.0.1%00.example.com/     http://127%2e0%2e0%2e1/
http://example%2ecom/                   http://127.0.0.1%0d%0aHost:x/        http://①②⑦.0.0.1/
http://127。0。0。1/                       http://ⓛocalhost/                    http:127.0.0.1
http:/127.0.0.1/                        http:\\\\127.0.0.1\\                 //127.0.0.1/
http:///127.0.0.1/                      http://                              http://:80/
file:///etc/passwd                      ftp://example.com/cat.png            gopher://127.0.0.1:80/_x
dict://127.0.0.1:80/                    data:image/png;base64,AAAA           javascript:alert(1)
ws://example.com/                       unix:///var/run/docker.sock          http+unix://%2Fvar%2Frun/
http://example.com:99999/               http://example.com:port/             http://[::1/
http://[v1.x]/                          example.com/cat.png                  http://_.example.com\\x/
""".replace("\\\\", "\\").split()


class Canary:
    """An HTTP server on this machine that writes down what it was asked, and answers as it was told."""

    def __init__(self) -> None:
        self.hits: list[str] = []
        self.answers: dict[str, Iterable[bytes]] = {}
        self.sent_bytes = 0
        self.port = 0

    @asynccontextmanager
    async def listening(self) -> AsyncIterator["Canary"]:
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        async with server:
            yield self

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        self.hits.append(head)
        try:
            for piece in self.answers.get(head.split()[1], answer(PNG)):
                writer.write(piece)
                await writer.drain()
                self.sent_bytes += len(piece)
        except ConnectionError:
            """Hung up on: over the limit, or no longer wanted."""
        finally:
            writer.close()


class Diverted(httpx.AsyncHTTPTransport):
    """A network in which every address is the canary. Remembers where each request was meant to go."""

    def __init__(self, canary: Canary) -> None:
        super().__init__(verify=fetch._tls(), trust_env=False)
        self._canary = canary
        self.requests: list[httpx.Request] = []

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        diverted = httpx.Request(
            request.method,
            request.url.copy_with(scheme="http", host="127.0.0.1", port=self._canary.port),
            headers=request.headers,
            extensions=request.extensions,
        )
        return await super().handle_async_request(diverted)

    @property
    def addresses(self) -> list[str]:
        return [request.url.host for request in self.requests]


def answer(body: bytes, status: str = "200 OK", **headers: str) -> list[bytes]:
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", "Connection: close"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return ["\r\n".join([*lines, "", ""]).encode(), body]


def redirect(location: str, status: str = "302 Found") -> list[bytes]:
    return answer(b"", status, Location=location)


async def resolved(host: str, port: int) -> Sequence[str]:
    if host in NAMES:
        return NAMES[host]
    if not host.replace("0x", "").replace(".", "").isalnum() and ":" not in host:
        raise socket.gaierror("unknown")
    flags = socket.AI_NUMERICHOST
    return [str(entry[4][0]) for entry in socket.getaddrinfo(host, port, flags=flags)]


def with_canary(test: Callable[[Canary, Diverted], Awaitable[None]]) -> None:
    async def body() -> None:
        async with Canary().listening() as canary:
            await test(canary, Diverted(canary))

    run(body())


async def refused(url: str, network: Diverted, **options: Any) -> None:
    with pytest.raises(InvalidValue) as error:
        await fetch_image(url, **{"resolve": resolved, "transport": network} | options)
    assert error.value.message == fetch.REFUSAL


def test_the_table_of_hostile_urls_is_long_enough() -> None:
    assert len(set(HOSTILE_URLS)) >= 90


@pytest.mark.parametrize("url", HOSTILE_URLS)
def test_a_hostile_url_is_refused_and_reaches_nothing(url: str) -> None:
    async def body(canary: Canary, network: Diverted) -> None:
        await refused(url, network)

        assert (network.requests, canary.hits) == ([], [])

    with_canary(body)


@pytest.mark.parametrize("url", HOSTILE_URLS)
def test_a_redirect_to_a_hostile_url_leads_no_further(url: str) -> None:
    async def body(canary: Canary, network: Diverted) -> None:
        canary.answers["/start"] = redirect(url.encode().decode("latin-1"))
        # Some of these are harmless as a redirect: without a host of their own they stay on the same one.
        with suppress(InvalidValue):
            await fetch_image("http://example.com/start", resolve=resolved, transport=network)

        assert set(network.addresses) == {PUBLIC}
        assert len(canary.hits) == len(network.requests)

    with_canary(body)


def test_a_public_image_is_fetched_from_the_address_that_was_checked() -> None:
    async def body(canary: Canary, network: Diverted) -> None:
        data = await fetch_image("http://example.com/cat.png", resolve=resolved, transport=network)

        assert data == PNG
        assert network.addresses == [PUBLIC]
        assert canary.hits[0].startswith("GET /cat.png HTTP/1.1\r\nHost: example.com\r\n")

    with_canary(body)


@pytest.mark.parametrize(
    ("url", "address", "host"),
    [
        ("https://example.com/", PUBLIC, "example.com"),
        ("https://example.com:80/", PUBLIC, "example.com:80"),
        ("https://six.example/", PUBLIC_6, "six.example"),
        ("https://bücher.example/", PUBLIC, "xn--bcher-kva.example"),
        ("https://1.1.1.1/", "1.1.1.1", "1.1.1.1"),
        ("https://[2606:4700:4700::1111]/", "2606:4700:4700::1111", "[2606:4700:4700::1111]"),
    ],
)
def test_the_server_is_asked_for_by_its_name(url: str, address: str, host: str) -> None:
    async def body(canary: Canary, network: Diverted) -> None:
        await fetch_image(url, resolve=resolved, transport=network)

        (request,) = network.requests
        assert (request.url.host, request.headers["host"]) == (address, host)
        assert request.extensions["sni_hostname"] == host.removesuffix(":80").strip("[]")

    with_canary(body)


def test_a_name_is_resolved_once_so_a_second_answer_changes_nothing() -> None:
    answers = iter([[PUBLIC], ["127.0.0.1"]])

    async def rebinding(host: str, port: int) -> Sequence[str]:
        return next(answers)

    async def body(canary: Canary, network: Diverted) -> None:
        await fetch_image("http://rebind.example/", resolve=rebinding, transport=network)

        assert network.addresses == [PUBLIC]
        await refused("http://rebind.example/", network, resolve=rebinding)

    with_canary(body)


def test_a_redirect_is_followed_and_its_name_resolved_anew() -> None:
    async def body(canary: Canary, network: Diverted) -> None:
        canary.answers["/1"] = redirect("/2", "301 Moved Permanently")
        canary.answers["/2"] = redirect("https://six.example/3", "308 Permanent Redirect")
        canary.answers["/3"] = redirect("//example.com/4", "307 Temporary Redirect")

        data = await fetch_image("http://example.com/1", resolve=resolved, transport=network)

        assert data == PNG
        assert network.addresses == [PUBLIC, PUBLIC, PUBLIC_6, PUBLIC]

    with_canary(body)


def test_a_fourth_redirect_is_not_followed() -> None:
    async def body(canary: Canary, network: Diverted) -> None:
        for number in range(9):
            canary.answers[f"/{number}"] = redirect(f"/{number + 1}")
        await refused("http://example.com/0", network)

        assert len(canary.hits) == 4

    with_canary(body)


def test_a_dead_address_is_passed_over_for_the_next() -> None:
    async def two(host: str, port: int) -> Sequence[str]:
        return [PUBLIC_6, PUBLIC]

    class HalfDead(Diverted):
        async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
            if request.url.host == PUBLIC_6:
                raise httpx.ConnectError("no route")
            return await super().handle_async_request(request)

    async def body(canary: Canary, network: Diverted) -> None:
        data = await fetch_image("http://a.example/", resolve=two, transport=HalfDead(canary))

        assert data == PNG

    with_canary(body)


ANSWERS = {
    "a page": answer(b"<!doctype html><script>alert(1)</script>"),
    "a drawing": answer(b'<svg xmlns="http://www.w3.org/2000/svg"/>', Content_Type="image/png"),
    "nothing": answer(b""),
    "a bomb": answer(png_of(65_535, 65_535)),
    "an error": answer(PNG, "404 Not Found"),
    "part of it": answer(PNG, "206 Partial Content"),
    "a redirect to nowhere": answer(PNG, "302 Found"),
    "too many bytes": answer(PNG + bytes(fetch.MAX_BYTES)),
    "fewer bytes than promised": [b"HTTP/1.1 200 OK\r\nContent-Length: 9999\r\n\r\n", PNG],
    "no HTTP": [b"SSH-2.0-OpenSSH_9.9\r\n"],
    "endless headers": [b"HTTP/1.1 200 OK\r\n", b"X: x\r\n" * 100_000],
    "packed bytes": answer(b"\x1f\x8b\x08" + bytes(99), Content_Encoding="gzip"),
}


@pytest.mark.parametrize("case", ANSWERS)
def test_an_answer_that_is_no_acceptable_image_is_refused_in_the_same_words(case: str) -> None:
    async def body(canary: Canary, network: Diverted) -> None:
        canary.answers["/"] = ANSWERS[case]
        await refused("http://example.com/", network)

        assert len(canary.hits) == 1

    with_canary(body)


def test_an_endless_body_is_hung_up_on() -> None:
    async def body(canary: Canary, network: Diverted) -> None:
        head = [b"HTTP/1.1 200 OK\r\n\r\n", PNG]
        canary.answers["/"] = chain(head, repeat(bytes(65_536)))
        await refused("http://example.com/", network)

        # Beyond the limit lies only what the sockets hold.
        assert canary.sent_bytes < fetch.MAX_BYTES + 16 * 1024 * 1024

    with_canary(body)


@pytest.mark.parametrize(
    "host", ["a%00.example", "a%0d%0aHost:b", "a b.example", "a\\b", "a,b", "%61"]
)
def test_an_odd_host_is_refused_even_where_the_system_would_resolve_it(host: str) -> None:
    async def obliging(host: str, port: int) -> Sequence[str]:
        return [PUBLIC]

    async def body(canary: Canary, network: Diverted) -> None:
        await refused(f"http://{host}/", network, resolve=obliging)

        assert canary.hits == []

    with_canary(body)


def test_a_fetch_that_takes_too_long_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fetch, "TOTAL_SECONDS", 0.05)

    async def silent(host: str, port: int) -> Sequence[str]:
        await asyncio.Event().wait()
        return []

    async def body(canary: Canary, network: Diverted) -> None:
        await refused("http://example.com/", network, resolve=silent)

    with_canary(body)


def test_a_redirect_carries_no_cookie_along() -> None:
    async def body(canary: Canary, network: Diverted) -> None:
        canary.answers["/1"] = answer(b"", "302 Found", Location="/2", Set_Cookie="a=b")
        await fetch_image("http://example.com/1", resolve=resolved, transport=network)

        assert "cookie" not in canary.hits[1].lower()

    with_canary(body)


def test_the_real_network_is_reached_past_every_proxy_of_the_environment(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def here(host: str, port: int) -> Sequence[str]:
        return ["127.0.0.1"]

    async def body(canary: Canary, _: Diverted) -> None:
        for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
            monkeypatch.setenv(name, "http://127.0.0.1:9")
        # The one test that lets the guard down, to see what is behind it.
        monkeypatch.setattr(fetch, "_is_public", lambda address: True)
        monkeypatch.setattr(fetch, "PORTS", {"http": canary.port})

        url = f"http://example.com:{canary.port}/cat.png"
        assert await fetch_image(url, resolve=here) == PNG
        assert f"Host: example.com:{canary.port}" in canary.hits[0]

    with_canary(body)


def test_a_certificate_must_bear_the_name_that_was_asked_for() -> None:
    context = fetch._tls()

    assert (context.verify_mode, context.check_hostname) == (ssl.CERT_REQUIRED, True)
