"""`JobQueue`: every deed that is done to a job, from submit to its end.

Each deed is one act (`acts.py`, `results.py`, `deadlines.py`) applied by the store in one transaction; when it
is durable, whoever waits is told. Knows nothing of HTTP, SQL, files or the environment.
"""

import random
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import nullcontext, suppress

from broker.acts import AddChunks, Beat, Cancel, Fail, Release
from broker.chunks import Chunk
from broker.deadlines import Expire, GiveUp, Grace
from broker.deliveries import Deliveries, hashed
from broker.errors import BrokerError, DiskFull, NotFound, ShuttingDown
from broker.failures import RULES, Failure
from broker.handouts import Assignment, Poll, grant, lease_seconds
from broker.ids import (
    JobId,
    LeaseToken,
    Owner,
    WorkerId,
    hash_token,
    is_unnamed,
    new_lease_token,
)
from broker.jobs import Change, Job, JobKind, JobState
from broker.keys import bound
from broker.leases import Phase, Timers
from broker.media_ports import PicturesUpload, Upload
from broker.notifier import News, Notifier, Parked
from broker.outputs import Result
from broker.ports import Clock, Decide, JobView, Store
from broker.results import Adopt, Verdict
from broker.retries import RATE_LIMIT_WAIT_SECONDS
from broker.submissions import NewJob
from broker.workers import Roster


class JobQueue:
    def __init__(
        self,
        store: Store,
        notifier: Notifier,
        roster: Roster,
        clock: Clock,
        timers: Mapping[JobKind, Timers],
        roll: Callable[[], float] = random.random,
    ) -> None:
        self._store = store
        self._notifier = notifier
        self._roster = roster
        self._clock = clock
        self._timers = timers
        self._roll = roll
        self._deliveries = Deliveries(store, notifier, clock)
        #: Set by the chore that watches the disk.
        self.is_disk_full = False
        #: Looks at deadlines when a claim found nothing; returns how many had passed. Set by the sweeper.
        self.expire_overdue: Callable[[], Awaitable[int]] = _none_overdue

    @property
    def is_draining(self) -> bool:
        """The broker is going away: nothing new is taken or handed out."""
        return self._notifier.is_draining

    # What clients do.

    async def submit(self, new: NewJob) -> Job:
        """Keeps a new job. When this returns, the job is on disk.

        A request that is sent again gets the job that its first sending made. Raises `DiskFull`, `ShuttingDown`
        or `IdempotencyConflict` and keeps nothing.
        """
        if self.is_draining:
            raise ShuttingDown()
        if self.is_disk_full:
            raise DiskFull()
        job = new.job(self._clock.now(), self._timers[new.kind])
        adding = self._store.add(job, new.payload, new.key, new.webhook_url, new.limits)
        # Before the commit, on purpose: the worker's claim then joins the same transaction.
        self._notifier.wake(job.kind)
        return await adding

    async def cancel(
        self, job_id: JobId, owner: Owner | None, *, only_unsubmitted: bool = False
    ) -> Job:
        """Stops a job for good. Raises `AlreadyFinished` when it has completed or failed."""
        now = self._clock.now()
        return await self._act(
            job_id, Cancel(now, self.timers_for, owner, only_unsubmitted=only_unsubmitted)
        )

    async def give_up(self, job_id: JobId, *, only_unsubmitted: bool = False) -> Job:
        """Cancels a job whose client waited as long as it would. A job that has just ended stays as it is."""
        message = "The client's wait was over before the answer came."
        act = Cancel(
            self._clock.now(),
            self.timers_for,
            None,
            "client_wait_over",
            message,
            only_unsubmitted,
        )
        try:
            return await self._act(job_id, act)
        except BrokerError:
            record = await self._store.get(job_id)
            if record is None:
                raise NotFound() from None
            return record.job

    # What workers do.

    async def claim(self, poll: Poll) -> Assignment | None:
        """Hands out the next job, waiting for one as long as the poll allows. None when there was none."""
        until = self._clock.now() + poll.wait_seconds
        waiting = Parked(
            poll.kinds,
            poll.worker_id,
            until,
            poll.is_alive,
            lambda kind: self._may_take(poll.worker_id, kind),
        )
        with self._notifier.parked(waiting):
            while not waiting.is_over and poll.is_alive():
                self._notifier.arm(waiting)
                assignment = await self._claim_now(poll)
                if assignment is None and await self.expire_overdue():
                    assignment = await self._claim_now(poll)
                if assignment is not None:
                    return assignment
                if poll.wait_seconds <= 0 or not await waiting.woken():
                    return None
        return None

    async def beat(
        self,
        job_id: JobId,
        token: LeaseToken,
        phase: Phase | None = None,
        progress: int | None = None,
        evidence: str | None = None,
    ) -> Job:
        """Renews a lease and notes how far the attempt is. A job in a final state means: stop working on it."""
        now = self._clock.now()
        act = Beat(now, self.timers_for, hash_token(token), phase, progress, evidence)
        return await self._act(job_id, act)

    async def add_chunks(self, job_id: JobId, token: LeaseToken, chunks: Sequence[Chunk]) -> Job:
        """Keeps more of a streamed answer. The job's `next_seq` says what is expected next."""
        act = AddChunks(self._clock.now(), self.timers_for, hash_token(token), tuple(chunks))
        job = await self._store.change(job_id, act)
        self._notifier.announce(News(job, chunks=act.chunks))
        return job

    async def complete_text(
        self,
        job_id: JobId,
        token: LeaseToken | None,
        text: str | None,
        reasoning: str | None = None,
        finish_reason: str = "stop",
    ) -> tuple[Job, Verdict]:
        """The answer of a chat job; None for the text that has been streamed."""
        return await self._deliveries.text(job_id, token, text, reasoning, finish_reason)

    async def complete_film(
        self, job_id: JobId, token: LeaseToken | None, upload: Upload
    ) -> tuple[Job, Verdict]:
        """The film of a video job, sealed by the caller. It is checked, made durable, then published.

        Raises `ResultRejected` with the gate's class and leaves the job open; `LeaseLost`; `ResultConflict`.
        """
        return await self._deliveries.film(job_id, token, upload)

    async def complete_pictures(
        self, job_id: JobId, token: LeaseToken | None, upload: PicturesUpload
    ) -> tuple[Job, Verdict]:
        """The pictures of an image job: all of them or none, else as a film."""
        return await self._deliveries.pictures(job_id, token, upload)

    async def fail(self, job_id: JobId, token: LeaseToken | None, failure: Failure) -> Job:
        """The worker could not do it. The job returned says what was decided."""
        act = Fail(self._clock.now(), self.timers_for, hashed(token), failure, self._roll())
        before = await self._store.get(job_id)
        job = await self._act(job_id, act)
        if before is not None and before.job.lease is not None:
            self._note_standing(before.job.lease.worker_id, job, failure)
        return job

    async def release(self, job_id: JobId, token: LeaseToken, reason: str) -> Job:
        """The worker gives the job back, uncounted. Raises `AlreadySubmitted` past the point of no return."""
        return await self._act(
            job_id, Release(self._clock.now(), self.timers_for, hash_token(token), reason)
        )

    # What the clock does.

    async def expire(self, job_id: JobId) -> Job:
        """Acts on a deadline that has passed."""
        return await self._act(job_id, Expire(self._clock.now(), self.timers_for, self._roll()))

    async def grant_grace(self, job_id: JobId) -> Job:
        """Gives a live lease its full time again."""
        return await self._act(job_id, Grace(self._clock.now(), self.timers_for))

    async def adopt(self, job_id: JobId, result: Result) -> Job:
        """Completes a job whose film or pictures an earlier run of the broker had already made durable."""
        return await self._act(job_id, Adopt(self._clock.now(), result))

    async def give_up_others(self, worker_id: WorkerId, held: Sequence[LeaseToken]) -> list[JobId]:
        """This worker holds these leases and no others: what it held under another is lost, now."""
        tokens, given_up = {hash_token(token) for token in held}, []
        for job in await self._store.under_way():
            lease = job.lease
            if lease is None or lease.worker_id != worker_id or lease.token_hash in tokens:
                continue
            act = GiveUp(self._clock.now(), self.timers_for, lease.token_hash, self._roll())
            with suppress(NotFound):  # Deleted meanwhile.
                await self._act(job.id, act)
                given_up.append(job.id)
        return given_up

    def timers_for(self, kind: JobKind) -> Timers:
        return self._timers[kind]

    # Steps.

    async def _claim_now(self, poll: Poll) -> Assignment | None:
        now = self._clock.now()
        self._roster.see(poll.worker_id, poll.kinds, now)
        kinds = [kind for kind in poll.kinds if self._may_take(poll.worker_id, kind)]
        if not kinds:
            return None
        token = new_lease_token()
        held = bound(poll.key_id, token)
        grants = {kind: grant(poll.worker_id, held, now, self._timers[kind]) for kind in kinds}
        taken = await self._store.claim(grants, now)
        if taken is None:
            return None
        job, payload = taken
        seconds = lease_seconds(poll.worker_id, self._timers[job.kind])
        return Assignment(job, payload, token, job.action, seconds)

    def _may_take(self, worker_id: WorkerId, kind: JobKind) -> bool:
        """Whether this worker would be handed a job of this kind now."""
        if self.is_disk_full and kind.leaves_files:
            return False
        worker = self._roster.find(worker_id)
        return worker is None or bool(self._roster.open_kinds(worker, (kind,), self._clock.now()))

    async def _act(self, job_id: JobId, act: Decide) -> Job:
        has_changed = False

        def noted(view: JobView) -> Change | None:
            nonlocal has_changed
            change = act(view)
            has_changed = change is not None
            return change

        is_finishing = self._deliveries.is_finishing(job_id)
        async with self._deliveries.alone(job_id) if is_finishing else nullcontext():
            job = await self._store.change(job_id, noted)
        if has_changed:
            self._notifier.announce(News(job))
            if job.state == JobState.PENDING and job.ready_at is None:
                self._notifier.wake(job.kind, prefer=job.reserved_for)
        return job

    def _note_standing(self, worker_id: WorkerId, job: Job, failure: Failure) -> None:
        if is_unnamed(worker_id):
            return  # One name for many, and none of them ever says hello to be taken up again.
        if failure.failure_class == "rate_limited":
            until = job.ready_at or failure.retry_at or self._clock.now() + RATE_LIMIT_WAIT_SECONDS
            self._roster.set_aside(worker_id, job.kind, "rate_limited", until)
        elif RULES[failure.failure_class].sets_aside:
            self._roster.set_aside(worker_id, job.kind, failure.failure_class, None)


async def _none_overdue() -> int:
    return 0
