"""What a job is, which moves there are, and where a new one stands in the queue."""

from itertools import product

import pytest

from broker.errors import AlreadyFinished
from broker.jobs import Action, Job, JobKind, JobState, OnLost
from broker.leases import Phase
from broker.submissions import PRIORITIES, turn
from tests.support.builders import NOW, TIMERS, WORKER, a_job, a_lease, a_new_job

#: The drawing in the design: pending and processing go on, the other three are the end.
WAYS = {
    JobState.PENDING: {"processing", "completed", "failed", "cancelled"},
    JobState.PROCESSING: {"pending", "completed", "failed", "cancelled"},
}


def test_states_and_kinds_are_the_seeds_words() -> None:
    assert list(JobState) == ["pending", "processing", "completed", "failed", "cancelled"]
    assert list(JobKind) == ["video", "image", "chat"]
    assert [kind for kind in JobKind if kind.leaves_files] == ["video", "image"]
    assert list(OnLost) == ["recover", "retry", "fail"]
    assert list(Action) == ["submit", "recover"]
    phases = ["assigned", "preparing", "submitted", "generating", "downloading", "uploading"]
    assert list(Phase) == phases


@pytest.mark.parametrize(("start", "end"), list(product(JobState, JobState)))
def test_a_job_moves_by_the_table_and_no_other_way(start: JobState, end: JobState) -> None:
    job = a_job(state=start)

    if end in WAYS.get(start, set()):
        assert job.moved(end).state == end
    else:
        with pytest.raises(AlreadyFinished):
            job.moved(end)


@pytest.mark.parametrize("state", list(JobState))
def test_the_last_three_states_are_final(state: JobState) -> None:
    assert state.is_final == (state not in WAYS)


@pytest.mark.parametrize("state", [JobState.COMPLETED, JobState.FAILED, JobState.CANCELLED])
def test_nothing_waits_for_a_job_that_has_ended(state: JobState) -> None:
    job = a_job(
        ready_at=NOW + 5, reserved_for=WORKER, reserved_until=NOW + 30, waiting_reason="recovering"
    )

    ended = job.ended(state, NOW + 1, "some_code", "Some words.")

    assert ended.finished_at == NOW + 1
    assert ended.deadline_at == float("inf")
    assert (ended.ready_at, ended.reserved_for, ended.reserved_until) == (None, None, None)
    assert ended.waiting_reason is None
    assert (ended.error_code, ended.error_message) == ("some_code", "Some words.")


def test_a_job_whose_prompt_was_taken_is_recovered_and_never_submitted() -> None:
    assert a_job().action == Action.SUBMIT
    assert a_job(submitted_at=NOW).action == Action.RECOVER


def test_phase_and_progress_are_those_of_the_present_lease() -> None:
    lease = a_lease().advanced(Phase.GENERATING, 40, NOW)
    held = a_job(state=JobState.PROCESSING, lease=lease)

    assert (held.phase, held.progress) == (Phase.GENERATING, 40)
    for state in (JobState.PENDING, JobState.FAILED, JobState.CANCELLED):
        assert (held._replace(state=state).phase, held._replace(state=state).progress) == (None, 0)
    assert held.ended(JobState.COMPLETED, NOW).progress == 100


def test_a_job_cannot_be_changed_behind_anybodys_back() -> None:
    with pytest.raises(AttributeError):
        setattr(a_job(), "state", JobState.COMPLETED)  # noqa: B010 - that it cannot is the claim


@pytest.mark.parametrize(("kind", "waits"), [(JobKind.VIDEO, 24 * 3600), (JobKind.CHAT, 60)])
def test_a_new_job_is_pending_with_a_deadline(kind: JobKind, waits: float) -> None:
    job: Job = a_new_job(kind, priority=3).job(NOW, TIMERS[kind])

    assert (job.state, job.attempt, job.losses) == (JobState.PENDING, 0, 0)
    assert job.deadline_at == job.queue_deadline_at == NOW + waits
    assert (job.lease, job.submitted_at, job.evidence) == (None, None, None)
    assert job.turn == turn(NOW, 3)


def test_each_new_job_has_a_name_of_its_own() -> None:
    first, second = (a_new_job().job(NOW, TIMERS[JobKind.VIDEO]) for _ in range(2))

    assert first.id != second.id


def test_of_equals_the_older_goes_first() -> None:
    assert turn(NOW, 0) < turn(NOW + 1, 0)


def test_a_step_of_priority_is_worth_two_minutes_of_waiting() -> None:
    for priority in PRIORITIES[1:]:
        assert turn(NOW + 119, priority) < turn(NOW, priority - 1)
        assert turn(NOW + 121, priority) > turn(NOW, priority - 1)


def test_waiting_outweighs_any_priority_in_the_end() -> None:
    assert turn(NOW, min(PRIORITIES)) < turn(NOW + 3600, max(PRIORITIES))
