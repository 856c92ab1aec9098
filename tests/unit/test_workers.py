"""The roster: who is here, what they can do, what they were told."""

import pytest

from broker import workers
from broker.ids import WorkerId
from broker.jobs import JobKind
from broker.workers import Directive, Hello, Roster, Worker
from tests.support.builders import NOW, OTHER_WORKER, WORKER

VIDEO, CHAT = JobKind.VIDEO, JobKind.CHAT
BOTH = (VIDEO, CHAT)


def hello(page_state: str = "ready") -> Hello:
    return Hello("desk", "1.0", BOTH, page_state=page_state)


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
