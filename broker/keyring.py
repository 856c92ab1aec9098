"""The keys in force: who a key belongs to, and making, changing and revoking them. Knows no HTTP.

Kept in memory beside the database, because every call asks; read anew every second, because the command line writes
keys of its own.
"""

from collections.abc import Sequence
from typing import NamedTuple

from broker.errors import InvalidValue, NotFound
from broker.ids import Owner
from broker.keys import (
    DAY_SECONDS,
    MIN_CHOSEN_CHARS,
    NO_LIMITS,
    Caller,
    Key,
    KeyHash,
    KeyId,
    KeyShelf,
    Limits,
    Scope,
    hash_key,
    is_same,
    mint,
    read_key,
)
from broker.ports import Clock

#: How long a worker's key lasts unless it is used; an unused one of these has been forgotten by its owner.
WORKER_KEY_DAYS = 180.0
#: Last use is noted to this.
USE_SECONDS = 60.0


class NewKey(NamedTuple):
    """What is asked for of a new key."""

    scope: Scope
    owner: Owner | None = None
    label: str = ""
    days: float | None = None
    limits: Limits = NO_LIMITS


class Minted(NamedTuple):
    """A new key, and its text: the only time that it is there."""

    key: Key
    text: str


class KeyRing:
    def __init__(
        self, shelf: KeyShelf, clock: Clock, secret: bytes, chosen: Sequence[Key] = ()
    ) -> None:
        """`chosen` are the operator's own, from the environment; they are never written down."""
        self._shelf = shelf
        self._clock = clock
        self._secret = secret
        self._chosen = {key.hash: key for key in chosen}
        self._keys: dict[KeyId, Key] = {}
        self._used_at: dict[KeyId, float] = {}

    @property
    def all(self) -> Sequence[Key]:
        return [*self._chosen.values(), *self._keys.values()]

    @property
    def has_live_keys(self) -> bool:
        now = self._clock.now()
        return bool(self._chosen) or any(key.is_live(now) for key in self._keys.values())

    def find(self, text: str) -> Key | None:
        """The live key with this text. Takes as long for a wrong one as for one that is not there."""
        hashed, now = hash_key(self._secret, text), self._clock.now()
        if chosen := self._chosen.get(hashed):
            return chosen
        named = read_key(text)
        key = self._keys.get(named[1]) if named else None
        if not is_same(hashed, key.hash if key else KeyHash("0" * 64)) or key is None:
            return None
        if not key.is_live(now):
            return None
        self._used_at[key.id] = now
        return key

    async def load(self) -> Sequence[KeyId]:
        """Reads the keys anew, and notes their use; returns those that are no longer in force."""
        before, now = self._keys, self._clock.now()
        self._keys = {key.id: key for key in await self._shelf.all()}
        for key_id, used_at in list(self._used_at.items()):
            await self._note_use(key_id, used_at)
        was_live = [key.id for key in before.values() if key.revoked_at is None]
        return [i for i in was_live if i not in self._keys or not self._keys[i].is_live(now)]

    async def create(self, new: NewKey) -> Minted:
        """Makes a key. It is in force when this returns."""
        minted = minted_key(new, self._secret, self._clock.now())
        await self._put(minted.key)
        return minted

    async def rotate(self, key_id: KeyId, grace_seconds: float = 0.0) -> Minted:
        """A new key for the same holder; the old one lasts for the grace. Raises `NotFound`."""
        old, now = self._known(key_id), self._clock.now()
        minted = minted_key(
            NewKey(old.scope, old.owner, old.label, None, old.limits), self._secret, now
        )
        renewed = minted.key._replace(expires_at=_renewed(old, now))
        await self._put(renewed)
        await self._put(old._replace(expires_at=now + grace_seconds))
        return Minted(renewed, minted.text)

    async def revoke(self, key_id: KeyId) -> Key:
        """Ends a key for good. Raises `NotFound`."""
        key = self._known(key_id)
        if key.revoked_at is None:
            key = key._replace(revoked_at=self._clock.now())
            await self._put(key)
        return key

    def _known(self, key_id: KeyId) -> Key:
        key = self._keys.get(key_id)
        if key is None:
            raise NotFound(f"There is no key {key_id[:20]!r}.")
        return key

    async def _put(self, key: Key) -> None:
        await self._shelf.put(key)
        self._keys[key.id] = key

    async def _note_use(self, key_id: KeyId, used_at: float) -> None:
        key = self._keys.get(key_id)
        if key is None or used_at - (key.last_used_at or 0.0) < USE_SECONDS:
            return
        expires_at = key.expires_at
        if key.scope == Scope.WORKER and expires_at is not None:
            expires_at = max(expires_at, used_at + WORKER_KEY_DAYS * DAY_SECONDS)
        await self._put(key._replace(last_used_at=used_at, expires_at=expires_at))


def caller_of(key: Key) -> Caller:
    return Caller(key.owner, key.scope, key.id, key.limits)


def minted_key(new: NewKey, secret: bytes, now: float) -> Minted:
    """Raises `InvalidValue` for what no key can be."""
    text = mint(new.scope)
    named = read_key(text)
    assert named is not None
    key_id = named[1]
    days = WORKER_KEY_DAYS if new.days is None and new.scope == Scope.WORKER else new.days
    if days is not None and not 0 < days < 36_500:
        raise InvalidValue("days: more than 0.", param="days")
    key = Key(
        key_id,
        new.scope,
        # Of its own, unless several are to share what they make.
        new.owner or Owner(key_id),
        new.label,
        hash_key(secret, text),
        now,
        expires_at=None if days is None else now + days * DAY_SECONDS,
        limits=new.limits,
    )
    return Minted(key, text)


def chosen_key(scope: Scope, text: str, secret: bytes) -> Key:
    """A key that an operator chose. Raises `InvalidValue` for one that could be guessed."""
    if len(text) < MIN_CHOSEN_CHARS:
        message = f"A key of your own must have at least {MIN_CHOSEN_CHARS} characters."
        raise InvalidValue(message)
    hashed = hash_key(secret, text)
    key_id = KeyId(f"env_{hashed[:8]}")
    return Key(key_id, scope, Owner(key_id), "from the environment", hashed, 0.0)


def _renewed(old: Key, now: float) -> float | None:
    return None if old.expires_at is None else now + (old.expires_at - old.created_at)
