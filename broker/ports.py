"""What the core asks of the world: a store for rows, and a clock. What it asks of a media store: `media_ports.py`.

Each verb carries its promise here; `tests/contract` proves that every implementation keeps it.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import NamedTuple, Protocol

from broker.chunks import Chunk
from broker.ids import JobId, Owner, TokenHash
from broker.jobs import Attempt, Change, Job, JobKind, JobState, Payload
from broker.keys import NO_LIMITS, Limits
from broker.leases import Lease
from broker.outputs import Result
from broker.repeats import RequestKey


class Clock(Protocol):
    def now(self) -> float:
        """Unix seconds, steady: never jumps while the process runs."""

    def wall(self) -> float:
        """Unix seconds as the machine's clock shows them."""


class JobView(Protocol):
    """One job as it stands inside the transaction that is about to change it."""

    @property
    def job(self) -> Job: ...

    def attempt_with(self, token_hash: TokenHash) -> Attempt | None:
        """The ended attempt that held this token, if there was one."""

    def last_attempt(self) -> Attempt | None:
        """The latest attempt that has ended."""

    def has_failed_with(self, failure: str) -> bool:
        """Whether an attempt that has ended failed with this class."""

    def result(self) -> Result | None: ...

    def late_result(self) -> Result | None: ...

    def chunks(self) -> Sequence[Chunk]:
        """What the present attempt has streamed so far, in order."""


#: Looks at a job and says what changes. Pure: it may be run again. Raises a `BrokerError` to change nothing.
Decide = Callable[[JobView], Change | None]


class Grant(NamedTuple):
    """What a claim writes into the job it takes."""

    lease: Lease
    deadline_at: float


class JobFilter(NamedTuple):
    """Which jobs to list, newest first. Every field that is None lets all pass."""

    owner: Owner | None = None
    state: JobState | None = None
    kind: JobKind | None = None
    created_after: float | None = None
    created_before: float | None = None


class Record(NamedTuple):
    """A job with what it left behind, for showing."""

    job: Job
    result: Result | None = None
    late: Result | None = None


class Store(Protocol):
    """Durable jobs. Every verb that changes something is one transaction, on disk when its awaitable is done.

    A writing verb is queued the moment it is called, in order, before its awaitable is awaited; a caller that
    is cancelled leaves either the whole operation or nothing. Failures of the engine are raised as
    `StoreFailed` (outcome unknown) or `DiskFull` (nothing changed).
    """

    def add(
        self,
        job: Job,
        payload: Payload,
        key: RequestKey | None = None,
        webhook_url: str | None = None,
        limits: Limits = NO_LIMITS,
    ) -> Awaitable[Job]:
        """Keeps a new job, and whom to tell of its end; or finds the one that its request has made before.

        Returns the job that answers the request. Raises `IdempotencyConflict`, or `LimitReached` where its owner
        has as many jobs as may be, and keeps nothing.
        """

    def prune_request_keys(self, created_before: float, limit: int) -> Awaitable[int]:
        """Forgets what requests older than this were known by, the oldest first; returns how many."""

    def claim(
        self, grants: Mapping[JobKind, Grant], now: float
    ) -> Awaitable[tuple[Job, Payload] | None]:
        """Hands out the first ready job of these kinds, or nothing. Atomic: two callers never get the same.

        Kinds are tried in the mapping's order; within one, the smallest turn goes first. A job reserved for
        another worker is passed over. The job returned carries its new lease and attempt number. The cost
        does not grow with the number of jobs.
        """

    def change(self, job_id: JobId, decide: Decide) -> Awaitable[Job]:
        """Applies what `decide` says to one job, and returns the job as it then is. Atomic.

        Raises `NotFound` for an unknown job and whatever `decide` raises; nothing has changed then.
        """

    async def get(self, job_id: JobId) -> Record | None: ...

    async def job_of_request(self, owner: Owner, name: str) -> JobId | None:
        """The job that a request of this name has made, while the request is remembered."""

    async def payload(self, job_id: JobId) -> Payload | None: ...

    async def chunks_after(self, job_id: JobId, attempt: int, seq: int) -> Sequence[Chunk]:
        """The chunks of one attempt that follow `seq`, in order."""

    async def attempts(self, job_id: JobId) -> Sequence[Attempt]:
        """The attempts that ended without being the job's success, oldest first."""

    async def page(
        self,
        wanted: JobFilter,
        limit: int,
        after: JobId | None = None,
        *,
        oldest_first: bool = False,
    ) -> Sequence[Record]:
        """Up to `limit` jobs, last come first unless said, starting behind the job `after`.

        Raises `NotFound` for a stranger.
        """

    async def count(self, owner: Owner | None = None) -> Mapping[tuple[JobKind, JobState], int]:
        """How many jobs there are of each kind in each state. Does not scan the table."""

    async def due(self, now: float, limit: int) -> Sequence[JobId]:
        """Jobs whose deadline has passed, longest overdue first."""

    def ripen(self, now: float) -> Awaitable[Sequence[JobKind]]:
        """Makes delayed jobs whose moment has come ready; returns the kinds of which any job is ready."""

    async def under_way(self) -> Sequence[Job]:
        """The jobs that a worker holds now, and those that wait to be recovered."""

    async def has_result(self, sha256: str, since: float, but: JobId) -> bool:
        """Whether another job has left this very file, a film or one of its pictures, since that moment."""

    async def films(self, finished_before: float | None, limit: int) -> Sequence[Record]:
        """Jobs whose film or pictures are still kept, oldest first; None for all ages."""

    def forget_film(self, job_id: JobId, now: float) -> Awaitable[None]:
        """Notes that a job's film or pictures have been removed. The row stays."""

    def delete(self, job_ids: Sequence[JobId]) -> Awaitable[Sequence[tuple[Job, Payload]]]:
        """Removes these jobs and all they left, unless they are processing; returns those it removed."""

    def prune_chunks(self, finished_before: float, limit: int) -> Awaitable[int]:
        """Drops the streamed pieces of jobs that ended before this moment; returns how many jobs it touched."""

    async def old_jobs(self, finished_before: float, limit: int) -> Sequence[JobId]:
        """Jobs that ended before this moment, oldest first."""

    async def backup(self, path: str) -> None:
        """Writes a consistent copy of everything while the store is in use."""
