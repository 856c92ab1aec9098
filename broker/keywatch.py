"""Reads the keys anew, round after round, and ends the polls of workers that may not call any more.

The command line writes keys into the database while a broker runs; no more than a second later they count here.
"""

import asyncio
from collections.abc import Callable
from functools import partial

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
        self._asks_for_keys = ring.has_keys
        self._is_troubled = False
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
        if self._ring.has_keys and not self._asks_for_keys:
            # Those that wait came while nobody was asked for a key.
            self._notifier.end_polls(lambda worker: True)
        self._asks_for_keys = self._ring.has_keys
        await self._ring.note_use()

    async def _run(self) -> None:
        while True:
            await asyncio.sleep(ROUND_SECONDS)
            try:
                await self.look()
                self._is_troubled = False
            except Exception as error:
                # Whatever it was, the next round comes. Until then those that are known stay in force.
                if not self._is_troubled:
                    self._note("keys_unread", repr(error))
                self._is_troubled = True
