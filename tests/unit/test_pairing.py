"""Pairing: who is let in, with which code, for how long, and what ends it."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from broker.errors import Conflict, InvalidValue, LimitReached, NotFound, StoreFailed
from broker.ids import Owner
from broker.keyring import KeyRing
from broker.keys import Scope
from broker.pairing import (
    FETCH_SECONDS,
    MAX_PENDING,
    MAX_WRONG_CODES,
    PAIRING_SECONDS,
    TOLD_SECONDS,
    Grant,
    Pairing,
    PairingId,
    PairingState,
    words_of,
)
from broker.pairing_desk import MAX_STARTS, MAX_WAITING, MINUTE, PairingDesk, Seen
from broker.store.memory_keyshelf import MemoryKeyShelf
from tests.support.clock import ManualClock
from tests.support.running import run

NONCE = "n" * 43
OTHER = "o" * 43


class Office:
    """A desk, its clock and its keys."""

    def __init__(self) -> None:
        self.clock = ManualClock()
        self.ring = KeyRing(MemoryKeyShelf(), self.clock, b"secret")
        self.is_needed = True
        self.desk = PairingDesk(self.ring, self.clock, lambda: self.is_needed)

    def start(self, nonce: str = NONCE, name: str = "desk", address: str = "here") -> Pairing:
        return self.desk.start(nonce, name, address)

    def look(
        self,
        pairing: Pairing,
        nonce: str = NONCE,
        goes_on: Callable[[], bool] = lambda: True,
    ) -> Seen:
        return run(self.desk.wait(pairing.id, nonce, 0.0, goes_on))

    async def wait(self, pairing: Pairing) -> Seen:
        """As long as the clock stands still, until the pairing moves."""
        return await self.desk.wait(pairing.id, NONCE, 20.0, lambda: True)

    def confirm(self, pairing: Pairing, code: str | None = None, **grant: Any) -> Pairing:
        given = pairing.code if code is None else code
        return self.desk.confirm(pairing.id, given, Grant(**grant))

    def fail(self, pairing: Pairing, times: int = 1) -> None:
        for _ in range(times):
            with pytest.raises(InvalidValue):
                self.confirm(pairing, wrong(pairing))


def wrong(pairing: Pairing) -> str:
    return "".join(str(9 - int(digit)) for digit in pairing.code)


@pytest.fixture
def office() -> Office:
    return Office()


def test_a_confirmed_worker_is_handed_a_key_of_the_workers_scope(office: Office) -> None:
    pairing = office.start()
    assert office.look(pairing) == Seen(PairingState.PENDING)

    office.confirm(pairing, owner=Owner("team"), label="left desk")
    state, text = office.look(pairing)

    assert state == PairingState.PAIRED
    assert text is not None
    key = office.ring.find(text)
    assert key is not None
    assert (key.scope, key.owner, key.label) == (Scope.WORKER, "team", "left desk")


def test_a_key_is_called_as_the_worker_calls_itself_unless_said(office: Office) -> None:
    pairing = office.start(name="my desk")
    office.confirm(pairing)
    text = office.look(pairing).key

    assert text is not None
    key = office.ring.find(text)
    assert key is not None
    assert key.label == "my desk"
    assert key.owner == key.id


def test_a_key_is_told_once(office: Office) -> None:
    pairing = office.start()
    office.confirm(pairing)
    office.look(pairing)

    assert office.look(pairing) == Seen(PairingState.PAIRED)
    assert len(office.ring.all) == 1


def test_there_is_no_key_before_its_worker_fetches_it(office: Office) -> None:
    pairing = office.start()
    office.confirm(pairing)

    assert list(office.ring.all) == []


def test_a_worker_that_has_gone_is_not_handed_the_key(office: Office) -> None:
    pairing = office.start()
    office.confirm(pairing)

    assert office.look(pairing, goes_on=lambda: False) == Seen(PairingState.CONFIRMED)
    assert list(office.ring.all) == []
    assert office.look(pairing).key is not None


def test_a_key_that_could_not_be_written_is_made_when_the_worker_asks_again(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    pairing = office.start()
    office.confirm(pairing)

    async def fail(new: Any) -> Any:
        raise StoreFailed

    with monkeypatch.context() as patch:
        patch.setattr(office.ring, "create", fail)
        with pytest.raises(StoreFailed):
            office.look(pairing)

    assert office.look(pairing).key is not None


def test_a_code_is_good_for_two_minutes(office: Office) -> None:
    pairing = office.start()
    office.clock.advance(PAIRING_SECONDS)

    assert office.look(pairing) == Seen(PairingState.EXPIRED)
    assert list(office.desk.pending) == []
    with pytest.raises(Conflict):
        office.confirm(pairing)


def test_a_confirmed_key_that_nobody_fetches_is_never_made(office: Office) -> None:
    pairing = office.start()
    office.confirm(pairing)
    office.clock.advance(FETCH_SECONDS)

    assert office.look(pairing) == Seen(PairingState.EXPIRED)
    assert list(office.ring.all) == []


def test_one_that_was_confirmed_late_can_still_be_fetched(office: Office) -> None:
    pairing = office.start()
    office.clock.advance(PAIRING_SECONDS - 1)
    office.confirm(pairing)
    office.clock.advance(FETCH_SECONDS - 1)

    assert office.look(pairing).key is not None


def test_five_wrong_codes_end_it_even_for_the_right_one(office: Office) -> None:
    pairing = office.start()
    office.fail(pairing, MAX_WRONG_CODES)

    with pytest.raises(Conflict):
        office.confirm(pairing)
    assert office.look(pairing) == Seen(PairingState.WRONG_CODES)


def test_four_wrong_codes_do_not_end_it(office: Office) -> None:
    pairing = office.start()
    office.fail(pairing, MAX_WRONG_CODES - 1)

    office.confirm(pairing)
    assert office.look(pairing).key is not None


def test_how_many_tries_are_left_is_told(office: Office) -> None:
    pairing = office.start()

    with pytest.raises(InvalidValue, match="4 tries are left"):
        office.confirm(pairing, wrong(pairing))


@pytest.mark.parametrize("code", ["", "1", "x" * 8, "１２３４５６７８"])
def test_what_is_no_code_is_a_wrong_one(code: str, office: Office) -> None:
    pairing = office.start()

    with pytest.raises(InvalidValue):
        office.confirm(pairing, code)


def test_wrong_codes_for_one_do_not_end_another(office: Office) -> None:
    pairing, other = office.start(), office.start(OTHER)
    office.fail(other, MAX_WRONG_CODES)

    assert [p.id for p in office.desk.pending] == [pairing.id]
    office.confirm(pairing)


def test_the_code_of_one_does_not_confirm_another(office: Office) -> None:
    pairing, other = office.start(), office.start(OTHER)

    with pytest.raises(InvalidValue):
        office.confirm(other, pairing.code)
    assert office.look(other, OTHER) == Seen(PairingState.PENDING)


def test_a_refused_worker_is_told_so(office: Office) -> None:
    pairing = office.start()
    office.desk.refuse(pairing.id)

    assert office.look(pairing) == Seen(PairingState.REFUSED)
    with pytest.raises(Conflict):
        office.confirm(pairing)


def test_a_confirmed_one_cannot_be_refused_or_confirmed_again(office: Office) -> None:
    pairing = office.start()
    office.confirm(pairing)

    with pytest.raises(Conflict):
        office.desk.refuse(pairing.id)
    with pytest.raises(Conflict):
        office.confirm(pairing)


def test_a_pairing_is_not_there_for_another_nonce(office: Office) -> None:
    pairing = office.start()
    office.confirm(pairing)

    with pytest.raises(NotFound):
        office.look(pairing, OTHER)
    assert office.look(pairing).key is not None


def test_an_unknown_pairing_is_not_there(office: Office) -> None:
    nobody = PairingId("pair_0")

    with pytest.raises(NotFound):
        run(office.desk.wait(nobody, NONCE, 0.0, lambda: True))
    with pytest.raises(NotFound):
        office.desk.confirm(nobody, "12345678", Grant())
    with pytest.raises(NotFound):
        office.desk.refuse(nobody)


def test_who_begins_twice_with_one_nonce_has_one_pairing(office: Office) -> None:
    assert office.start() == office.start()
    assert len(office.desk.pending) == 1


@pytest.mark.parametrize("end", ["refuse", "expire", "pair"])
def test_a_nonce_is_good_for_one_pairing(end: str, office: Office) -> None:
    pairing = office.start()
    if end == "refuse":
        office.desk.refuse(pairing.id)
    elif end == "expire":
        office.clock.advance(PAIRING_SECONDS)
    else:
        office.confirm(pairing)
        office.look(pairing)

    with pytest.raises(Conflict):
        office.start()


def test_an_end_is_told_for_a_while_and_then_forgotten(office: Office) -> None:
    pairing = office.start()
    office.desk.refuse(pairing.id)
    office.clock.advance(TOLD_SECONDS - 1)
    assert office.look(pairing) == Seen(PairingState.REFUSED)

    office.clock.advance(1)
    with pytest.raises(NotFound):
        office.look(pairing)


def test_only_so_many_wait_at_once(office: Office) -> None:
    for number in range(MAX_PENDING):
        office.start(f"{number}" * 43, address=f"address {number}")

    with pytest.raises(LimitReached) as refused:
        office.start()
    assert refused.value.retry_after_seconds == PAIRING_SECONDS
    office.clock.advance(PAIRING_SECONDS)
    office.start()


def test_one_address_begins_only_so_many_in_a_minute(office: Office) -> None:
    def begin(number: int) -> None:
        office.desk.refuse(office.start(f"nonce-{number:040}").id)

    for number in range(MAX_STARTS):
        begin(number)
    with pytest.raises(LimitReached):
        begin(MAX_STARTS)

    office.start(OTHER, address="elsewhere")
    office.clock.advance(MINUTE)
    begin(MAX_STARTS + 1)


def test_where_no_key_is_asked_for_nothing_is_paired(office: Office) -> None:
    """The first key would shut out everybody who has none."""
    pairing = office.start()
    office.is_needed = False

    with pytest.raises(Conflict):
        office.start(OTHER)
    with pytest.raises(Conflict):
        office.confirm(pairing)


def test_only_so_many_calls_wait_for_one_pairing(office: Office) -> None:
    pairing = office.start()

    async def crowd() -> list[Seen]:
        waits = [asyncio.create_task(office.wait(pairing)) for _ in range(MAX_WAITING)]
        await asyncio.sleep(0)
        with pytest.raises(LimitReached):
            await office.wait(pairing)
        office.desk.refuse(pairing.id)
        return await asyncio.gather(*waits)

    assert run(crowd()) == [Seen(PairingState.REFUSED)] * MAX_WAITING
    assert office.look(pairing) == Seen(PairingState.REFUSED)


def test_of_several_calls_that_wait_one_is_handed_the_key(office: Office) -> None:
    pairing = office.start()

    async def crowd() -> list[Seen]:
        waits = [asyncio.create_task(office.wait(pairing)) for _ in range(MAX_WAITING)]
        await asyncio.sleep(0)
        office.confirm(pairing)
        return await asyncio.gather(*waits)

    told = run(crowd())
    assert sum(seen.key is not None for seen in told) == 1
    assert {seen.state for seen in told} == {PairingState.PAIRED}
    assert len(office.ring.all) == 1


def test_those_that_wait_differ_in_code_and_words(office: Office) -> None:
    pairings = [office.start(f"{n}" * 43, address=f"address {n}") for n in range(MAX_PENDING)]

    assert len({p.code for p in pairings}) == MAX_PENDING
    assert len({p.words for p in pairings}) == MAX_PENDING
    for pairing in pairings:
        assert len(pairing.code) == 8
        assert pairing.code.isdecimal()
        assert len(pairing.words) == 3


def test_words_follow_from_nonce_and_salt() -> None:
    assert words_of(NONCE, b"salt") == words_of(NONCE, b"salt")
    assert words_of(NONCE, b"salt") != words_of(OTHER, b"salt")
    assert words_of(NONCE, b"salt") != words_of(NONCE, b"another")


def test_the_nonce_itself_is_not_kept(office: Office) -> None:
    assert NONCE not in repr(office.start())
