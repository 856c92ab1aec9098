"""What the clock does to one job: a deadline passes, or a lease is given grace. Pure, as in `acts.py`."""

from dataclasses import dataclass

from broker.acts import Act, ended_attempt, partial_answer, recoverable
from broker.failures import Failure
from broker.ids import TokenHash
from broker.jobs import Change, Job, JobState, Outcome
from broker.leases import Lease, Timers
from broker.ports import JobView
from broker.retries import after_loss, after_recovery, after_undelivered

#: Enough to tell before from after.
MOMENT_SECONDS = 0.001


@dataclass(frozen=True, slots=True)
class Expire(Act):
    """A deadline has passed. Does nothing where the job has moved on meanwhile."""

    roll: float

    def __call__(self, view: JobView) -> Change | None:
        job = view.job
        if job.deadline_at > self.now:
            return None
        if job.state == JobState.PENDING:
            return Change(self._ended_unserved(job))
        lease = job.lease
        assert lease is not None
        timers = self.timers_for(job.kind)
        return lost(view, self.now, timers, self.roll, self._what_ran_out(lease, timers))

    def _what_ran_out(self, lease: Lease, timers: Timers) -> str:
        if self.now >= lease.expires_at:
            return "lease_expired"
        is_capped = self.now >= lease.claimed_at + timers.run_cap_seconds
        return "run_cap" if is_capped else "no_progress"

    def _ended_unserved(self, job: Job) -> Job:
        if job.submitted_at is not None:
            message = "The result could not be recovered in time."
            return after_recovery(job, self.now, self.roll, "result_lost", message)
        unserved = "No worker took the job before its deadline."
        return job.ended(JobState.FAILED, self.now, "expired", unserved)


@dataclass(frozen=True, slots=True)
class GiveUp(Act):
    """The worker has come back without the job it held under this lease: nobody is at work on it."""

    token_hash: TokenHash
    roll: float

    def __call__(self, view: JobView) -> Change | None:
        job = view.job
        if (
            job.state != JobState.PROCESSING
            or not job.lease
            or not job.lease.is_for(self.token_hash)
        ):
            return None
        return lost(view, self.now, self.timers_for(job.kind), self.roll, "not_held")


def lost(view: JobView, now: float, timers: Timers, roll: float, why: str) -> Change:
    """The job after the end of a lease that nobody has acted on; uncounted where nobody ever had."""
    job, lease = view.job, view.job.lease
    assert lease is not None
    if lease.confirmed_at is None:
        back = recoverable(after_undelivered(job), now, timers)
        return Change(back, ended=ended_attempt(job, now, Outcome.UNDELIVERED))
    ended = ended_attempt(job, now, Outcome.LOST, Failure(why, ""))
    after = after_loss(job, now, timers, roll)
    return Change(after, ended=ended, late=partial_answer(view, after, now))


@dataclass(frozen=True, slots=True)
class Grace(Act):
    """One lease of grace: the broker itself was away, so the worker's silence proves nothing."""

    def __call__(self, view: JobView) -> Change | None:
        job = view.job
        timers = self.timers_for(job.kind)
        if job.state == JobState.PROCESSING:
            return Change(self._held_anew(job, timers))
        if job.state == JobState.PENDING and job.submitted_at is not None:
            # Looked for as if it had just been submitted: while we were away nobody could. A moment ago, so
            # that whoever is handed it at this very instant is seen to come after the submit.
            anew = job._replace(submitted_at=self.now - MOMENT_SECONDS)
            return Change(recoverable(anew, self.now, timers))
        return None

    def _held_anew(self, job: Job, timers: Timers) -> Job:
        lease = job.lease
        assert lease is not None
        lasts = timers.stall_seconds if lease.is_legacy else timers.lease_seconds
        # The run cap too leaves room for it: while we were away no time passed that anybody could use.
        claimed_at = max(lease.claimed_at, self.now + lasts - timers.run_cap_seconds)
        if job.submitted_at is not None:
            # A recovery stays one: its claim comes after the submit.
            is_recovery = lease.claimed_at > job.submitted_at
            submitted_at = claimed_at - MOMENT_SECONDS if is_recovery else self.now
            job = job._replace(submitted_at=submitted_at)
        if lease.confirmed_at is None:
            lasts = timers.first_beat_seconds
        anew = lease._replace(
            expires_at=self.now + lasts, advanced_at=self.now, claimed_at=claimed_at
        )
        return self.held(job, anew)
