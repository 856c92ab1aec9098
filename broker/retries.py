"""What becomes of a job after its attempt failed or was lost. Knows nothing of storage or workers' standing.

One table says for each failure class whether it uses up an attempt and what comes next. The rule above the
table: once the site has taken the prompt, "again" means recover, never a second submit.
"""

import json
from enum import StrEnum
from typing import Literal, NamedTuple, assert_never

from broker.jobs import Job, JobState, OnLost
from broker.leases import Phase, Timers

MAX_LOSSES = 3
BACKOFF_SECONDS = 5.0
BACKOFF_CAP_SECONDS = 300.0
RATE_LIMIT_WAIT_SECONDS = 900.0


class Next(StrEnum):
    AGAIN = "again"
    #: As again, at once: the fault lies with this worker, another may take it.
    HAND_ON = "hand_on"
    WAIT = "wait"
    RECOVER = "recover"
    FAIL = "fail"


class Standing(StrEnum):
    """What a failure says of the worker that reported it."""

    #: Nothing.
    FINE = "fine"
    #: It takes no job of this kind until it says hello again.
    SET_ASIDE = "set_aside"


class Rule(NamedTuple):
    counts: bool
    next: Next
    #: Said right after submit was pressed, it means that the site refused the prompt: nothing was spent.
    is_unspent: bool
    #: It happens only after the site took the prompt, whatever phase the worker had told.
    is_spent: bool
    standing: Standing
    message: str


def _rule(
    next_: Next,
    message: str,
    *,
    counts: bool = False,
    unspent: bool = False,
    spent: bool = False,
    aside: bool = False,
) -> Rule:
    standing = Standing.SET_ASIDE if aside else Standing.FINE
    return Rule(counts, next_, unspent, spent, standing, message)


#: Failure class → what follows. `docs/job-life.md` shows the same classes; a test compares them.
RULES: dict[str, Rule] = {
    "rate_limited": _rule(Next.WAIT, "Grok's limit is reached.", unspent=True),
    "site_down": _rule(Next.AGAIN, "Grok is not answering."),
    "not_logged_in": _rule(
        Next.HAND_ON, "Nobody is signed in to Grok in the worker's tab.", unspent=True, aside=True
    ),
    "challenge_required": _rule(
        Next.HAND_ON, "Grok asks for a human check in the worker's tab.", unspent=True, aside=True
    ),
    "paywall": _rule(
        Next.HAND_ON, "This Grok account does not offer that.", unspent=True, aside=True
    ),
    "ui_changed": _rule(
        Next.HAND_ON, "The worker does not find its way on Grok's page.", aside=True
    ),
    "page_stale": _rule(Next.AGAIN, "Grok's page had to be loaded again."),
    "person_busy": _rule(Next.AGAIN, "The person is using the tab."),
    "tab_closed": _rule(Next.AGAIN, "The worker's tab was closed.", counts=True),
    "browser_closed": _rule(Next.AGAIN, "The worker's browser was closed.", counts=True),
    "download_failed": _rule(Next.RECOVER, "The video could not be fetched from Grok.", spent=True),
    "result_rejected": _rule(
        Next.RECOVER, "The worker's file was not an acceptable video.", counts=True, spent=True
    ),
    "submit_unknown": _rule(
        Next.RECOVER, "It is not known whether Grok took the prompt.", counts=True, spent=True
    ),
    "no_progress": _rule(Next.RECOVER, "Grok made no progress.", counts=True),
    "run_cap": _rule(Next.RECOVER, "Grok took longer than an attempt may.", counts=True),
    "incomplete": _rule(Next.FAIL, "The answer was cut off.", counts=True),
    "generation_failed": _rule(Next.FAIL, "Grok could not generate this.", counts=True),
    "moderated": _rule(Next.FAIL, "Grok refused this content.", counts=True, unspent=True),
    "option_refused": _rule(Next.FAIL, "Grok does not offer this option.", unspent=True),
    "option_not_set": _rule(Next.FAIL, "The option could not be set on Grok's page."),
    "bad_input": _rule(Next.FAIL, "Grok did not accept the input.", counts=True, unspent=True),
    "upload_rejected": _rule(
        Next.FAIL, "Grok did not accept the image.", counts=True, unspent=True
    ),
    "unknown": _rule(Next.AGAIN, "The worker reported an error.", counts=True),
}

#: Words of a free-text error → its class; the first that is found decides.
_PHRASES = (
    ("rate limit", "rate_limited"),
    ("limit reached", "rate_limited"),
    ("too many requests", "rate_limited"),
    ("moderat", "moderated"),
    ("content policy", "moderated"),
    ("sign in", "not_logged_in"),
    ("log in", "not_logged_in"),
    ("login", "not_logged_in"),
    ("captcha", "challenge_required"),
    ("human check", "challenge_required"),
    ("not found on page", "ui_changed"),
    ("selector", "ui_changed"),
    ("download", "download_failed"),
)


class Failure(NamedTuple):
    """What a worker says went wrong."""

    failure_class: str
    detail: str
    #: Unix seconds at which a rate limit ends, where the page tells.
    retry_at: float | None = None


def classify(code: str | None, text: str) -> str:
    """The failure class of a report: its code if we know it, else what its words suggest, else `unknown`."""
    if code in RULES:
        return code
    lowered = text.lower()
    return next((name for phrase, name in _PHRASES if phrase in lowered), "unknown")


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
        return _after_submitted_loss(lost, now, timers, roll)
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
    return _tried_again(job, rule.next, now, timers, roll, code, message)


def _tried_again(
    job: Job,
    next_: Literal[Next.AGAIN, Next.HAND_ON, Next.RECOVER],
    now: float,
    timers: Timers,
    roll: float,
    code: str,
    message: str,
) -> Job:
    if job.submitted_at is not None:
        pause = backoff_seconds(job.losses, roll)
        return _recovering(job, now, timers, pause, code, message)
    match next_:
        case Next.HAND_ON:
            return _waiting(job, ready_at=None, reason=code)
        case Next.AGAIN | Next.RECOVER:
            return _again(job, now, roll, code, message)
        case _:
            assert_never(next_)


def _was_turned_away(job: Job, rule: Rule) -> bool:
    """The site refused the prompt as this very attempt pressed submit, and nothing there bears its name."""
    lease = job.lease
    if not rule.is_unspent or lease is None or job.submitted_at is None:
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


def _after_submitted_loss(job: Job, now: float, timers: Timers, roll: float) -> Job:
    match job.on_lost:
        case OnLost.RECOVER:
            pause = 0.0 if job.losses <= 1 else backoff_seconds(job.losses - 1, roll)
            return _recovering(job, now, timers, pause, "result_lost", "The result was lost.")
        case OnLost.RETRY:
            return _again(
                job._replace(submitted_at=None, evidence=None, on_lost=OnLost.FAIL),
                now,
                roll,
                "worker_lost",
                "The worker was lost.",
            )
        case OnLost.FAIL:
            return job.ended(JobState.FAILED, now, "worker_lost", "The worker was lost.")
        case _:
            assert_never(job.on_lost)


def _recovering(job: Job, now: float, timers: Timers, pause: float, code: str, message: str) -> Job:
    """Waiting to be recovered, kept for the worker that submitted it; over when the run cap is."""
    assert job.submitted_at is not None
    recover_until = job.submitted_at + timers.run_cap_seconds
    if now >= recover_until:
        return job.ended(JobState.FAILED, now, code, message)
    waiting = _waiting(job, ready_at=now + pause if pause else None, reason="recovering")
    return waiting._replace(
        deadline_at=recover_until,
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
    return job.moved(JobState.PENDING)._replace(
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
