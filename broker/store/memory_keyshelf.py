"""`MemoryKeyShelf`: the `KeyShelf` port in a dict. The reference for tests; nothing is durable here."""

from collections.abc import Sequence

from broker.keys import Key, KeyId


class MemoryKeyShelf:
    def __init__(self) -> None:
        self._keys: dict[KeyId, Key] = {}

    async def all(self) -> Sequence[Key]:
        return list(self._keys.values())

    async def put(self, key: Key) -> None:
        self._keys[key.id] = key
