"""Sends a request to an address that was checked. What is sent, and what its answer is worth, others decide.

The name is resolved once, every address it has must be public, and the connection goes to the very address that was
checked: a name that resolves differently a moment later changes nothing. Redirects are not followed, and no proxy of
the environment is used: it would resolve the name itself, past the check.
"""

import asyncio
import functools
import ssl
from collections.abc import Callable, Collection, Mapping, Sequence

import httpx

from broker.addresses import HOST, is_public
from broker.net.names import Resolve

#: Short, so that one dead address of several does not use up the whole time.
CONNECT_SECONDS = 3.0
SCHEME_PORTS = {"http": 80, "https": 443}


class Refused(Exception):  # noqa: N818 - the guard's answer, not a fault
    """No request is sent there; the text says why."""


async def checked_addresses(
    url: httpx.URL,
    resolve: Resolve,
    *,
    ports: Collection[int] | None = None,
    may_be_private: bool = False,
) -> Sequence[str]:
    """Where this URL leads. Every address counts: one private among them, and none is used. Raises `Refused`."""
    if url.scheme not in SCHEME_PORTS or url.userinfo or not HOST.fullmatch(host_of(url)):
        raise Refused("This is not a URL that is called.")
    port = SCHEME_PORTS[url.scheme] if url.port is None else url.port
    if ports is not None and port not in ports:
        raise Refused("This port is not called.")
    addresses = await resolve(host_of(url), port)
    if not addresses:
        raise Refused("The name has no address.")
    if not may_be_private and not all(map(is_public, addresses)):
        raise Refused("The address is private.")
    return addresses


async def send(
    request_for: Callable[[str], httpx.Request],
    addresses: Sequence[str],
    network: httpx.AsyncBaseTransport,
) -> httpx.Response:
    """The answer of the first address that can be reached; the others may be of a network we are not in."""
    trouble: Exception | None = None
    for address in addresses:
        try:
            return await network.handle_async_request(request_for(address))
        except (httpx.ConnectError, httpx.ConnectTimeout) as error:
            trouble = error
    raise Refused(f"No connection could be made ({str(trouble) or 'it took too long'}).")


def request(
    method: str,
    url: httpx.URL,
    address: str,
    headers: Mapping[str, str],
    content: bytes | None = None,
) -> httpx.Request:
    """Goes to the address, asks for the name: in the Host header, and in TLS, whose certificate must bear it."""
    return httpx.Request(
        method,
        url.copy_with(host=address, fragment=None),
        headers={
            "Host": url.netloc.decode("ascii"),
            # Unpacked, twenty megabytes may be twenty gigabytes.
            "Accept-Encoding": "identity",
            "User-Agent": "grok-broker",
            **headers,
        },
        content=content,
        extensions={
            "timeout": {"connect": CONNECT_SECONDS},
            "sni_hostname": host_of(url).rstrip("."),
        },
    )


def host_of(url: httpx.URL) -> str:
    return url.raw_host.decode("ascii")


async def open_network() -> httpx.AsyncBaseTransport:
    """Straight to the network: no proxy and no certificate from the environment, no connection used twice.

    A transport and not a client: it follows nothing, keeps no cookies and knows no credentials.
    """
    tls = await asyncio.to_thread(tls_context)
    limits = httpx.Limits(max_keepalive_connections=0)
    return httpx.AsyncHTTPTransport(verify=tls, trust_env=False, limits=limits)


@functools.cache
def tls_context() -> ssl.SSLContext:
    return httpx.create_ssl_context(trust_env=False)
