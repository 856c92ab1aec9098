"""One try to hand an event to its receiver, past the guard of `net/`. What comes of the answer, others decide."""

import asyncio
from collections.abc import Mapping
from contextlib import suppress

import httpx

from broker.net.guarded import Refused, checked_addresses, open_network, request, send
from broker.net.names import Resolve, resolve
from broker.webhooks import Answer, answered

TOTAL_SECONDS = 10.0
#: So much of an answer is taken off the receiver's hands, and thrown away: its status says everything.
MAX_ANSWER_BYTES = 16 * 1024
ANSWER_SECONDS = 1.0


class Post:
    """`resolve` and `transport` stand in for DNS and the network; the guard is the same with any."""

    def __init__(
        self,
        *,
        may_be_private: bool,
        resolve: Resolve = resolve,
        transport: httpx.AsyncBaseTransport | None = None,
        total_seconds: float = TOTAL_SECONDS,
    ) -> None:
        self._may_be_private = may_be_private
        self._resolve = resolve
        self._transport = transport
        self._total_seconds = total_seconds

    async def __call__(self, url: str, headers: Mapping[str, str], body: bytes) -> Answer:
        """What came of it; raises nothing that a receiver can cause."""
        try:
            async with asyncio.timeout(self._total_seconds):
                return answered(await self._status(httpx.URL(url), headers, body))
        except TimeoutError:
            return Answer(None, f"No answer within {self._total_seconds:g} seconds.")
        except Refused as refused:
            return Answer(None, str(refused))
        except (httpx.HTTPError, httpx.InvalidURL, OSError, ValueError) as error:
            return Answer(None, f"{type(error).__name__}: {error}"[:200])

    async def _status(self, url: httpx.URL, headers: Mapping[str, str], body: bytes) -> int:
        """Redirects are not followed: who moves the receiver changes the URL."""
        addresses = await checked_addresses(url, self._resolve, may_be_private=self._may_be_private)
        async with self._transport or await open_network() as network:
            response = await send(
                lambda address: request("POST", url, address, headers, body), addresses, network
            )
            try:
                await _take_off(response)
            finally:
                await response.aclose()
        return response.status_code


async def _take_off(response: httpx.Response) -> None:
    """Reads a short answer to its end, so that the receiver is not cut off in the middle of it."""
    size = 0
    with suppress(TimeoutError, httpx.HTTPError):
        async with asyncio.timeout(ANSWER_SECONDS):
            async for piece in response.aiter_raw():
                size += len(piece)
                if size > MAX_ANSWER_BYTES:
                    return
