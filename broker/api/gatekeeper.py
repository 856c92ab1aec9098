"""Who calls: told by the key in the headers, before a byte of the body is read. What a key is, the core knows.

While no key has been created and only this machine can connect, nobody is asked: whoever the guard lets in may do
everything, as the first examples of this API do.
"""

from collections import Counter
from collections.abc import Callable, Mapping
from urllib.parse import parse_qsl

from broker.api.lean import Door, Headers, Route
from broker.config import Settings
from broker.errors import BadRequest, BrokerError, KeyRefused, LimitReached, NotInScope
from broker.ids import Owner
from broker.keyring import KeyRing, caller_of
from broker.keys import LOCAL, Caller, KeyId, Scope
from broker.ports import Clock

#: Which scopes may come through a door. Those that are not named here ask for no key.
SCOPES: Mapping[Door, frozenset[Scope]] = {
    Door.CLIENT: frozenset({Scope.CLIENT, Scope.ADMIN}),
    Door.WORKER: frozenset({Scope.WORKER}),
    Door.ADMIN: frozenset({Scope.ADMIN}),
}
#: So many wrong keys of one address within a minute are told apart from a typo.
MAX_FAILURES = 20
MINUTE = 60.0
_IN_THE_URL = frozenset({"token", "api_key", "apikey", "key", "access_token"})


class Gatekeeper:
    def __init__(
        self,
        ring: KeyRing,
        clock: Clock,
        settings: Settings,
        note: Callable[[str], None] = lambda address: None,
    ) -> None:
        """`note` is told which address sends too many wrong keys, once a minute."""
        self._ring = ring
        self._note = note
        self._clock = clock
        self._is_always_required = settings.requires_key
        #: Address → wrong keys in the present minute.
        self._failures: Counter[str] = Counter()
        self._calls: Counter[KeyId] = Counter()
        self._minute = 0

    @property
    def is_required(self) -> bool:
        """Whether a key is asked for."""
        return self._is_always_required or self._ring.has_keys

    @property
    def has_live_keys(self) -> bool:
        return self._ring.has_live_keys

    def caller(self, route: Route, headers: Headers, query: bytes, address: str) -> Caller:
        """Who calls. Raises a `BrokerError` for whom this route is not."""
        if not self.is_required:
            return LOCAL
        _refuse_key_in_url(query)
        scopes, text = SCOPES.get(route.door), _key_in(headers)
        key = self._ring.find(text) if text else None
        if key is None or not self._ring.use(key):
            # One that has ended is no guess.
            refusal = self._refusal(address, is_wrong=text is not None and key is None)
            # Where nobody is asked a key that is not in force opens nothing more, but is counted.
            if scopes is None and not isinstance(refusal, LimitReached):
                return STRANGER
            raise refusal
        if scopes is not None and key.scope not in scopes:
            wanted = " or ".join(sorted(scopes))
            raise NotInScope(f"This needs a key of the scope {wanted}; this one has {key.scope}.")
        caller = caller_of(key)
        self._count_call(caller)
        return caller

    def _count_call(self, caller: Caller) -> None:
        most, key_id = caller.limits.per_minute, caller.key_id
        if most is None or key_id is None:
            return
        self._turn_minute()
        self._calls[key_id] += 1
        if self._calls[key_id] > most:
            left = MINUTE - self._clock.now() % MINUTE
            raise LimitReached(f"This key may make {most} calls a minute.", left)

    def _refusal(self, address: str, *, is_wrong: bool) -> BrokerError:
        if not is_wrong:
            return KeyRefused()
        self._turn_minute()
        self._failures[address] += 1
        if self._failures[address] <= MAX_FAILURES:
            return KeyRefused()
        if self._failures[address] == MAX_FAILURES + 1:
            self._note(address)
        left = MINUTE - self._clock.now() % MINUTE
        return LimitReached("Too many wrong keys came from this address.", left)

    def _turn_minute(self) -> None:
        minute = int(self._clock.now() // MINUTE)
        if minute != self._minute:
            self._minute = minute
            self._failures.clear()
            self._calls.clear()


#: Somebody without a key where none is asked for: sees what everybody may see, and owns nothing.
STRANGER = Caller(Owner(""), Scope.CLIENT)


def _key_in(headers: Headers) -> str | None:
    """The key of the headers, of one kind or the other."""
    for name, value in headers:
        if name == b"authorization" and value[:7].lower() == b"bearer ":
            return value[7:].strip().decode("latin-1")
        if name == b"x-api-key":
            return value.decode("latin-1")
    return None


def _refuse_key_in_url(query: bytes) -> None:
    """A key in a URL would stand in every log on its way."""
    if b"=" not in query:
        return
    names = {name.lower() for name, _ in parse_qsl(query.decode("latin-1"), keep_blank_values=True)}
    if names & _IN_THE_URL:
        raise BadRequest("Send the key in the header Authorization, never in the URL.")
