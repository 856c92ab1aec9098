"""What a key is: who may do what, for whom and for how long. How one is written, recognised and kept.

Values and rules only. A key is shown once; kept is a hash that is keyed with the broker's own secret, so whoever can
write the database still cannot make a key.
"""

import hashlib
import hmac
import secrets
import string
import zlib
from collections.abc import Awaitable, Callable, Sequence
from enum import StrEnum
from typing import NamedTuple, NewType, Protocol

from broker.errors import InvalidValue, LimitReached, ModelNotFound
from broker.ids import LOCAL_OWNER, LeaseToken, Owner, WorkerId

KeyId = NewType("KeyId", str)
KeyHash = NewType("KeyHash", str)

_ALPHABET = string.digits + string.ascii_uppercase + string.ascii_lowercase
_ID_CHARS, _SECRET_CHARS, _CHECK_CHARS = 8, 43, 6
DAY_SECONDS = 86_400.0
_MAX_NAME_CHARS = 100
_MAX_COUNT = 1_000_000
#: A key that an operator chose, for containers, must be at least this long.
MIN_CHOSEN_CHARS = 24


class Scope(StrEnum):
    """What a key may do. None of them includes another, but an operator's includes a client's."""

    CLIENT = "client"
    WORKER = "worker"
    ADMIN = "admin"


_PREFIXES = {Scope.CLIENT: "gbc", Scope.WORKER: "gbw", Scope.ADMIN: "gba"}
_SCOPES = {prefix: scope for scope, prefix in _PREFIXES.items()}


class Limits(NamedTuple):
    """What one key may ask for; None is no limit of its own."""

    per_minute: int | None = None
    #: Jobs that have not ended.
    open_jobs: int | None = None
    #: Jobs made on one day, from midnight UTC.
    daily_jobs: int | None = None
    models: tuple[str, ...] | None = None

    @property
    def counts_jobs(self) -> bool:
        return self.open_jobs is not None or self.daily_jobs is not None


NO_LIMITS = Limits()


def check_model(limits: Limits, name: str, meant: Callable[[str], str] = str) -> None:
    """Raises `ModelNotFound` for a model that is not among the key's. `meant` knows which names are one model."""
    if limits.models is not None and meant(name) not in map(meant, limits.models):
        raise ModelNotFound(f"This key is for {', '.join(limits.models)}.", param="model")


class Usage(NamedTuple):
    """How many jobs an owner has."""

    open_jobs: int
    #: Made on the present day.
    daily_jobs: int


def check_limits(limits: Limits, usage: Usage, now: float) -> None:
    """Raises `LimitReached` for one job too many."""
    if limits.open_jobs is not None and usage.open_jobs >= limits.open_jobs:
        raise LimitReached(f"This key may have {limits.open_jobs} jobs that have not ended.", 30.0)
    if limits.daily_jobs is not None and usage.daily_jobs >= limits.daily_jobs:
        left = DAY_SECONDS - now % DAY_SECONDS
        raise LimitReached(f"This key may make {limits.daily_jobs} jobs a day.", left)


class Key(NamedTuple):
    """A key as it is kept. All moments are Unix seconds."""

    id: KeyId
    scope: Scope
    #: Whose jobs its holder makes and sees.
    owner: Owner
    label: str
    hash: KeyHash
    created_at: float
    expires_at: float | None = None
    revoked_at: float | None = None
    #: To the minute.
    last_used_at: float | None = None
    #: Each use makes it last so long again; None: it ends when it ends, however much it is used.
    idle_seconds: float | None = None
    limits: Limits = NO_LIMITS

    def is_live(self, now: float) -> bool:
        return self.revoked_at is None and (self.expires_at is None or now < self.expires_at)

    def used(self, at: float) -> "Key":
        """The key after a use."""
        if self.idle_seconds is None or self.expires_at is None:
            return self._replace(last_used_at=at)
        return self._replace(
            last_used_at=at, expires_at=max(self.expires_at, at + self.idle_seconds)
        )

    def over(self, at: float) -> "Key":
        """The key with its end at this moment, or when it would have ended anyway."""
        ends_at = at if self.expires_at is None else min(at, self.expires_at)
        return self._replace(expires_at=ends_at, idle_seconds=None)


class Caller(NamedTuple):
    """Who makes a call: the holder of a key, or a program on this machine while no key is asked for."""

    owner: Owner
    #: None may do everything.
    scope: Scope | None = None
    key_id: KeyId | None = None
    limits: Limits = NO_LIMITS

    def may_see(self, owner: Owner) -> bool:
        """Whether what belongs to this owner is there for the caller at all. A worker sees what it is handed."""
        if self.scope == Scope.CLIENT:
            return self.owner == owner
        return self.scope in (None, Scope.ADMIN)

    @property
    def only_owner(self) -> Owner | None:
        """Whose jobs a list is to show; None shows all."""
        return None if self.scope in (None, Scope.ADMIN) else self.owner

    def worker(self, name: WorkerId) -> WorkerId:
        """What a worker is known by: nobody with another key can speak in its name."""
        return name if self.key_id is None else WorkerId(f"{self.key_id}:{name}")

    def lease(self, token: LeaseToken) -> LeaseToken:
        """A lease token as it counts here: it opens nothing for the holder of another key."""
        return bound(self.key_id, token)


def is_of(key_id: KeyId, worker_id: WorkerId) -> bool:
    """Whether a worker calls with this key."""
    return worker_id.startswith(f"{key_id}:")


def bound(key_id: KeyId | None, token: LeaseToken) -> LeaseToken:
    """The token of a lease that was handed out to this key."""
    return token if key_id is None else LeaseToken(f"{key_id}:{token}")


#: While no key is asked for, whoever the guard lets in.
LOCAL = Caller(LOCAL_OWNER)


class KeyShelf(Protocol):
    """Keys, durably."""

    def all(self) -> Awaitable[Sequence[Key]]:
        """Every key there ever was, oldest first."""

    def put(self, *keys: Key) -> Awaitable[None]:
        """Keeps new keys, and changed ends of others: all or none. What is revoked stays so, whoever writes next."""

    def note_use(self, key_id: KeyId, at: float) -> Awaitable[None]:
        """Notes the use of a key that has not been revoked meanwhile, as `Key.used` says."""

    def forget(self, key_id: KeyId) -> Awaitable[None]:
        """Drops a key from the list."""


def check_terms(label: str, owner: str | None, limits: Limits) -> None:
    """Raises `InvalidValue` for what no key can have."""
    for param, name in (("label", label), ("owner", owner or "")):
        if len(name) > _MAX_NAME_CHARS or not name.isprintable():
            raise InvalidValue(
                f"{param}: at most {_MAX_NAME_CHARS} visible characters.", param=param
            )
    for param in ("per_minute", "open_jobs", "daily_jobs"):
        count = getattr(limits, param)
        if count is not None and not 1 <= count <= _MAX_COUNT:
            raise InvalidValue(f"{param}: from 1 to {_MAX_COUNT}.", param=param)
    if limits.models is not None and not all(limits.models or ("",)):
        raise InvalidValue("models: names, or nothing for all of them.", param="models")


def mint(scope: Scope) -> str:
    """A new key's text: `gbc_`, 8 characters by which it is found, 43 that are secret, 6 that check the rest."""
    chars = "".join(secrets.choice(_ALPHABET) for _ in range(_ID_CHARS + _SECRET_CHARS))
    body = f"{_PREFIXES[scope]}_{chars}"
    return body + _checksum(body)


def read_key(text: str) -> tuple[Scope, KeyId] | None:
    """The scope and the public part of a well-formed key; None for a typo or anything else."""
    scope = _SCOPES.get(text[:3])
    if scope is None or text[3:4] != "_" or not set(text[4:]) <= set(_ALPHABET):
        return None
    if len(text) != 4 + _ID_CHARS + _SECRET_CHARS + _CHECK_CHARS:
        return None
    body, check = text[:-_CHECK_CHARS], text[-_CHECK_CHARS:]
    return (scope, KeyId(text[: 4 + _ID_CHARS])) if _checksum(body) == check else None


def hash_key(secret: bytes, text: str) -> KeyHash:
    return KeyHash(hmac.new(secret, b"key\0" + text.encode(), hashlib.sha256).hexdigest())


def is_same(one: KeyHash, other: KeyHash) -> bool:
    """Takes as long for any two."""
    return hmac.compare_digest(one, other)


def signature(secret: bytes, path: str, ends_at: int) -> str:
    """What proves that this path may be fetched until then."""
    signed = hmac.new(secret, f"link\0{path}\0{ends_at}".encode(), hashlib.sha256)
    return signed.hexdigest()[:32]


def is_signed(secret: bytes, path: str, ends_at: int, sig: str) -> bool:
    return hmac.compare_digest(
        signature(secret, path, ends_at), sig.encode("ascii", "replace").decode()
    )


def shown(key_id: KeyId) -> str:
    """How a key is named where it may be read: enough to know it by, too little to use."""
    return f"{key_id}…"


def _checksum(body: str) -> str:
    number, digits = zlib.crc32(body.encode()), ""
    for _ in range(_CHECK_CHARS):
        number, digit = divmod(number, len(_ALPHABET))
        digits += _ALPHABET[digit]
    return digits
