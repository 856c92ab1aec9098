from typing import Any

import pytest

from broker.errors import IdempotencyConflict
from broker.jobs import Job, JobState
from broker.repeats import (
    GUESS_SECONDS,
    KEY_SECONDS,
    REPEAT_SECONDS,
    KnownRequest,
    RequestKey,
    finds,
)
from tests.support.builders import NOW, a_job

CHOSEN = RequestKey("key:order-1", "d1", joins=True, is_chosen=True)
REPEAT = RequestKey("body:d1", "d1", joins=True, is_chosen=False)


def known(job: Job, digest: str = "d1") -> KnownRequest:
    return KnownRequest(digest, NOW, job)


def ended(state: JobState, at: float = NOW + 5, **fields: Any) -> Job:
    return a_job(state=state, finished_at=at, **fields)


@pytest.mark.parametrize("key", [CHOSEN, REPEAT])
@pytest.mark.parametrize("state", [JobState.PENDING, JobState.PROCESSING])
def test_a_repeat_finds_the_live_job(key: RequestKey, state: JobState) -> None:
    assert finds(key, known(a_job(state=state)), NOW + 3600)


def test_a_request_that_does_not_say_that_it_repeats_itself_makes_a_new_job() -> None:
    assert not finds(REPEAT._replace(joins=False), known(a_job()), NOW + 1)


def test_a_chosen_key_finds_its_job_for_a_day() -> None:
    completed = known(ended(JobState.COMPLETED, submitted_at=NOW))

    assert finds(CHOSEN, completed, NOW + KEY_SECONDS - 1)
    assert not finds(CHOSEN, completed, NOW + KEY_SECONDS)


def test_a_body_alone_finds_a_job_that_has_just_ended() -> None:
    completed = known(ended(JobState.COMPLETED, NOW + 5, submitted_at=NOW))

    assert finds(REPEAT, completed, NOW + 5 + REPEAT_SECONDS - 1)
    assert not finds(REPEAT, completed, NOW + 5 + REPEAT_SECONDS)


@pytest.mark.parametrize("state", [JobState.FAILED, JobState.CANCELLED])
def test_what_ended_badly_is_tried_again_only_where_nothing_was_spent(state: JobState) -> None:
    assert not finds(CHOSEN, known(ended(state)), NOW + 10)
    assert finds(CHOSEN, known(ended(state, submitted_at=NOW + 1)), NOW + 10)


def test_the_same_key_for_something_else_is_refused() -> None:
    with pytest.raises(IdempotencyConflict):
        finds(CHOSEN, known(a_job(), digest="d2"), NOW + 1)


def test_a_key_whose_time_is_over_may_be_used_for_something_else() -> None:
    assert not finds(CHOSEN, known(a_job(), digest="d2"), NOW + KEY_SECONDS)


def test_a_client_that_repeats_itself_without_saying_so_is_told_its_failure_again() -> None:
    guessed = REPEAT._replace(is_guessed=True)
    failed = known(ended(JobState.FAILED, NOW + 5, submitted_at=NOW))

    assert finds(guessed, failed, NOW + 5 + GUESS_SECONDS - 1)
    assert not finds(guessed, failed, NOW + 5 + GUESS_SECONDS)


@pytest.mark.parametrize("state", [JobState.PENDING, JobState.PROCESSING, JobState.COMPLETED])
def test_such_a_client_may_ask_the_same_twice_where_nothing_failed(state: JobState) -> None:
    guessed = REPEAT._replace(is_guessed=True)
    other = a_job(state=state, submitted_at=NOW)

    assert not finds(guessed, known(other), NOW + 1)
