"""Fetches an image from the web without being led into this machine or its network. When it may, others decide.

The guard is `net/guarded.py`. Redirects start over, from the check of the address.
"""

import asyncio
from collections.abc import Callable

import httpx

from broker.errors import BrokerError, InvalidValue
from broker.media.images import MAX_BYTES, read_image
from broker.net.guarded import (
    SCHEME_PORTS,
    Refused,
    checked_addresses,
    open_network,
    request,
    send,
)
from broker.net.names import Resolve, resolve

TOTAL_SECONDS = 10.0
MAX_REDIRECTS = 3
PORTS = frozenset(SCHEME_PORTS.values())
#: The same for every failure: the difference between refused, silent and unknown maps out a network.
REFUSAL = "The image URL could not be fetched. Send the image as a data: URL instead."

_REDIRECTS = {301, 302, 303, 307, 308}


async def fetch_image(
    url: str,
    *,
    resolve: Resolve = resolve,
    transport: httpx.AsyncBaseTransport | None = None,
) -> bytes:
    """The image at an http(s) URL. Raises `InvalidValue`, with one text for every failure.

    `resolve` and `transport` stand in for DNS and the network; the guard is the same with any.
    """
    try:
        async with asyncio.timeout(TOTAL_SECONDS), transport or await open_network() as network:
            data = await _follow(httpx.URL(url), resolve, network)
            read_image(data)
            return data
    except (Refused, BrokerError, httpx.HTTPError, httpx.InvalidURL, OSError, ValueError) as error:
        raise InvalidValue(REFUSAL) from error


async def _follow(url: httpx.URL, resolve: Resolve, network: httpx.AsyncBaseTransport) -> bytes:
    for _ in range(1 + MAX_REDIRECTS):
        addresses = await checked_addresses(url, resolve, ports=PORTS)
        response = await send(_asking(url), addresses, network)
        try:
            if response.status_code == 200:
                return await _body(response)
            if response.status_code not in _REDIRECTS or "location" not in response.headers:
                raise Refused("This is not an image.")
            url = url.join(response.headers["location"])
        finally:
            await response.aclose()
    raise Refused("This leads from place to place.")


def _asking(url: httpx.URL) -> Callable[[str], httpx.Request]:
    return lambda address: request("GET", url, address, {"Accept": "image/*"})


async def _body(response: httpx.Response) -> bytes:
    data = bytearray()
    async for piece in response.aiter_raw():
        data += piece
        if len(data) > MAX_BYTES:
            raise Refused("The image is too large.")
    return bytes(data)
