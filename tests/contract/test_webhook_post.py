"""One try of a webhook: no URL or name leads it into this machine or its network, and no answer harms it."""

import asyncio
import ssl
from collections.abc import Sequence
from itertools import chain, repeat
from typing import Any

import pytest

from broker.hooks import post as module
from broker.hooks.post import Post
from broker.net import guarded, names
from broker.webhooks import Answer
from tests.support.canary import (
    HOSTILE_URLS,
    PUBLIC,
    Canary,
    Diverted,
    answer,
    redirect,
    resolved,
    with_canary,
)
from tests.support.running import run

URL = "http://example.com/hook"
#: Any port may be called, where an image must come from the usual ones.
HOSTILE = [
    url
    for url in HOSTILE_URLS
    if not url.startswith(("http://example.com:", "https://example.com:"))
]


async def tried(network: Diverted, url: str = URL, **options: Any) -> Answer:
    post = Post(**{"may_be_private": False, "resolve": resolved, "transport": network} | options)
    return await post(url, {"Content-Type": "application/json", "webhook-id": "msg_1"}, b"{}")


@pytest.mark.parametrize("url", HOSTILE)
def test_a_hostile_url_is_refused_and_reaches_nothing(url: str) -> None:
    async def body(canary: Canary, network: Diverted) -> None:
        answer = await tried(network, url)

        assert answer.status is None
        assert answer.trouble
        assert (network.requests, canary.hits) == ([], [])

    with_canary(body)


def test_the_body_and_its_headers_reach_the_address_that_was_checked() -> None:
    async def body(canary: Canary, network: Diverted) -> None:
        assert await tried(network, "http://example.com:8443/hook?job=1") == Answer(200)

        assert network.addresses == [PUBLIC]
        assert canary.hits[0].startswith("POST /hook?job=1 HTTP/1.1\r\nHost: example.com:8443\r\n")
        assert "webhook-id: msg_1\r\n" in canary.hits[0]
        assert canary.bodies == [b"{}"]

    with_canary(body)


def test_a_name_is_checked_anew_at_each_try() -> None:
    answers = iter([[PUBLIC], ["127.0.0.1"]])

    async def rebinding(host: str, port: int) -> Sequence[str]:
        return next(answers)

    async def body(canary: Canary, network: Diverted) -> None:
        assert (await tried(network, resolve=rebinding)).is_taken
        assert await tried(network, resolve=rebinding) == Answer(None, "The address is private.")

        assert len(canary.hits) == 1

    with_canary(body)


def test_private_addresses_are_called_where_that_is_allowed() -> None:
    async def body(canary: Canary, network: Diverted) -> None:
        assert (await tried(network, "http://inside.example/", may_be_private=True)).is_taken

        assert network.addresses == ["10.0.0.7"]

    with_canary(body)


def test_a_redirect_is_not_followed() -> None:
    async def body(canary: Canary, network: Diverted) -> None:
        canary.answers["/hook"] = redirect("http://example.com/elsewhere", "307 Temporary Redirect")

        assert (await tried(network)).status == 307
        assert len(canary.hits) == 1

    with_canary(body)


@pytest.mark.parametrize("status", [400, 404, 410, 429, 500, 503])
def test_a_refusal_is_told_by_its_status(status: int) -> None:
    async def body(canary: Canary, network: Diverted) -> None:
        canary.answers["/hook"] = answer(b"no", f"{status} No")

        assert await tried(network) == Answer(status, f"The receiver answered {status}.")

    with_canary(body)


@pytest.mark.parametrize(
    "sent", [[b"SSH-2.0-OpenSSH_9.9\r\n"], [], [b"HTTP/1.1 200 OK\r\n", b"X: x\r\n" * 100_000]]
)
def test_an_answer_that_is_none_is_a_failed_try(sent: list[bytes]) -> None:
    async def body(canary: Canary, network: Diverted) -> None:
        canary.answers["/hook"] = sent
        answer = await tried(network)

        assert answer.status is None
        assert answer.trouble

    with_canary(body)


def test_of_an_endless_answer_little_is_read() -> None:
    async def body(canary: Canary, network: Diverted) -> None:
        canary.answers["/hook"] = chain([b"HTTP/1.1 200 OK\r\n\r\n"], repeat(bytes(65_536)))

        assert await tried(network) == Answer(200)
        # Beyond the limit lies only what the sockets hold.
        assert canary.sent_bytes < module.MAX_ANSWER_BYTES + 16 * 1024 * 1024

    with_canary(body)


def test_a_silent_receiver_is_given_up() -> None:
    async def body(canary: Canary, network: Diverted) -> None:
        async def silent(host: str, port: int) -> Sequence[str]:
            return await asyncio.Future()

        answer = await tried(network, resolve=silent, total_seconds=0.05)

        assert answer == Answer(None, "No answer within 0.05 seconds.")

    with_canary(body)


def test_a_name_without_an_address_is_a_failed_try(monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown(*_: Any, **__: Any) -> Any:
        raise OSError("Name or service not known")

    monkeypatch.setattr(names.socket, "getaddrinfo", unknown)

    async def body(canary: Canary, network: Diverted) -> None:
        answer = await tried(network, resolve=names.resolve)

        assert answer == Answer(None, "OSError: Name or service not known")

    with_canary(body)


def test_names_are_resolved_by_the_system() -> None:
    assert set(run(names.resolve("127.0.0.1", 80))) == {"127.0.0.1"}


def test_no_proxy_of_the_environment_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    async def here(host: str, port: int) -> Sequence[str]:
        return ["127.0.0.1"]

    async def body(canary: Canary, _: Diverted) -> None:
        for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
            monkeypatch.setenv(name, "http://127.0.0.1:9")
        post = Post(may_be_private=True, resolve=here)

        assert await post(f"http://example.com:{canary.port}/", {}, b"{}") == Answer(200)
        assert f"Host: example.com:{canary.port}" in canary.hits[0]

    with_canary(body)


def test_a_certificate_must_bear_the_name() -> None:
    context = guarded.tls_context()

    assert (context.verify_mode, context.check_hostname) == (ssl.CERT_REQUIRED, True)
