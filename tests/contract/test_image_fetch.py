"""The image fetch: no URL, name or redirect leads it into this machine or its network, and no answer harms it.

Everything that gets past the guard is sent to a canary: a single hit is a hole.
"""

import asyncio
import ssl
from collections.abc import Sequence
from contextlib import suppress
from itertools import chain, repeat
from typing import Any

import httpx
import pytest

from broker.errors import InvalidValue
from broker.media import fetch
from broker.media.fetch import fetch_image
from broker.net import guarded
from tests.support.canary import (
    HOSTILE_URLS,
    PNG,
    PUBLIC,
    PUBLIC_6,
    Canary,
    Diverted,
    answer,
    redirect,
    resolved,
    with_canary,
)
from tests.support.images import png_of


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
        monkeypatch.setattr(guarded, "is_public", lambda address: True)
        monkeypatch.setattr(fetch, "PORTS", {canary.port})

        url = f"http://example.com:{canary.port}/cat.png"
        assert await fetch_image(url, resolve=here) == PNG
        assert f"Host: example.com:{canary.port}" in canary.hits[0]

    with_canary(body)


def test_a_certificate_must_bear_the_name_that_was_asked_for() -> None:
    context = guarded.tls_context()

    assert (context.verify_mode, context.check_hostname) == (ssl.CERT_REQUIRED, True)
