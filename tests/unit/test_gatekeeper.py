"""The gatekeeper: who may come through which door, and what a wrong key costs."""

import pytest

from broker.api.gatekeeper import MAX_FAILURES, Gatekeeper
from broker.api.lean import Door, Headers, Route
from broker.config import Settings
from broker.errors import BadRequest, BrokerError, KeyRefused, LimitReached, NotInScope
from broker.keyring import KeyRing, NewKey
from broker.keys import LOCAL, Caller, Limits, Scope, mint
from broker.store.memory_keyshelf import MemoryKeyShelf
from broker.values import Auth
from tests.support.clock import ManualClock
from tests.support.house import House
from tests.support.running import run

PEER = "192.168.1.7"


class Gate:
    def __init__(self, **settings: object) -> None:
        self.clock = ManualClock(1_800_000_000.0)
        self.ring = KeyRing(MemoryKeyShelf(), self.clock, b"secret")
        given = Settings(**settings)  # type: ignore[arg-type]
        self.noted: list[str] = []
        self.keeper = Gatekeeper(self.ring, self.clock, given, self.noted.append)

    def make(self, scope: Scope, **terms: object) -> str:
        return run(self.ring.create(NewKey(scope, **terms))).text  # type: ignore[arg-type]

    def caller(
        self,
        key: str | None = None,
        door: Door = Door.CLIENT,
        *,
        query: bytes = b"",
        peer: str = PEER,
        more: Headers | None = None,
    ) -> Caller:
        headers = [] if key is None else [(b"authorization", b"Bearer " + key.encode())]
        route = Route("GET", "/x", door)
        return self.keeper.caller(route, [*headers, *(more or [])], query, peer)

    def refusal(self, *args: object, **options: object) -> BrokerError:
        with pytest.raises(BrokerError) as refused:
            self.caller(*args, **options)  # type: ignore[arg-type]
        return refused.value


@pytest.fixture
def gate() -> Gate:
    return Gate()


def test_while_there_is_no_key_nobody_is_asked(gate: Gate) -> None:
    assert not gate.keeper.is_required
    for door in Door:
        assert gate.caller(None, door) == LOCAL
        assert gate.caller("unused", door) == LOCAL


def test_the_first_key_makes_keys_required_and_its_end_lets_nobody_in() -> None:
    gate = Gate()
    key = run(gate.ring.create(NewKey(Scope.CLIENT)))
    assert isinstance(gate.refusal(), KeyRefused)

    run(gate.ring.revoke(key.key.id))

    assert isinstance(gate.refusal(), KeyRefused)
    assert isinstance(gate.refusal(key.text), KeyRefused)


@pytest.mark.parametrize(
    "settings", [{"auth": Auth.REQUIRED}, {"server_host": "0.0.0.0"}, {"server_host": "::"}]
)
def test_keys_are_required_before_there_is_one_where_the_settings_say_so(
    settings: dict[str, object],
) -> None:
    assert isinstance(Gate(**settings).refusal(), KeyRefused)


#: Scope of the key → the doors it opens; all others refuse it. `public` and `media` ask nobody.
OPENS = {
    Scope.CLIENT: {Door.CLIENT},
    Scope.WORKER: {Door.WORKER},
    Scope.ADMIN: {Door.CLIENT, Door.ADMIN},
}


@pytest.mark.parametrize("scope", Scope)
@pytest.mark.parametrize("door", [Door.CLIENT, Door.WORKER, Door.ADMIN])
def test_a_scope_opens_its_doors(gate: Gate, scope: Scope, door: Door) -> None:
    key = gate.make(scope)

    if door in OPENS[scope]:
        assert gate.caller(key, door).scope == scope
    else:
        assert isinstance(gate.refusal(key, door), NotInScope)
    assert isinstance(gate.refusal(None, door), KeyRefused)


@pytest.mark.parametrize("door", [Door.PUBLIC, Door.MEDIA])
def test_where_nobody_is_asked_a_stranger_owns_nothing(gate: Gate, door: Door) -> None:
    key = gate.make(Scope.CLIENT)

    strangers = [gate.caller(None, door), gate.caller(mint(Scope.ADMIN), door)]

    assert gate.caller(key, door).may_see(gate.caller(key, door).owner)
    for stranger in strangers:
        assert not stranger.may_see(gate.caller(key, door).owner)
        assert stranger.only_owner is not None


@pytest.mark.parametrize(
    "header",
    [
        (b"authorization", b"Bearer %s"),
        (b"authorization", b"bearer  %s "),
        (b"x-api-key", b"%s"),
    ],
)
def test_a_key_comes_in_the_headers_that_sdks_send(gate: Gate, header: tuple[bytes, bytes]) -> None:
    key = gate.make(Scope.CLIENT).encode()

    assert gate.caller(more=[(header[0], header[1] % key)]).scope == Scope.CLIENT


@pytest.mark.parametrize("value", [b"Basic %s", b"%s", b"Bearer", b"Bearer ", b"Bearer \xff%s"])
def test_another_authorization_is_no_key(gate: Gate, value: bytes) -> None:
    key = gate.make(Scope.CLIENT).encode()
    sent = value % key if b"%s" in value else value

    assert isinstance(gate.refusal(more=[(b"authorization", sent)]), KeyRefused)


@pytest.mark.parametrize("name", ["token", "api_key", "API_KEY", "key", "access_token", "%6bey"])
@pytest.mark.parametrize("door", Door)
def test_a_key_in_the_url_is_refused_even_with_a_good_one_beside_it(
    gate: Gate, name: str, door: Door
) -> None:
    key = gate.make(Scope.ADMIN)

    refused = gate.refusal(key, door, query=f"mode=video&{name}={key}".encode())

    assert isinstance(refused, BadRequest)
    assert key not in refused.message


def test_a_thousand_wrong_keys_are_throttled_and_a_good_one_still_works(gate: Gate) -> None:
    """Whatever address the sender claims to have: forwarding headers are not looked at."""
    good = gate.make(Scope.CLIENT)
    told = []
    for number in range(1000):
        claimed = f"10.0.{number // 250}.{number % 250}".encode()
        forwarded = [(b"x-forwarded-for", claimed), (b"forwarded", b"for=" + claimed)]
        told.append(gate.refusal(mint(Scope.CLIENT), more=forwarded))
        if number % 100 == 99:
            assert gate.caller(good).scope == Scope.CLIENT

    assert [type(refusal) for refusal in told] == [
        *[KeyRefused] * MAX_FAILURES,
        *[LimitReached] * (1000 - MAX_FAILURES),
    ]
    assert 0 < told[-1].retry_after_seconds <= 60  # type: ignore[attr-defined]
    assert gate.noted == [PEER]
    assert isinstance(gate.refusal(mint(Scope.CLIENT), peer="192.168.1.8"), KeyRefused)
    gate.clock.advance(60)
    assert isinstance(gate.refusal(mint(Scope.CLIENT)), KeyRefused)


@pytest.mark.parametrize("door", [Door.PUBLIC, Door.MEDIA])
def test_keys_cannot_be_tried_where_nobody_is_asked_either(gate: Gate, door: Door) -> None:
    good = gate.make(Scope.CLIENT)
    for _ in range(MAX_FAILURES):
        gate.caller(mint(Scope.CLIENT), door)

    assert isinstance(gate.refusal(mint(Scope.CLIENT), door), LimitReached)
    assert gate.caller(good, door).scope == Scope.CLIENT
    assert gate.caller(None, door).key_id is None


def test_a_key_that_has_ended_is_no_guess_and_is_answered_the_same_for_ever(gate: Gate) -> None:
    """A worker whose key was revoked goes on asking."""
    revoked, expired = gate.make(Scope.WORKER), gate.make(Scope.WORKER, days=1.0)
    run(gate.ring.revoke(gate.ring.all[0].id))
    gate.clock.advance(86_400)

    for key in (revoked, expired):
        told = {type(gate.refusal(key, Door.WORKER)) for _ in range(3 * MAX_FAILURES)}
        assert told == {KeyRefused}
        assert gate.caller(key, Door.PUBLIC).key_id is None


def test_who_sends_no_key_is_not_counted_as_guessing(gate: Gate) -> None:
    gate.make(Scope.CLIENT)

    assert {type(gate.refusal()) for _ in range(3 * MAX_FAILURES)} == {KeyRefused}


def test_calls_a_minute_are_counted_for_each_key_by_itself(gate: Gate) -> None:
    limited = [gate.make(Scope.CLIENT, limits=Limits(per_minute=3)) for _ in range(2)]
    for key in limited:
        for _ in range(3):
            gate.caller(key)

    gate.clock.advance(20)
    refused = gate.refusal(limited[0])

    assert isinstance(refused, LimitReached)
    assert refused.retry_after_seconds == 40
    gate.clock.advance(40)
    assert gate.caller(limited[0]).limits.per_minute == 3


def test_a_refused_scope_and_key_say_nothing_of_the_key(gate: Gate) -> None:
    key, wrong = gate.make(Scope.WORKER), mint(Scope.CLIENT)

    for refusal in (gate.refusal(key), gate.refusal(wrong)):
        assert key[12:] not in refusal.message
        assert wrong[12:] not in refusal.message


# In front of the routes.


def test_a_call_without_a_key_is_refused_before_a_byte_of_its_body_is_read() -> None:
    house = House()
    run(house.ring.create(NewKey(Scope.CLIENT)))
    body = {"content-type": "application/json", "content-length": "2"}

    answer = house.knock("POST", "/v1/videos/generations", body, chunks=[b"{}"])

    assert (answer.status, answer.reads, answer.reached) == (401, 0, "")
    assert answer.headers["www-authenticate"] == "Bearer"
    assert answer.headers["connection"] == "close"


def test_host_and_origin_are_looked_at_before_the_key_and_a_good_one_does_not_help() -> None:
    house = House()
    key = run(house.ring.create(NewKey(Scope.ADMIN))).text
    sent = {"authorization": f"Bearer {key}"}

    page = house.knock("GET", "/jobs", sent | {"origin": "https://page.example"})
    rebound = house.knock("GET", "/jobs", sent, hosts=("evil.example:8000",))

    assert (page.status, rebound.status) == (403, 421)
    assert house.knock("GET", "/jobs", sent).status == 200


def test_other_addresses_of_the_machine_answer_once_keys_are_required() -> None:
    house = House(allowed_hosts=("broker.lan",))
    outside = {"hosts": ("broker.lan",), "server": ("192.168.1.5", 8000)}
    before = house.knock("GET", "/jobs", **outside)  # type: ignore[arg-type]
    key = run(house.ring.create(NewKey(Scope.ADMIN))).text

    after = house.knock("GET", "/jobs", **outside)  # type: ignore[arg-type]
    with_key = house.knock("GET", "/jobs", {"authorization": f"Bearer {key}"}, **outside)  # type: ignore[arg-type]

    assert (before.status, after.status, with_key.status) == (421, 401, 200)
