"""Fetches an image from the web without being led into this machine or its network. When it may, others decide.

The name is resolved once, every address it has must be public, and the connection goes to the very address that
was checked: a name that resolves differently a moment later changes nothing. Redirects start over.
"""

import asyncio
import functools
import ipaddress
import re
import socket
import ssl
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress

import httpx

from broker.errors import BrokerError, InvalidValue
from broker.media.images import MAX_BYTES, read_image

TOTAL_SECONDS = 10.0
#: Short, so that one dead address of several does not use up the whole time.
CONNECT_SECONDS = 3.0
MAX_REDIRECTS = 3
PORTS = {"http": 80, "https": 443}
#: The same for every failure: the difference between refused, silent and unknown maps out a network.
REFUSAL = "The image URL could not be fetched. Send the image as a data: URL instead."

_REDIRECTS = {301, 302, 303, 307, 308}
_HOST = re.compile(r"[a-z0-9._:-]+", re.ASCII)
#: All of today's public IPv6. Outside lie, among others, the forms that carry an IPv4 address within.
_PUBLIC_IPV6 = ipaddress.IPv6Network("2000::/3")

#: Every address of a host, as text: what `resolve` below asks the system for.
Resolve = Callable[[str, int], Awaitable[Sequence[str]]]


class _Refused(Exception):
    """This is not fetched. Never leaves this file."""


async def fetch_image(
    url: str, *, resolve: Resolve | None = None, transport: httpx.AsyncBaseTransport | None = None
) -> bytes:
    """The image at an http(s) URL. Raises `InvalidValue`, with one text for every failure.

    `resolve` and `transport` stand in for DNS and the network; the guard is the same with any.
    """
    try:
        async with asyncio.timeout(TOTAL_SECONDS), transport or await _network() as network:
            data = await _follow(httpx.URL(url), resolve or _resolve, network)
            read_image(data)
            return data
    except (_Refused, BrokerError, httpx.HTTPError, httpx.InvalidURL, OSError, ValueError) as error:
        raise InvalidValue(REFUSAL) from error


async def _follow(url: httpx.URL, resolve: Resolve, network: httpx.AsyncBaseTransport) -> bytes:
    for _ in range(1 + MAX_REDIRECTS):
        addresses = await _checked_addresses(url, resolve)
        response = await _get(url, addresses, network)
        try:
            if response.status_code == 200:
                return await _body(response)
            if response.status_code not in _REDIRECTS or "location" not in response.headers:
                raise _Refused
            url = url.join(response.headers["location"])
        finally:
            await response.aclose()
    raise _Refused


async def _checked_addresses(url: httpx.URL, resolve: Resolve) -> Sequence[str]:
    """Where this URL leads. Every address counts: one private among them, and none is used."""
    if url.scheme not in PORTS or url.userinfo or not _HOST.fullmatch(_host(url)):
        raise _Refused
    port = PORTS[url.scheme] if url.port is None else url.port
    if port not in PORTS.values():
        raise _Refused
    addresses = await resolve(_host(url), port)
    if not addresses or not all(map(_is_public, addresses)):
        raise _Refused
    return addresses


def _host(url: httpx.URL) -> str:
    return url.raw_host.decode("ascii")


def _is_public(address: str) -> bool:
    ip = ipaddress.ip_address(address)
    if isinstance(ip, ipaddress.IPv6Address):
        carries_ipv4 = ip.sixtofour is not None or ip.teredo is not None
        return ip in _PUBLIC_IPV6 and ip.is_global and not carries_ipv4
    return ip.is_global and not ip.is_multicast


async def _get(
    url: httpx.URL, addresses: Sequence[str], network: httpx.AsyncBaseTransport
) -> httpx.Response:
    """The answer of the first address that can be reached; the others may be of a network we are not in."""
    for address in addresses:
        with suppress(httpx.ConnectError, httpx.ConnectTimeout):
            return await network.handle_async_request(_request(url, address))
    raise _Refused


def _request(url: httpx.URL, address: str) -> httpx.Request:
    """Goes to the address, asks for the name: in the Host header, and in TLS, whose certificate must bear it."""
    return httpx.Request(
        "GET",
        url.copy_with(host=address, fragment=None),
        headers={
            "Host": url.netloc.decode("ascii"),
            "Accept": "image/*",
            # Unpacked, twenty megabytes may be twenty gigabytes.
            "Accept-Encoding": "identity",
            "User-Agent": "grok-broker",
        },
        extensions={
            "timeout": {"connect": CONNECT_SECONDS},
            "sni_hostname": _host(url).rstrip("."),
        },
    )


async def _body(response: httpx.Response) -> bytes:
    data = bytearray()
    async for piece in response.aiter_raw():
        data += piece
        if len(data) > MAX_BYTES:
            raise _Refused
    return bytes(data)


async def _resolve(host: str, port: int) -> Sequence[str]:
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return [str(entry[4][0]) for entry in found]


async def _network() -> httpx.AsyncBaseTransport:
    """Straight to the network: no proxy and no certificate from the environment, no connection used twice.

    A transport and not a client: it follows nothing, keeps no cookies and knows no credentials.
    """
    tls = await asyncio.to_thread(_tls)
    limits = httpx.Limits(max_keepalive_connections=0)
    return httpx.AsyncHTTPTransport(verify=tls, trust_env=False, limits=limits)


@functools.cache
def _tls() -> ssl.SSLContext:
    return httpx.create_ssl_context(trust_env=False)
