"""Workers: who is here, what they can do, what they were told, and which of those that wait is woken."""

import asyncio
from typing import Any

import pytest

from broker import workers
from broker.handouts import Assignment
from broker.ids import WorkerId
from broker.jobs import Action, JobKind
from broker.leases import Phase
from broker.store.memory import MemoryStore
from broker.workers import Directive, Hello, Roster, Worker
from tests.support.builders import NOW, OTHER_WORKER, WORKER
from tests.support.desk import Desk, Gate, in_loop, turns

VIDEO, CHAT = JobKind.VIDEO, JobKind.CHAT
BOTH = (VIDEO, CHAT)


def hello(page_state: str = "ready") -> Hello:
    return Hello("desk", "1.0", BOTH, page_state=page_state)


@pytest.fixture
def desk() -> Desk:
    return Desk()


@pytest.fixture
def roster() -> Roster:
    return Roster()


@pytest.fixture
def worker(roster: Roster) -> Worker:
    return roster.greet(WORKER, hello(), NOW)


def test_a_worker_that_never_said_hello_is_known_by_its_polls(roster: Roster) -> None:
    polled = roster.see(WORKER, (VIDEO,), NOW)

    assert roster.find(WORKER) is polled
    assert polled.hello is None
    assert roster.open_kinds(polled, (VIDEO,), NOW) == [VIDEO]
    assert roster.find(OTHER_WORKER) is None


def test_a_worker_is_here_for_ninety_seconds_after_its_last_call(roster: Roster) -> None:
    roster.see(WORKER, BOTH, NOW)
    roster.see(OTHER_WORKER, BOTH, NOW + 30)

    assert [w.id for w in roster.present(NOW + 90)] == [WORKER, OTHER_WORKER]
    assert [w.id for w in roster.present(NOW + 91)] == [OTHER_WORKER]
    assert roster.present(NOW + 121) == []


def test_a_sign_of_life_without_kinds_leaves_the_kinds_as_they_were(
    roster: Roster, worker: Worker
) -> None:
    roster.see(WORKER, (), NOW + 5)

    assert worker.kinds == BOTH
    assert worker.last_seen_at == NOW + 5
    assert worker.first_seen_at == NOW


def test_it_is_known_when_a_kind_was_last_served(roster: Roster) -> None:
    roster.see(WORKER, (VIDEO,), NOW)
    roster.see(OTHER_WORKER, BOTH, NOW - 50)

    assert roster.last_seen_at(VIDEO) == NOW
    assert roster.last_seen_at(CHAT) == NOW - 50
    assert Roster().last_seen_at(VIDEO) is None


def test_a_worker_set_aside_gets_nothing_of_that_kind_and_hears_why(
    roster: Roster, worker: Worker
) -> None:
    roster.set_aside(WORKER, VIDEO, "ui_changed", None)

    assert roster.open_kinds(worker, BOTH, NOW + 10**6) == [CHAT]
    assert roster.skipped(worker, BOTH, NOW + 10**6) == {VIDEO: "ui_changed"}


def test_a_limit_ends_by_itself(roster: Roster, worker: Worker) -> None:
    roster.set_aside(WORKER, VIDEO, "rate_limited", NOW + 600)

    assert roster.open_kinds(worker, BOTH, NOW + 599) == [CHAT]
    assert roster.open_kinds(worker, BOTH, NOW + 600) == [VIDEO, CHAT]


def test_a_hello_says_that_it_has_looked_again(roster: Roster, worker: Worker) -> None:
    roster.set_aside(WORKER, VIDEO, "not_logged_in", None)

    roster.greet(WORKER, hello(), NOW + 60)

    assert roster.open_kinds(worker, BOTH, NOW + 60) == [VIDEO, CHAT]


@pytest.mark.parametrize("state", ["needs_login", "needs_human", "paywalled", "selector_missing"])
def test_a_page_that_is_not_ready_gets_nothing(roster: Roster, state: str) -> None:
    worker = roster.greet(WORKER, hello(state), NOW)

    assert roster.open_kinds(worker, BOTH, NOW) == []
    assert roster.skipped(worker, BOTH, NOW) == {VIDEO: state, CHAT: state}

    roster.greet(WORKER, hello(), NOW + 1)
    assert roster.open_kinds(worker, BOTH, NOW + 1) == [VIDEO, CHAT]


def test_setting_aside_a_stranger_is_no_error(roster: Roster) -> None:
    roster.set_aside(WORKER, VIDEO, "ui_changed", None)

    assert roster.find(WORKER) is None


@pytest.mark.parametrize("directive", [Directive.PAUSE, Directive.DRAIN])
def test_a_paused_worker_gets_nothing_until_it_is_resumed(
    roster: Roster, worker: Worker, directive: Directive
) -> None:
    roster.tell(WORKER, directive)
    roster.greet(WORKER, hello(), NOW + 1)
    assert roster.open_kinds(worker, BOTH, NOW + 1) == []
    assert roster.skipped(worker, BOTH, NOW + 1) == {VIDEO: "paused", CHAT: "paused"}

    roster.tell(WORKER, Directive.RESUME)
    assert roster.open_kinds(worker, BOTH, NOW + 2) == [VIDEO, CHAT]


def test_a_directive_is_told_once_and_in_order(roster: Roster, worker: Worker) -> None:
    assert roster.tell(WORKER, Directive.RELOAD_PAGE)
    assert roster.tell(WORKER, Directive.SELF_TEST)

    assert roster.take_directives(WORKER) == [Directive.RELOAD_PAGE, Directive.SELF_TEST]
    assert roster.take_directives(WORKER) == []


def test_a_stranger_is_told_nothing(roster: Roster) -> None:
    assert not roster.tell(WORKER, Directive.PAUSE)
    assert roster.take_directives(WORKER) == []


def test_directives_are_those_of_the_protocol() -> None:
    assert set(Directive) == {
        "cancel",
        "pause",
        "resume",
        "drain",
        "reload_page",
        "refresh_capabilities",
        "self_test",
        "update_pack",
    }


def test_of_too_many_workers_the_one_silent_longest_is_forgotten(
    roster: Roster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(workers, "MAX_WORKERS", 2)
    names = [WorkerId(name) for name in ("first", "second", "third")]
    roster.see(names[0], BOTH, NOW)
    roster.see(names[1], BOTH, NOW + 1)
    roster.see(names[0], BOTH, NOW + 2)

    roster.see(names[2], BOTH, NOW + 3)

    assert [roster.find(name) is not None for name in names] == [True, False, True]


class Counting(MemoryStore):
    """Counts claims, and holds one up where it is told to."""

    claims = 0
    gate: Gate | None = None

    async def claim(self, grants, now):  # type: ignore[no-untyped-def,override]
        self.claims += 1
        taken = await super().claim(grants, now)
        if gate := self.gate:
            self.gate = None
            await gate.passed()
        return taken


async def parked(desk: Desk, *kinds: JobKind, **poll: Any) -> "asyncio.Task[Assignment | None]":
    before = desk.notifier.parked_count
    task = asyncio.create_task(desk.claim(*kinds, wait=20.0, **poll))
    await turns()
    assert desk.notifier.parked_count == before + 1
    return task


@in_loop
async def test_a_job_wakes_exactly_one_poll(desk: Desk) -> None:
    desk.use(store := Counting())
    polls = [await parked(desk) for _ in range(20)]
    assert store.claims == 20

    job_id = await desk.submit()
    await turns()

    assert store.claims == 21
    handed = await polls[0]
    assert handed is not None
    assert handed.job.id == job_id
    assert not any(poll.done() for poll in polls[1:])
    desk.notifier.drain()
    assert await asyncio.gather(*polls[1:]) == [None] * 19


@in_loop
async def test_dead_polls_take_nothing_and_keep_nobody_waiting(desk: Desk) -> None:
    alive = True
    dead = [await parked(desk, is_alive=lambda: alive) for _ in range(10)]
    live = await parked(desk, worker=OTHER_WORKER)
    alive = False

    job_id = await desk.submit()

    handed = await live
    assert handed is not None
    assert handed.job.id == job_id
    assert await asyncio.gather(*dead) == [None] * 10


@in_loop
async def test_a_job_that_comes_while_a_poll_looks_is_not_missed(desk: Desk) -> None:
    desk.use(store := Counting())
    store.gate = gate = Gate()
    poll = asyncio.create_task(desk.claim(wait=20.0))
    await gate.reached.wait()

    job_id = await desk.submit()
    gate.open()

    handed = await poll
    assert handed is not None
    assert handed.job.id == job_id


@in_loop
async def test_a_poll_that_is_served_otherwise_hands_its_wake_up_on(desk: Desk) -> None:
    """It looked and took a chat; the video that came meanwhile had woken it and nobody else."""
    desk.use(store := Counting())
    await desk.submit(CHAT)
    store.gate = gate = Gate()
    first = asyncio.create_task(desk.claim(VIDEO, CHAT, wait=20.0))
    await gate.reached.wait()
    second = await parked(desk, VIDEO, worker=OTHER_WORKER)

    job_id = await desk.submit(VIDEO)
    gate.open()

    taken, handed = await first, await second
    assert taken is not None
    assert handed is not None
    assert (taken.job.kind, handed.job.id) == (CHAT, job_id)


@pytest.mark.parametrize("how", ["dies", "is cancelled", "runs out"])
@in_loop
async def test_a_poll_that_goes_once_it_is_woken_hands_its_wake_up_on(desk: Desk, how: str) -> None:
    alive = True
    going = await parked(desk, is_alive=lambda: alive)
    staying = await parked(desk, worker=OTHER_WORKER)

    job_id = await desk.submit()
    assert not going.done()
    if how == "dies":
        alive = False
    elif how == "is cancelled":
        going.cancel()
    else:
        desk.notifier.end_polls(lambda worker: worker == WORKER)

    handed = await staying
    assert handed is not None
    assert handed.job.id == job_id
    await asyncio.gather(going, return_exceptions=True)


@in_loop
async def test_a_worker_that_is_set_aside_keeps_no_job_from_the_others(desk: Desk) -> None:
    desk.roster.see(WORKER, (VIDEO,), NOW)
    desk.roster.set_aside(WORKER, VIDEO, "ui_changed", None)
    await parked(desk, VIDEO)
    able = await parked(desk, VIDEO, worker=OTHER_WORKER)

    job_id = await desk.submit()

    handed = await able
    assert handed is not None
    assert handed.job.id == job_id


@in_loop
async def test_the_worker_that_knows_a_result_is_woken_to_recover_it(desk: Desk) -> None:
    held = await desk.held(phase=Phase.GENERATING)
    other = await parked(desk, worker=OTHER_WORKER)
    knowing = await parked(desk, worker=WORKER)
    desk.clock.advance(150)

    await desk.queue.expire(held.job.id)

    again = await knowing
    assert again is not None
    assert (again.job.id, again.action) == (held.job.id, Action.RECOVER)
    assert not other.done()


@in_loop
async def test_a_poll_ends_with_nothing_when_its_time_is_over(desk: Desk) -> None:
    poll = await parked(desk)
    desk.clock.advance(20)

    desk.notifier.sweep(desk.clock.now())

    assert await poll is None


@in_loop
async def test_draining_lets_every_poll_go(desk: Desk) -> None:
    polls = [await parked(desk) for _ in range(20)]

    desk.notifier.drain()

    assert await asyncio.gather(*polls) == [None] * 20
