"""What becomes of a job after its attempt failed or was lost. Knows nothing of storage or workers' standing.

The table in `failures.py` says for each class whether it uses up an attempt and what comes next. The rule above
the table: once the site has taken the prompt, "again" means recover, never a second submit.
"""

import json
from typing import assert_never

from broker.failures import RULES, Failure, Next, Rule
from broker.jobs import Job, JobState, OnLost
from broker.leases import Phase, Timers

MAX_LOSSES = 3
BACKOFF_SECONDS = 5.0
BACKOFF_CAP_SECONDS = 300.0
RATE_LIMIT_WAIT_SECONDS = 900.0


def backoff_seconds(losses: int, roll: float) -> float:
    """The pause before the next try: doubles with each loss. `roll` in [0, 1) spreads returns by a quarter."""
    doubled = float(BACKOFF_SECONDS * 2 ** max(0, losses - 1))
    return min(BACKOFF_CAP_SECONDS, doubled) * (1 + roll / 4)


def after_undelivered(job: Job) -> Job:
    """Back at once and uncounted: the hand-out never reached a worker."""
    return _waiting(job, ready_at=None, reason=job.waiting_reason)


def after_loss(job: Job, now: float, timers: Timers, roll: float) -> Job:
    """The job after its worker fell silent."""
    lost = job._replace(losses=job.losses + 1)
    if job.lease and job.lease.is_legacy:
        # It told no phase, so it may have pressed submit: once more could cost twice.
        return lost.ended(JobState.FAILED, now, "timeout", "The worker did not finish in time.")
    if _has_begun(job):
        return _cut_off(lost, now)
    if job.submitted_at is not None:
        return _recovering(lost, now, timers, roll, "result_lost", "The result was lost.")
    return _again(lost, now, roll, "worker_lost", "The worker was lost.")


def after_failure(job: Job, failure: Failure, now: float, timers: Timers, roll: float) -> Job:
    """The job after its worker reported a failure. Raises `KeyError` for a class that is not in the table."""
    rule = RULES[failure.failure_class]
    code, message = failure.failure_class, f"{rule.message} {failure.detail}".strip()
    if rule.counts:
        job = job._replace(losses=job.losses + 1)
    if job.lease and job.lease.is_legacy:
        return job.ended(JobState.FAILED, now, code, failure.detail or message)
    if _was_turned_away(job, rule):
        job = job._replace(submitted_at=None)
    elif rule.is_spent and job.submitted_at is None:
        job = job._replace(submitted_at=now)
    if rule.next == Next.FAIL:
        return job.ended(JobState.FAILED, now, code, message)
    if _has_begun(job):
        return _cut_off(job, now)
    if rule.next == Next.WAIT:
        return _rate_limited(job, failure, now, roll, message)
    if job.submitted_at is not None:
        return _recovering(job, now, timers, roll, code, message)
    if rule.next == Next.HAND_ON:
        return _waiting(job, ready_at=None, reason=code)
    return _again(job, now, roll, code, message)


def after_second(job: Job, failure: Failure, now: float, roll: float) -> Job:
    """The job after a failure that it has had before, and that is recovered from once only."""
    rule, counted = RULES[failure.failure_class], job._replace(losses=job.losses + 1)
    message = f"{rule.message} {failure.detail}".strip()
    return after_recovery(counted, now, roll, failure.failure_class, message)


def _was_turned_away(job: Job, rule: Rule) -> bool:
    """The site refused the prompt as this very attempt pressed submit, and nothing there bears its name."""
    lease = job.lease
    if not rule.is_refusal or lease is None or job.submitted_at is None:
        return False
    is_its_own = job.submitted_at >= lease.claimed_at
    return is_its_own and lease.phase == Phase.SUBMITTED and not _left_a_trace(job.evidence)


def _left_a_trace(evidence: str | None) -> bool:
    """Whether more is known than what was on the page before submit."""
    known = json.loads(evidence) if evidence else {}
    return any(value for name, value in known.items() if name != "baseline")


def _has_begun(job: Job) -> bool:
    """The client has been sent part of the answer, so nothing may start it again unseen."""
    return job.is_streaming and job.next_seq > 0


def _cut_off(job: Job, now: float) -> Job:
    message = "The answer broke off after it had begun."
    return job.ended(JobState.FAILED, now, "stream_interrupted", message)


def after_recovery(job: Job, now: float, roll: float, code: str, message: str) -> Job:
    """The job once its result could not be recovered: `on_lost` says what then."""
    match job.on_lost:
        case OnLost.RETRY:
            # One more submit, which may cost once more; after that there is no further one.
            anew = job._replace(submitted_at=None, evidence=None, on_lost=OnLost.FAIL)
            return _again(anew, now, roll, code, message)
        case OnLost.RECOVER | OnLost.FAIL:
            return job.ended(JobState.FAILED, now, code, message)
        case _:
            assert_never(job.on_lost)


def recovery_ends_at(job: Job, now: float, timers: Timers) -> float:
    """Until when a submitted job that goes back now is recovered.

    By default for the whole run cap; where something else is to follow, for as long as it is kept for the worker
    that submitted it.
    """
    assert job.submitted_at is not None
    if job.on_lost == OnLost.RECOVER:
        return job.submitted_at + timers.run_cap_seconds
    was_recovery = job.lease is not None and job.lease.claimed_at > job.submitted_at
    return now if was_recovery else now + timers.reserve_seconds


def _recovering(job: Job, now: float, timers: Timers, roll: float, code: str, message: str) -> Job:
    """Waiting to be recovered, kept at first for the worker that submitted it."""
    ends_at = recovery_ends_at(job, now, timers)
    if now >= ends_at:
        return after_recovery(job, now, roll, code, message)
    # A lost worker is looked for at once, a failing one after a pause.
    pause = 0.0 if job.losses <= 1 and code == "result_lost" else backoff_seconds(job.losses, roll)
    waiting = _waiting(job, ready_at=now + pause if pause else None, reason="recovering")
    return waiting._replace(
        deadline_at=ends_at,
        reserved_for=job.lease.worker_id if job.lease else None,
        reserved_until=now + pause + timers.reserve_seconds,
    )


def _again(job: Job, now: float, roll: float, code: str, message: str) -> Job:
    if job.losses >= MAX_LOSSES:
        return job.ended(JobState.FAILED, now, code, message)
    return _waiting(job, ready_at=now + backoff_seconds(job.losses, roll), reason=code)


def _rate_limited(job: Job, failure: Failure, now: float, roll: float, message: str) -> Job:
    """Asleep until the limit ends. A job that cannot wait that long is told so at once."""
    ready_at = (failure.retry_at or now + RATE_LIMIT_WAIT_SECONDS) + 5.0 + 25.0 * roll
    if ready_at >= job.queue_deadline_at:
        return job.ended(JobState.FAILED, now, "rate_limited", message)._replace(ready_at=ready_at)
    return _waiting(job, ready_at=ready_at, reason="rate_limited")


def _waiting(job: Job, *, ready_at: float | None, reason: str | None) -> Job:
    back = job if job.state == JobState.PENDING else job.moved(JobState.PENDING)
    return back._replace(
        ready_at=ready_at,
        deadline_at=job.queue_deadline_at,
        waiting_reason=reason,
        # What was seen before a submit that never came is of no use to the next attempt.
        evidence=None if job.submitted_at is None else job.evidence,
        lease=None,
        next_seq=0,
        reserved_for=None,
        reserved_until=None,
    )
