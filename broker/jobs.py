"""What a job is, which states it can be in, and which moves between them are allowed.

Values and rules only: no time, no storage, no waiting. Every change makes a new record.
"""

from enum import StrEnum
from typing import NamedTuple

from broker.chunks import Chunk
from broker.errors import AlreadyFinished
from broker.ids import JobId, Owner, TokenHash, WorkerId
from broker.leases import Lease, Phase
from broker.outputs import Result


class JobKind(StrEnum):
    VIDEO = "video"
    IMAGE = "image"
    CHAT = "chat"

    @property
    def leaves_files(self) -> bool:
        """Its result needs room on the disk; that of a chat is a text in the store."""
        return self is not JobKind.CHAT


class JobState(StrEnum):
    PENDING = "pending"
    PROCESSING = "processing"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"

    @property
    def is_final(self) -> bool:
        return self in FINAL_STATES


FINAL_STATES = frozenset({JobState.COMPLETED, JobState.FAILED, JobState.CANCELLED})

#: Every move there is. `docs/job-life.md` shows the same table; a test compares them.
MOVES = frozenset(
    {
        (JobState.PENDING, JobState.PROCESSING),
        (JobState.PENDING, JobState.COMPLETED),
        (JobState.PENDING, JobState.FAILED),
        (JobState.PENDING, JobState.CANCELLED),
        (JobState.PROCESSING, JobState.PENDING),
        (JobState.PROCESSING, JobState.COMPLETED),
        (JobState.PROCESSING, JobState.FAILED),
        (JobState.PROCESSING, JobState.CANCELLED),
    }
)


class OnLost(StrEnum):
    """What becomes of a job whose submitted attempt was lost."""

    RECOVER = "recover"
    RETRY = "retry"
    FAIL = "fail"


class Action(StrEnum):
    """What the worker is to do with a job it is handed."""

    SUBMIT = "submit"
    #: The prompt has been submitted before: find the result, never press submit again.
    RECOVER = "recover"


class Outcome(StrEnum):
    """How an attempt ended."""

    COMPLETED = "completed"
    FAILED = "failed"
    LOST = "lost"
    #: The hand-out never arrived; not counted.
    UNDELIVERED = "undelivered"
    RELEASED = "released"
    CANCELLED = "cancelled"
    #: An earlier attempt's result came first.
    OVERTAKEN = "overtaken"


class Job(NamedTuple):
    """One prompt to be answered once. All moments are Unix seconds."""

    id: JobId
    owner: Owner
    kind: JobKind
    model: str
    state: JobState
    #: Larger goes first, 0 to 9; each step is worth two minutes of waiting.
    priority: int
    on_lost: OnLost
    #: The client reads the answer as it comes, so an answer once begun is not begun again.
    is_streaming: bool
    retry_of: JobId | None
    created_at: float
    #: The place in the queue: smaller goes first.
    turn: float
    #: Not handed out before this moment; None means now.
    ready_at: float | None
    queue_deadline_at: float
    #: The moment at which the sweep looks at this job; infinite once it is final.
    deadline_at: float
    #: Hand-outs so far. Together with the lease token it says who may act.
    attempt: int
    #: Attempts that count against the limit.
    losses: int
    #: When the site first took the prompt; from then on the job is recovered, not repeated.
    submitted_at: float | None
    #: What the submitting attempt knew of its result, as JSON text: post id, conversation id, baseline.
    evidence: str | None
    reserved_for: WorkerId | None
    reserved_until: float | None
    #: The sequence number that the next chunk must have.
    next_seq: int
    waiting_reason: str | None
    error_code: str | None
    error_message: str | None
    started_at: float | None
    finished_at: float | None
    #: The present lease while processing; once the job has ended, the last one.
    lease: Lease | None

    @property
    def action(self) -> Action:
        return Action.SUBMIT if self.submitted_at is None else Action.RECOVER

    @property
    def phase(self) -> Phase | None:
        return self.lease.phase if self.lease and self.state == JobState.PROCESSING else None

    @property
    def progress(self) -> int:
        if self.state == JobState.COMPLETED:
            return 100
        return self.lease.progress if self.lease and self.state == JobState.PROCESSING else 0

    @property
    def last_attempt(self) -> "Attempt | None":
        """The attempt that succeeded; those that did not are in the store."""
        if self.state != JobState.COMPLETED or self.lease is None or self.finished_at is None:
            return None
        lease = self.lease
        return Attempt(
            self.id,
            self.attempt,
            lease.worker_id,
            lease.token_hash,
            lease.claimed_at,
            self.finished_at,
            lease.phase,
            Outcome.COMPLETED,
        )

    def moved(self, state: JobState) -> "Job":
        """The job in another state. Raises `AlreadyFinished` for a move that is not in the table."""
        if (self.state, state) not in MOVES:
            raise AlreadyFinished(f"The job is {self.state} and cannot become {state}.")
        return self._replace(state=state)

    def ended(
        self, state: JobState, now: float, code: str | None = None, message: str | None = None
    ) -> "Job":
        """The job in a final state. Nothing waits for it any more, so it has no deadline."""
        return self.moved(state)._replace(
            finished_at=now,
            deadline_at=float("inf"),
            ready_at=None,
            waiting_reason=None,
            reserved_for=None,
            reserved_until=None,
            error_code=code,
            error_message=message,
        )


class Payload(NamedTuple):
    """What the worker needs to do the job; read at hand-out only."""

    prompt: str
    #: The client's chat request as JSON text, its images replaced by the names of `inputs`.
    request: str | None = None
    #: Checked options (duration, aspect, resolution, number) as JSON text.
    options: str | None = None
    #: Names of the input images in the media store, in order.
    inputs: tuple[str, ...] = ()


class Attempt(NamedTuple):
    """One hand-out that has ended."""

    job_id: JobId
    number: int
    worker_id: WorkerId
    token_hash: TokenHash
    claimed_at: float
    ended_at: float
    phase: Phase
    outcome: Outcome
    failure: str | None = None
    detail: str | None = None


class Change(NamedTuple):
    """What one act does to one job; a store applies all of it or nothing."""

    job: Job
    ended: Attempt | None = None
    chunks: tuple[Chunk, ...] = ()
    result: Result | None = None
    #: A valid result that came after the job had ended: kept, never published.
    late: Result | None = None
