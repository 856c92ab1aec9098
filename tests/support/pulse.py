"""How quickly a broker answers the smallest question while something else goes on."""

import asyncio
import contextlib
import time
from statistics import quantiles
from typing import Self

import httpx

#: Often enough to see a stall, seldom enough not to be the load.
PAUSE_SECONDS = 0.02


class Pulse:
    """`async with Pulse(url) as pulse:`; asks `GET /health` again and again until it is left."""

    def __init__(self, url: str) -> None:
        self.took_ms: list[float] = []
        self._http = httpx.AsyncClient(base_url=url, timeout=60, trust_env=False)
        self._is_over = asyncio.Event()

    @property
    def p99_ms(self) -> float:
        return quantiles(self.took_ms, n=100)[-1]

    @property
    def worst_ms(self) -> float:
        return max(self.took_ms)

    async def __aenter__(self) -> Self:
        # The first request opens the connection, which is not what is asked.
        await self._http.get("/health")
        self._asking = asyncio.create_task(self._ask())
        return self

    async def __aexit__(self, *_: object) -> None:
        self._is_over.set()
        await self._asking
        await self._http.aclose()

    async def _ask(self) -> None:
        while not self._is_over.is_set() or len(self.took_ms) < 2:
            began = time.perf_counter()
            answer = await self._http.get("/health")
            self.took_ms.append((time.perf_counter() - began) * 1000)
            assert answer.status_code == 200, answer.text
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._is_over.wait(), PAUSE_SECONDS)
