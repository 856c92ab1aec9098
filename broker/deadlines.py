"""What the clock does to one job: a deadline passes, or a lease is given grace. Pure, as in `acts.py`."""

from dataclasses import dataclass

from broker.acts import Act, ended_attempt, recoverable
from broker.jobs import Change, Job, JobState, Outcome
from broker.ports import JobView
from broker.retries import Failure, after_loss, after_undelivered


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
        if lease.confirmed_at is None:
            back = recoverable(after_undelivered(job), timers)
            return Change(back, ended=ended_attempt(job, self.now, Outcome.UNDELIVERED))
        failure = Failure("lease_expired" if self.now >= lease.expires_at else "no_progress", "")
        after = after_loss(job, self.now, timers, self.roll)
        return Change(after, ended=ended_attempt(job, self.now, Outcome.LOST, failure))

    def _ended_unserved(self, job: Job) -> Job:
        if job.submitted_at is not None:
            lost = "The result could not be recovered in time."
            return job.ended(JobState.FAILED, self.now, "result_lost", lost)
        unserved = "No worker took the job before its deadline."
        return job.ended(JobState.FAILED, self.now, "expired", unserved)


@dataclass(frozen=True, slots=True)
class Grace(Act):
    """One lease of grace: the broker itself was away, so the worker's silence proves nothing."""

    def __call__(self, view: JobView) -> Change | None:
        job = view.job
        if job.state != JobState.PROCESSING or job.lease is None:
            return None
        timers = self.timers_for(job.kind)
        lasts = timers.stall_seconds if job.lease.is_legacy else timers.lease_seconds
        lease = job.lease._replace(
            expires_at=self.now + lasts,
            advanced_at=self.now,
            # The run cap too leaves room for it: while we were away no time passed that anybody could use.
            claimed_at=max(job.lease.claimed_at, self.now + lasts - timers.run_cap_seconds),
        )
        if lease.confirmed_at is None:
            lease = lease._replace(expires_at=self.now + timers.first_beat_seconds)
        return Change(self.held(job, lease))
