"""The key ring: keys come, last, are used, are rotated and end; the clock is moved by hand."""

import asyncio
from collections.abc import Sequence

import pytest

from broker.errors import InvalidValue, NotFound, StoreFailed
from broker.ids import Owner, WorkerId
from broker.jobs import JobKind
from broker.keyring import KeyRing, Minted, NewKey, caller_of, chosen_key
from broker.keys import DAY_SECONDS, Key, KeyId, Limits, Scope, mint
from broker.keywatch import KeyWatch
from broker.notifier import Notifier, Parked
from broker.store.memory_keyshelf import MemoryKeyShelf
from tests.support.clock import ManualClock
from tests.support.running import run

SECRET = b"s" * 32
HOUR = 3600.0
CHOSEN = "correct-horse-battery-staple"


class SlowShelf(MemoryKeyShelf):
    """Hands out what it read only when it is let; fails when it is told to."""

    def __init__(self) -> None:
        super().__init__()
        self.may_answer = asyncio.Event()
        self.may_answer.set()
        self.trouble: Exception | None = None

    async def all(self) -> Sequence[Key]:
        if self.trouble is not None:
            raise self.trouble
        found = await super().all()
        await self.may_answer.wait()
        return found


class Desk:
    """A broker's ring and the command line's, on one shelf."""

    def __init__(self, *chosen: Key) -> None:
        self.shelf, self.clock = SlowShelf(), ManualClock()
        self.ring = KeyRing(self.shelf, self.clock, SECRET, chosen)
        self.elsewhere = KeyRing(self.shelf, self.clock, SECRET)
        self.notifier = Notifier(10)
        self.notes: list[tuple[str, str]] = []
        self.watch = KeyWatch(self.ring, self.notifier, lambda *note: self.notes.append(note))

    def make(self, scope: Scope = Scope.CLIENT, **terms: object) -> Minted:
        return run(self.ring.create(NewKey(scope, **terms)))  # type: ignore[arg-type]

    def is_good(self, text: str) -> bool:
        """Whether the text opens anything; that is a use."""
        key = self.ring.find(text)
        return key is not None and self.ring.use(key)

    def parked(self, worker: str) -> Parked:
        until = self.clock.now() + 20
        return Parked((JobKind.VIDEO,), WorkerId(worker), until, lambda: True, lambda kind: True)


@pytest.fixture
def desk() -> Desk:
    return Desk()


def test_a_key_counts_at_once_and_is_kept_without_its_text(desk: Desk) -> None:
    minted = desk.make(label="the web client", owner=Owner("alice"), limits=Limits(per_minute=3))

    found = desk.ring.find(minted.text)

    assert found == minted.key
    assert caller_of(minted.key) == (Owner("alice"), Scope.CLIENT, minted.key.id, Limits(3))
    secret = minted.text[12:55]
    assert secret not in repr(run(desk.shelf.all()))
    assert minted.text not in repr(minted)
    assert minted.text not in repr(minted.key)


def test_without_an_owner_a_key_has_jobs_of_its_own(desk: Desk) -> None:
    first, second = desk.make().key, desk.make().key

    assert first.owner == first.id
    assert first.owner != second.owner


def test_what_looks_like_a_key_opens_nothing(desk: Desk) -> None:
    text = desk.make().text
    other = KeyRing(desk.shelf, desk.clock, b"another secret")
    run(other.load())

    assert [
        desk.is_good(wrong) for wrong in ("", mint(Scope.CLIENT), text[:-1], "gba" + text[3:])
    ] == [False] * 4
    assert other.find(text) is None


def test_a_key_ends_when_it_expires_and_not_before(desk: Desk) -> None:
    text = desk.make(days=2.0).text
    desk.clock.advance(2 * DAY_SECONDS - 1)
    assert desk.is_good(text)

    desk.clock.advance(1)

    assert not desk.is_good(text)
    assert desk.ring.has_keys
    assert not desk.ring.has_live_keys


@pytest.mark.parametrize("days", [0.0, -1.0, float("nan"), float("inf"), 36_500.0])
def test_days_that_no_key_can_last_are_refused(desk: Desk, days: float) -> None:
    with pytest.raises(InvalidValue, match="days"):
        desk.make(days=days)


def test_a_revoked_key_is_over_and_stays_over(desk: Desk) -> None:
    minted = desk.make()

    over = run(desk.ring.revoke(minted.key.id))
    desk.clock.advance(5)

    assert not desk.is_good(minted.text)
    assert run(desk.ring.revoke(minted.key.id)).revoked_at == over.revoked_at
    run(desk.ring.load())
    assert not desk.is_good(minted.text)
    assert desk.ring.has_keys


def test_a_rotated_key_lasts_for_the_grace_beside_the_new_one(desk: Desk) -> None:
    limits = Limits(daily_jobs=7)
    old = desk.make(owner=Owner("alice"), label="app", days=10.0, limits=limits)

    new = run(desk.ring.rotate(old.key.id, HOUR))

    assert new.key[1:4] == old.key[1:4]
    assert new.key.limits == limits
    assert new.key.expires_at == desk.clock.now() + 10 * DAY_SECONDS
    assert desk.is_good(old.text)
    assert desk.is_good(new.text)
    desk.clock.advance(HOUR)
    assert not desk.is_good(old.text)
    assert desk.is_good(new.text)


def test_without_grace_the_old_key_is_over_at_once(desk: Desk) -> None:
    old = desk.make()

    new = run(desk.ring.rotate(old.key.id))

    assert (desk.is_good(old.text), desk.is_good(new.text)) == (False, True)


def test_a_grace_gives_no_key_more_time_than_it_had(desk: Desk) -> None:
    old = desk.make(days=1.0)

    run(desk.ring.rotate(old.key.id, 48 * HOUR))

    desk.clock.advance(DAY_SECONDS)
    assert not desk.is_good(old.text)


@pytest.mark.parametrize("grace", [-1.0, float("nan"), float("inf"), 366 * DAY_SECONDS])
def test_a_grace_that_is_none_is_refused(desk: Desk, grace: float) -> None:
    old = desk.make()

    with pytest.raises(InvalidValue, match="grace"):
        run(desk.ring.rotate(old.key.id, grace))

    assert desk.is_good(old.text)


def test_a_key_that_has_ended_is_not_rotated(desk: Desk) -> None:
    revoked, expired = desk.make(), desk.make(days=1.0)
    run(desk.ring.revoke(revoked.key.id))
    desk.clock.advance(DAY_SECONDS)

    for old in (revoked, expired):
        with pytest.raises(InvalidValue, match="has ended"):
            run(desk.ring.rotate(old.key.id, HOUR))


def test_a_workers_key_lasts_as_long_as_it_is_used(desk: Desk) -> None:
    text = desk.make(Scope.WORKER).text
    for _ in range(5):
        desk.clock.advance(170 * DAY_SECONDS)
        assert desk.is_good(text)
        run(desk.watch.look())

    desk.clock.advance(180 * DAY_SECONDS)

    assert not desk.is_good(text)


def test_a_workers_key_with_an_end_of_its_own_is_not_lengthened_by_use(desk: Desk) -> None:
    text = desk.make(Scope.WORKER, days=3.0).text
    desk.clock.advance(2 * DAY_SECONDS)
    assert desk.is_good(text)
    run(desk.watch.look())

    desk.clock.advance(DAY_SECONDS)

    assert not desk.is_good(text)


def test_use_during_the_grace_does_not_undo_the_rotation(desk: Desk) -> None:
    old = desk.make(Scope.WORKER)
    new = run(desk.ring.rotate(old.key.id, HOUR))
    desk.clock.advance(HOUR / 2)
    assert desk.is_good(old.text)
    run(desk.watch.look())

    desk.clock.advance(HOUR / 2)

    assert not desk.is_good(old.text)
    assert new.key.expires_at == old.key.expires_at


def test_last_use_is_noted_to_the_minute(desk: Desk) -> None:
    minted = desk.make()
    used_at = desk.clock.now()
    desk.is_good(minted.text)
    run(desk.watch.look())
    desk.clock.advance(30)
    desk.is_good(minted.text)
    run(desk.watch.look())

    assert run(desk.shelf.all())[0].last_used_at == used_at

    desk.clock.advance(30)
    desk.is_good(minted.text)
    run(desk.watch.look())
    assert run(desk.shelf.all())[0].last_used_at == used_at + 60


def test_what_the_command_line_does_counts_after_the_next_reading(desk: Desk) -> None:
    made = run(desk.elsewhere.create(NewKey(Scope.CLIENT)))
    assert not desk.is_good(made.text)

    run(desk.ring.load())
    assert desk.is_good(made.text)

    run(desk.elsewhere.revoke(made.key.id))
    assert run(desk.ring.load()) == [made.key.id]
    assert not desk.is_good(made.text)


def test_a_use_that_is_noted_late_does_not_revive_a_revoked_key(desk: Desk) -> None:
    minted = desk.make(Scope.WORKER)
    run(desk.elsewhere.load())
    desk.is_good(minted.text)
    run(desk.elsewhere.revoke(minted.key.id))

    run(desk.ring.note_use())
    run(desk.ring.load())

    assert not desk.is_good(minted.text)
    assert run(desk.shelf.all())[0].revoked_at is not None


def test_a_key_that_is_made_or_revoked_during_a_reading_stays_as_it_is(desk: Desk) -> None:
    async def scene() -> None:
        old = await desk.ring.create(NewKey(Scope.CLIENT))
        desk.shelf.may_answer.clear()
        reading = asyncio.create_task(desk.ring.load())
        await asyncio.sleep(0)
        writing = asyncio.gather(
            desk.ring.create(NewKey(Scope.CLIENT)), desk.ring.revoke(old.key.id)
        )
        await asyncio.sleep(0)
        desk.shelf.may_answer.set()
        new, _ = await writing
        await reading

        assert desk.is_good(new.text)
        assert not desk.is_good(old.text)

    run(scene())


def test_a_key_that_has_ended_is_forgotten_and_no_other(desk: Desk) -> None:
    minted = desk.make()
    with pytest.raises(InvalidValue, match="revoke it first"):
        run(desk.ring.forget(minted.key.id))
    run(desk.ring.revoke(minted.key.id))

    run(desk.ring.forget(minted.key.id))

    assert not desk.ring.has_keys
    for deed in (desk.ring.forget, desk.ring.revoke, desk.ring.rotate):
        with pytest.raises(NotFound):
            run(deed(minted.key.id))  # type: ignore[arg-type]


def test_keys_of_the_environment_count_and_are_changed_there_alone() -> None:
    chosen = chosen_key(Scope.ADMIN, CHOSEN, SECRET)
    desk = Desk(chosen)

    assert desk.ring.find(CHOSEN) == chosen
    assert desk.ring.find(CHOSEN + "x") is None
    assert desk.ring.has_keys
    assert run(desk.shelf.all()) == []
    assert CHOSEN not in repr(desk.ring.all)
    with pytest.raises(NotFound, match="environment"):
        run(desk.ring.revoke(chosen.id))
    with pytest.raises(InvalidValue, match="24"):
        chosen_key(Scope.ADMIN, "x" * 23, SECRET)


# What becomes of polls.


def test_a_key_that_ends_takes_its_workers_polls_with_it_and_is_noted_once(desk: Desk) -> None:
    revoked, expiring, other = (desk.make(Scope.WORKER, days=days) for days in (None, 1.0, None))

    async def scene() -> None:
        await desk.watch.look()
        polls = [desk.parked(f"{minted.key.id}:desk") for minted in (revoked, expiring, other)]
        with (
            desk.notifier.parked(polls[0]),
            desk.notifier.parked(polls[1]),
            desk.notifier.parked(polls[2]),
        ):
            await desk.ring.revoke(revoked.key.id)
            await desk.watch.look()
            assert [poll.is_over for poll in polls] == [True, False, False]
            desk.clock.advance(DAY_SECONDS)
            await desk.watch.look()
            await desk.watch.look()
            assert [poll.is_over for poll in polls] == [True, True, False]

    run(scene())
    assert desk.notes == [("key_ended", revoked.key.id), ("key_ended", expiring.key.id)]


def test_the_first_key_ends_the_polls_that_came_without_one(desk: Desk) -> None:
    async def scene() -> None:
        poll = desk.parked("desk")
        with desk.notifier.parked(poll):
            await desk.watch.look()
            assert not poll.is_over
            await desk.elsewhere.create(NewKey(Scope.WORKER))
            await desk.watch.look()
            assert poll.is_over

    run(scene())


def test_a_reading_that_fails_leaves_the_keys_in_force_and_is_noted_once(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    minted = desk.make()
    monkeypatch.setattr("broker.keywatch.ROUND_SECONDS", 0.0)

    async def scene() -> None:
        desk.shelf.trouble = StoreFailed()
        desk.watch.start()
        for _ in range(50):
            await asyncio.sleep(0)
        assert desk.is_good(minted.text)
        desk.shelf.trouble = None
        await desk.elsewhere.load()
        await desk.elsewhere.revoke(minted.key.id)
        for _ in range(50):
            await asyncio.sleep(0)
        assert not desk.is_good(minted.text)
        await desk.watch.stop()

    run(scene())
    assert [event for event, _ in desk.notes] == ["keys_unread", "key_ended"]
    assert desk.notes[1][1] == KeyId(minted.key.id)
