"""A list that grows while several readers follow it: what a generation says, for every stream that watches it."""

import asyncio
from collections.abc import AsyncIterator
from typing import Generic, TypeVar

T = TypeVar("T")


class Tape(Generic[T]):
    """Each reader sees everything from the start, then what is new, until the tape ends."""

    def __init__(self) -> None:
        self._items: list[T] = []
        self._grown = asyncio.Event()
        self.ended = False

    def write(self, item: T) -> None:
        self._items.append(item)
        self._wake()

    def end(self) -> None:
        self.ended = True
        self._wake()

    async def read(self) -> AsyncIterator[T]:
        place = 0
        while True:
            grown = self._grown
            while place < len(self._items):
                yield self._items[place]
                place += 1
            if self.ended:
                return
            await grown.wait()

    def _wake(self) -> None:
        self._grown.set()
        self._grown = asyncio.Event()
