"""Reads the keys anew, round after round, and ends the polls of workers whose key is no longer in force.

The command line writes keys into the database while a broker runs; no more than a second later they count here.
"""

import asyncio
from collections.abc import Callable
from functools import partial

from broker.errors import BrokerError
from broker.keyring import KeyRing
from broker.keys import is_of
from broker.notifier import Notifier

ROUND_SECONDS = 0.5


class KeyWatch:
    def __init__(self, ring: KeyRing, notifier: Notifier, note: Callable[[str, str], None]) -> None:
        """`note` is told what happened, and to which key or why."""
        self._ring = ring
        self._notifier = notifier
        self._note = note
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        self._task = asyncio.create_task(self._run(), name="key-watch")

    async def stop(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def look(self) -> None:
        """One round."""
        for key_id in await self._ring.load():
            self._notifier.end_polls(partial(is_of, key_id))
            self._note("key_ended", key_id)

    async def _run(self) -> None:
        while True:
            await asyncio.sleep(ROUND_SECONDS)
            try:
                await self.look()
            except BrokerError as error:
                # Those that are known stay in force until the next round.
                self._note("keys_unread", error.message)
