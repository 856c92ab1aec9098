"""`MemoryKeyShelf`: the `KeyShelf` port in a dict. The reference for tests; nothing is durable here."""

from collections.abc import Sequence

from broker.keys import Key, KeyId


class MemoryKeyShelf:
    def __init__(self) -> None:
        self._keys: dict[KeyId, Key] = {}

    async def all(self) -> Sequence[Key]:
        return list(self._keys.values())

    async def put(self, *keys: Key) -> None:
        for key in keys:
            before = self._keys.get(key.id, key)
            self._keys[key.id] = before._replace(
                expires_at=key.expires_at,
                idle_seconds=key.idle_seconds,
                revoked_at=before.revoked_at or key.revoked_at,
            )

    async def note_use(self, key_id: KeyId, at: float) -> None:
        key = self._keys.get(key_id)
        if key is not None and key.revoked_at is None:
            self._keys[key_id] = key.used(at)

    async def forget(self, key_id: KeyId) -> None:
        self._keys.pop(key_id, None)
