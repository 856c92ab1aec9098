"""What each act of a worker or a client does to one job; results are in `results.py`, time in `deadlines.py`.

An act is handed the job as it stands inside a transaction and says what changes, or raises what is wrong.
Pure: no waiting, no storage; an act may be run again.
"""

from dataclasses import dataclass
from typing import Protocol

from broker.chunks import Chunk, ChunkKind, fresh, joined
from broker.errors import AlreadyFinished, AlreadySubmitted, InvalidValue, LeaseLost, NotFound
from broker.failures import RULES, Failure
from broker.ids import Owner, TokenHash
from broker.jobs import Attempt, Change, Job, JobKind, JobState, Outcome
from broker.leases import Lease, Phase, Timers
from broker.outputs import INCOMPLETE, Result, text_result
from broker.ports import JobView
from broker.retries import after_failure, after_second, after_undelivered, recovery_ends_at


class TimersFor(Protocol):
    def __call__(self, kind: JobKind) -> Timers: ...


@dataclass(frozen=True, slots=True)
class Act:
    """The moment of an act and the timers that hold."""

    now: float
    timers_for: TimersFor

    def held(self, job: Job, lease: Lease) -> Job:
        """The job under a changed lease, with the deadline that follows."""
        timers = self.timers_for(job.kind)
        return job._replace(lease=lease, deadline_at=lease.deadline(timers))

    def renewed(self, job: Job, lease: Lease) -> Lease:
        return lease.renewed(self.now, self.timers_for(job.kind))


def live_lease(job: Job, token_hash: TokenHash | None) -> Lease:
    """The lease under which an act is allowed. Raises `LeaseLost` for a stale, unknown or missing token."""
    if job.state != JobState.PROCESSING or job.lease is None:
        raise LeaseLost(f"The job is {job.state}; this lease is over.")
    if token_hash is None:
        if not job.lease.is_legacy:
            raise LeaseLost("This job was handed out with a lease_token, which must be sent back.")
    elif not job.lease.is_for(token_hash):
        raise LeaseLost()
    return job.lease


def ended_attempt(
    job: Job, now: float, outcome: Outcome, failure: Failure | None = None
) -> Attempt:
    assert job.lease is not None
    lease = job.lease
    return Attempt(
        job_id=job.id,
        number=job.attempt,
        worker_id=lease.worker_id,
        token_hash=lease.token_hash,
        claimed_at=lease.claimed_at,
        ended_at=now,
        phase=lease.phase,
        outcome=outcome,
        failure=failure and failure.failure_class,
        detail=failure and (failure.detail or None),
    )


@dataclass(frozen=True, slots=True)
class Beat(Act):
    """A sign of life: renews the lease, notes how far the attempt is and what it knows of its result."""

    token_hash: TokenHash
    phase: Phase | None = None
    progress: int | None = None
    evidence: str | None = None

    def __call__(self, view: JobView) -> Change | None:
        job = view.job
        if job.state.is_final and job.lease and job.lease.is_for(self.token_hash):
            return None  # The answer says "cancel": the job is over, whatever the worker has.
        lease = live_lease(job, self.token_hash).advanced(self.phase, self.progress, self.now)
        if lease.phase.is_submitted and job.submitted_at is None:
            job = job._replace(submitted_at=self.now)
        if self.evidence is not None:
            job = job._replace(evidence=self.evidence)
        return Change(self.held(job, self.renewed(job, lease)))


@dataclass(frozen=True, slots=True)
class AddChunks(Act):
    """More of a streamed answer. Text is proof that the prompt was submitted."""

    token_hash: TokenHash
    chunks: tuple[Chunk, ...]

    def __call__(self, view: JobView) -> Change | None:
        job = view.job
        if job.kind != JobKind.CHAT:
            raise InvalidValue("Only a chat job takes chunks.", param="job_id")
        lease = live_lease(job, self.token_hash)
        new = fresh(self.chunks, job.next_seq)
        if not new:
            return None
        lease = lease.advanced(Phase.GENERATING, None, self.now).touched(self.now)
        job = job._replace(
            next_seq=job.next_seq + len(new), submitted_at=job.submitted_at or self.now
        )
        return Change(self.held(job, self.renewed(job, lease)), chunks=new)


@dataclass(frozen=True, slots=True)
class Fail(Act):
    """The worker reports that the attempt failed; the table in `failures.py` says what follows."""

    token_hash: TokenHash | None
    failure: Failure
    roll: float

    def __call__(self, view: JobView) -> Change | None:
        job = view.job
        if job.state == JobState.CANCELLED and job.lease and self._is_from(job.lease):
            return None  # The worker confirms a cancellation.
        if job.state.is_final:
            raise AlreadyFinished()
        live_lease(job, self.token_hash)
        timers, name = self.timers_for(job.kind), self.failure.failure_class
        if RULES[name].once and view.has_failed_with(name):
            after = after_second(job, self.failure, self.now, self.roll)
        else:
            after = after_failure(job, self.failure, self.now, timers, self.roll)
        ended = ended_attempt(job, self.now, Outcome.FAILED, self.failure)
        return Change(after, ended=ended, late=partial_answer(view, after, self.now))

    def _is_from(self, lease: Lease) -> bool:
        return lease.is_legacy if self.token_hash is None else lease.is_for(self.token_hash)


@dataclass(frozen=True, slots=True)
class Release(Act):
    """The worker gives the job back untouched: uncounted, and only while nothing was submitted."""

    token_hash: TokenHash
    reason: str

    def __call__(self, view: JobView) -> Change:
        job = view.job
        lease = live_lease(job, self.token_hash)
        if lease.phase.is_submitted:
            raise AlreadySubmitted()
        ended = ended_attempt(job, self.now, Outcome.RELEASED)._replace(detail=self.reason or None)
        back = after_undelivered(job)
        return Change(recoverable(back, self.now, self.timers_for(job.kind)), ended=ended)


@dataclass(frozen=True, slots=True)
class Cancel(Act):
    """The client no longer wants it. The worker, if there is one, hears it on its next beat."""

    owner: Owner | None
    code: str = "cancelled"
    message: str = "Cancelled by the client."
    #: Leave the job alone once quota has been spent on it.
    only_unsubmitted: bool = False

    def __call__(self, view: JobView) -> Change | None:
        job = view.job
        if self.owner is not None and job.owner != self.owner:
            raise NotFound()
        if job.state == JobState.CANCELLED or (self.only_unsubmitted and job.submitted_at):
            return None
        if job.state.is_final:
            raise AlreadyFinished(f"The job is {job.state}; it cannot be cancelled any more.")
        ended = ended_attempt(job, self.now, Outcome.CANCELLED) if job.lease else None
        return Change(job.ended(JobState.CANCELLED, self.now, self.code, self.message), ended=ended)


def partial_answer(view: JobView, after: Job, now: float) -> Result | None:
    """What a chat that has now failed had streamed: kept with it, and given up for the whole should that come."""
    if after.state != JobState.FAILED or view.job.next_seq == 0:
        return None
    chunks = view.chunks()
    text = joined(chunks, ChunkKind.TEXT)
    if not text:
        return None
    reasoning = joined(chunks, ChunkKind.REASONING) or None
    return text_result(text, reasoning, INCOMPLETE, view.job.attempt, now)


def recoverable(job: Job, now: float, timers: Timers) -> Job:
    """A submitted job back in the queue is over when its recovery is, not when the queue's deadline is."""
    if job.submitted_at is None:
        return job
    return job._replace(deadline_at=recovery_ends_at(job, now, timers), waiting_reason="recovering")
