"""What the clock does: a deadline passes, or a lease is given grace because the broker itself was away."""

from types import SimpleNamespace

import pytest

from broker.deadlines import Expire, Grace
from broker.jobs import Action, Change, Job, JobKind, JobState, Outcome
from broker.leases import Phase
from tests.support.builders import NOW, TIMERS, a_job, a_lease, timers_for
from tests.support.desk import Desk, in_loop


@pytest.fixture
def desk() -> Desk:
    return Desk()


def held(
    phase: Phase | None = Phase.PREPARING, *, kind=JobKind.VIDEO, legacy=False, **fields
) -> Job:
    """A job claimed at NOW; without a phase, its worker has not been heard of since."""
    lease = a_lease(kind, is_legacy=legacy)
    if phase is not None and not legacy:
        lease = lease.advanced(phase, None, NOW).renewed(NOW, TIMERS[kind])
    submitted_at = NOW if phase is not None and phase.is_submitted else None
    given = {
        "state": JobState.PROCESSING,
        "attempt": 1,
        "lease": lease,
        "submitted_at": submitted_at,
        "deadline_at": lease.deadline(TIMERS[kind]),
    }
    return a_job(kind, **(given | fields))


def expired(job: Job, now: float) -> Change | None:
    return Expire(now, timers_for, 0.0)(SimpleNamespace(job=job))


def given_grace(job: Job, now: float) -> Change | None:
    return Grace(now, timers_for)(SimpleNamespace(job=job))


@pytest.mark.parametrize(
    ("job", "deadline"),
    [
        (a_job(), NOW + 86_400),
        (a_job(JobKind.CHAT), NOW + 60),
        (held(None), NOW + 10),
        (held(), NOW + 150),
        (held(kind=JobKind.CHAT), NOW + 60),
        (held(legacy=True), NOW + 300),
    ],
    ids=["waiting video", "waiting chat", "handed out", "video", "chat", "legacy"],
)
def test_nothing_happens_before_the_deadline_and_something_at_it(job: Job, deadline: float) -> None:
    assert expired(job, deadline - 0.1) is None

    change = expired(job, deadline)

    assert change is not None
    assert change.job != job


def test_a_job_that_nobody_took_fails_as_expired() -> None:
    change = expired(a_job(), NOW + 86_400)

    assert change is not None
    assert (change.job.state, change.job.error_code) == (JobState.FAILED, "expired")
    assert change.ended is None


def test_a_result_that_nobody_could_recover_is_lost() -> None:
    job = a_job(submitted_at=NOW, deadline_at=NOW + 900)

    change = expired(job, NOW + 900)

    assert change is not None
    assert (change.job.state, change.job.error_code) == (JobState.FAILED, "result_lost")


def test_a_hand_out_without_a_beat_goes_back_uncounted() -> None:
    change = expired(held(None), NOW + 10)

    assert change is not None
    assert (change.job.state, change.job.losses) == (JobState.PENDING, 0)
    assert (change.job.ready_at, change.job.lease) == (None, None)
    assert change.job.deadline_at == NOW + 86_400
    assert change.ended is not None
    assert change.ended.outcome == Outcome.UNDELIVERED


def test_a_recovery_that_was_never_delivered_is_still_a_recovery() -> None:
    job = held(None, submitted_at=NOW - 100, evidence='{"post_id": "p"}', attempt=2)

    change = expired(job, NOW + 10)

    assert change is not None
    assert change.job.action == Action.RECOVER
    assert change.job.evidence == '{"post_id": "p"}'
    assert change.job.deadline_at == NOW - 100 + 900
    assert change.job.waiting_reason == "recovering"


def test_a_lost_worker_is_counted_and_told_apart_from_a_stuck_one() -> None:
    silent = expired(held(), NOW + 150)
    beating = held(kind=JobKind.CHAT)
    stuck = expired(beating, NOW + 60)

    assert silent is not None
    assert stuck is not None
    assert silent.job.losses == stuck.job.losses == 1
    assert silent.ended is not None
    assert (silent.ended.outcome, silent.ended.failure) == (Outcome.LOST, "lease_expired")
    assert stuck.ended is not None
    assert (stuck.ended.outcome, stuck.ended.failure) == (Outcome.LOST, "no_progress")


@pytest.mark.parametrize("phase", [phase for phase in Phase if phase.is_submitted])
def test_a_worker_lost_after_submit_leaves_a_recovery(phase: Phase) -> None:
    change = expired(held(phase), NOW + 150)

    assert change is not None
    assert (change.job.state, change.job.action) == (JobState.PENDING, Action.RECOVER)


@pytest.mark.parametrize("state", [JobState.COMPLETED, JobState.FAILED, JobState.CANCELLED])
def test_the_clock_does_nothing_to_what_has_ended(state: JobState) -> None:
    over = held().ended(state, NOW)

    assert expired(over, NOW + 10**9) is None
    assert given_grace(over, NOW + 10**9) is None


def test_a_job_that_moved_on_keeps_its_new_deadline() -> None:
    renewed = held(deadline_at=NOW + 200)

    assert expired(renewed, NOW + 199) is None


@pytest.mark.parametrize(
    ("job", "lasts"),
    [
        (held(), 150),
        (held(kind=JobKind.CHAT), 60),
        (held(legacy=True), 300),
        (held(None), 10),
    ],
    ids=["video", "chat", "legacy", "handed out"],
)
def test_grace_gives_a_lease_its_full_time_again(job: Job, lasts: float) -> None:
    change = given_grace(job, NOW + 100)

    assert change is not None
    assert change.job.deadline_at == NOW + 100 + lasts
    assert change.job.state == JobState.PROCESSING


def test_grace_counts_for_an_attempt_that_was_near_its_end() -> None:
    """The run cap ran out while the broker was away: its worker still gets its chance to be heard."""
    change = given_grace(held(Phase.DOWNLOADING), NOW + 3600)

    assert change is not None
    assert change.job.deadline_at == NOW + 3600 + 150
    assert expired(change.job, NOW + 3600 + 149) is None


def test_grace_confirms_nothing() -> None:
    change = given_grace(held(None), NOW + 100)

    assert change is not None
    assert change.job.lease is not None
    assert change.job.lease.confirmed_at is None
    assert given_grace(a_job(), NOW + 100) is None


@pytest.mark.parametrize(("kind", "deadline"), [(JobKind.VIDEO, 24 * 3600), (JobKind.CHAT, 60)])
@in_loop
async def test_a_job_that_nobody_takes_expires(desk: Desk, kind: JobKind, deadline: float) -> None:
    job_id = await desk.submit(kind)

    await desk.passes(deadline - 1)
    assert (await desk.job(job_id)).state == JobState.PENDING
    await desk.passes(1)

    job = await desk.job(job_id)
    assert (job.state, job.error_code) == (JobState.FAILED, "expired")


@in_loop
async def test_time_in_the_queue_is_no_part_of_a_jobs_time_to_run(desk: Desk) -> None:
    await desk.submit()
    await desk.passes(20_000)
    held = await desk.taken()
    for _ in range(14):
        await desk.beat(held)
        await desk.passes(20)
    assert await desk.state(held) == JobState.PROCESSING

    await desk.passes(20)

    assert await desk.state(held) == JobState.PENDING


@in_loop
async def test_progress_keeps_an_attempt_until_its_run_cap(desk: Desk) -> None:
    held = await desk.held(phase=Phase.PREPARING)
    for percent in range(44):
        await desk.passes(20)
        await desk.beat(held, progress=percent)
    assert await desk.state(held) == JobState.PROCESSING

    await desk.passes(20)

    assert await desk.state(held) == JobState.PENDING
