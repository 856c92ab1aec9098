"""The keys in force: who a key belongs to, and making, changing and revoking them. Knows no HTTP.

Kept in memory beside the database, because every call asks; read anew every second, because the command line writes
keys of its own.
"""

import asyncio
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
    check_terms,
    hash_key,
    is_same,
    mint,
    read_key,
)
from broker.ports import Clock

#: How long a worker's key lasts unless it is used; an unused one of these has been forgotten by its owner.
WORKER_KEY_DAYS = 180.0
MAX_DAYS = 36_500
MAX_GRACE_SECONDS = 365 * DAY_SECONDS
#: Last use is noted to this.
USE_SECONDS = 60.0


class NewKey(NamedTuple):
    """What is asked for of a new key."""

    scope: Scope
    owner: Owner | None = None
    label: str = ""
    #: None: a worker's as long as it is used, any other for ever.
    days: float | None = None
    limits: Limits = NO_LIMITS


class Minted(NamedTuple):
    """A new key, and its text: the only time that it is there."""

    key: Key
    text: str

    def __repr__(self) -> str:
        """Without the text, so that it gets into no log by accident."""
        return f"Minted({self.key.id})"


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
        #: Those that were in force at the last reading.
        self._live: frozenset[KeyId] = frozenset()
        #: What is being read must not take the place of what is written meanwhile.
        self._alone = asyncio.Lock()

    @property
    def all(self) -> Sequence[Key]:
        return [*self._chosen.values(), *self._keys.values()]

    @property
    def has_keys(self) -> bool:
        """Whether there ever was one. That it has ended is no reason to let everybody in."""
        return bool(self._chosen or self._keys)

    @property
    def has_live_keys(self) -> bool:
        now = self._clock.now()
        return bool(self._chosen) or any(key.is_live(now) for key in self._keys.values())

    def find(self, text: str) -> Key | None:
        """The key with this text, in force or not. Takes as long for a wrong one as for one that is not there."""
        hashed = hash_key(self._secret, text)
        if chosen := self._chosen.get(hashed):
            return chosen
        named = read_key(text)
        key = self._keys.get(named[1]) if named else None
        return key if is_same(hashed, key.hash if key else KeyHash("0" * 64)) else None

    def use(self, key: Key) -> bool:
        """Notes a use, if the key is in force."""
        now = self._clock.now()
        if not key.is_live(now):
            return False
        self._used_at[key.id] = now
        return True

    async def load(self) -> Sequence[KeyId]:
        """Reads the keys anew; returns those that have ended since the last time."""
        async with self._alone:
            self._keys = {key.id: key for key in await self._shelf.all()}
        now, before = self._clock.now(), self._live
        self._live = frozenset(key.id for key in self._keys.values() if key.is_live(now))
        return sorted(before - self._live)

    async def note_use(self) -> None:
        """Writes down which keys were used lately; those that last as long as they are used last longer."""
        for key_id, used_at in list(self._used_at.items()):
            key = self._keys.get(key_id)
            if key is not None and used_at - (key.last_used_at or 0.0) >= USE_SECONDS:
                async with self._alone:
                    await self._shelf.note_use(key_id, used_at)
                    self._keys[key_id] = key.used(used_at)

    async def create(self, new: NewKey) -> Minted:
        """Makes a key. It is in force when this returns."""
        minted = minted_key(new, self._secret, self._clock.now())
        await self._put(minted.key)
        return minted

    async def rotate(self, key_id: KeyId, grace_seconds: float = 0.0) -> Minted:
        """A new key for the same holder; the old one lasts for the grace, and no longer than it would have.

        Raises `NotFound`, and `InvalidValue` for one that has ended.
        """
        old, now = self._known(key_id), self._clock.now()
        if not 0 <= grace_seconds <= MAX_GRACE_SECONDS:
            raise InvalidValue("The grace: 0 to 8760 hours.", param="grace_hours")
        if not old.is_live(now):
            raise InvalidValue(f"{key_id} has ended: create a key.", param="key_id")
        new = NewKey(old.scope, old.owner, old.label, _days(old), old.limits)
        minted = minted_key(new, self._secret, now)
        await self._put(minted.key, old.over(now + grace_seconds))
        return minted

    async def revoke(self, key_id: KeyId) -> Key:
        """Ends a key for good. Raises `NotFound`."""
        key = self._known(key_id)
        if key.revoked_at is None:
            key = key._replace(revoked_at=self._clock.now())
            await self._put(key)
        return key

    async def forget(self, key_id: KeyId) -> None:
        """Drops a key that has ended. Raises `NotFound`, and `InvalidValue` for one that is in force."""
        if self._known(key_id).is_live(self._clock.now()):
            raise InvalidValue(f"{key_id} is in force: revoke it first.", param="key_id")
        async with self._alone:
            await self._shelf.forget(key_id)
            del self._keys[key_id]

    def _known(self, key_id: KeyId) -> Key:
        if any(key.id == key_id for key in self._chosen.values()):
            raise NotFound(f"{key_id} is set by the environment: change it there.")
        key = self._keys.get(key_id)
        if key is None:
            raise NotFound(f"There is no key {key_id[:20]!r}.")
        return key

    async def _put(self, *keys: Key) -> None:
        async with self._alone:
            await self._shelf.put(*keys)
            self._keys |= {key.id: key for key in keys}
            # A key that comes and goes between two readings has ended all the same.
            self._live |= {key.id for key in keys}


def caller_of(key: Key) -> Caller:
    return Caller(key.owner, key.scope, key.id, key.limits)


def minted_key(new: NewKey, secret: bytes, now: float) -> Minted:
    """Raises `InvalidValue` for what no key can be."""
    text = mint(new.scope)
    named = read_key(text)
    assert named is not None
    key_id = named[1]
    lasts_by_use = new.days is None and new.scope == Scope.WORKER
    days = WORKER_KEY_DAYS if lasts_by_use else new.days
    if days is not None and not 0 < days < MAX_DAYS:
        raise InvalidValue(f"days: more than 0, less than {MAX_DAYS}.", param="days")
    check_terms(new.label, new.owner, new.limits)
    key = Key(
        key_id,
        new.scope,
        # Of its own, unless several are to share what they make.
        new.owner or Owner(key_id),
        new.label,
        hash_key(secret, text),
        now,
        expires_at=None if days is None else now + days * DAY_SECONDS,
        idle_seconds=WORKER_KEY_DAYS * DAY_SECONDS if lasts_by_use else None,
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


def _days(old: Key) -> float | None:
    """How long a key in the place of this one is to last."""
    if old.idle_seconds is not None or old.expires_at is None:
        return None
    return (old.expires_at - old.created_at) / DAY_SECONDS
