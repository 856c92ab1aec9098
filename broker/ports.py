"""What the core asks of the world: a store for rows, a store for media, a clock, somebody to wake those who wait.

Each verb carries its promise here; `tests/contract` proves that every implementation keeps it.
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from typing import NamedTuple, Protocol

from broker.chunks import Chunk
from broker.ids import JobId, Owner, TokenHash
from broker.jobs import Attempt, Change, Job, JobKind, JobState, Payload, Result
from broker.leases import Lease


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

    def add(self, job: Job, payload: Payload) -> Awaitable[None]:
        """Keeps a new job."""

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

    async def payload(self, job_id: JobId) -> Payload | None: ...

    async def chunks_after(self, job_id: JobId, attempt: int, seq: int) -> Sequence[Chunk]:
        """The chunks of one attempt that follow `seq`, in order."""

    async def attempts(self, job_id: JobId) -> Sequence[Attempt]:
        """The attempts that ended without being the job's success, oldest first."""

    async def page(
        self, wanted: JobFilter, limit: int, after: JobId | None = None
    ) -> Sequence[Record]:
        """Up to `limit` jobs, last come first, starting behind the job `after`. Raises `NotFound` for a stranger."""

    async def count(self, owner: Owner | None = None) -> Mapping[tuple[JobKind, JobState], int]:
        """How many jobs there are of each kind in each state. Does not scan the table."""

    async def due(self, now: float, limit: int) -> Sequence[JobId]:
        """Jobs whose deadline has passed, longest overdue first."""

    def ripen(self, now: float) -> Awaitable[Sequence[JobKind]]:
        """Makes delayed jobs whose moment has come ready; returns the kinds of which any job is ready."""

    async def under_way(self) -> Sequence[Job]:
        """The jobs that a worker holds now, and those that wait to be recovered."""

    async def has_result(self, sha256: str, since: float, but: JobId) -> bool:
        """Whether another job has left this very file since that moment."""

    async def films(self, finished_before: float | None, limit: int) -> Sequence[Record]:
        """Jobs whose film is still kept, oldest first; None for all ages."""

    def forget_film(self, job_id: JobId, now: float) -> Awaitable[None]:
        """Notes that a job's film has been removed. The row stays."""

    def delete(self, job_ids: Sequence[JobId]) -> Awaitable[Sequence[tuple[Job, Payload]]]:
        """Removes these jobs and all they left, unless they are processing; returns those it removed."""

    def prune_chunks(self, finished_before: float, limit: int) -> Awaitable[int]:
        """Drops the streamed pieces of jobs that ended before this moment; returns how many jobs it touched."""

    async def old_jobs(self, finished_before: float, limit: int) -> Sequence[JobId]:
        """Jobs that ended before this moment, oldest first."""

    async def backup(self, path: str) -> None:
        """Writes a consistent copy of everything while the store is in use."""


class FilmFacts(NamedTuple):
    """What the gate read off a film."""

    duration_seconds: float
    width: int
    height: int


class Upload(Protocol):
    """A film on its way in. Nothing of it is visible until it is published."""

    @property
    def size_bytes(self) -> int: ...

    @property
    def sha256(self) -> str:
        """Of the bytes written so far; final once sealed."""

    async def write(self, data: bytes | memoryview) -> None:
        """Takes more bytes. Raises `TooLarge` over the limit and `DiskFull` when the disk is."""

    async def seal(self) -> None:
        """Everything is on disk."""

    async def inspect(self) -> FilmFacts:
        """Reads the sealed file as a film. Raises `ResultRejected` with the gate's class."""

    async def publish(self, name: str) -> None:
        """Makes the sealed file appear whole under `name`, durably. Replaces nothing that readers have open."""

    async def discard(self) -> None:
        """Forgets the file unless it was published. Never fails."""


class Image(NamedTuple):
    """A checked input image."""

    data: bytes
    mime: str


class ImageReader(Protocol):
    """Turns what a client sent as an image into checked bytes."""

    async def read_all(self, sources: Sequence[str]) -> Sequence[Image]:
        """Decodes base64 and data URLs; fetches http(s) URLs where that is switched on.

        Raises `InvalidValue` or `TooLarge`, naming what would be right.
        """

    def mime(self, data: bytes) -> str:
        """The type of an image that was checked before."""


class Film(NamedTuple):
    """A stored film, for reading."""

    name: str
    size_bytes: int
    #: Unix seconds of its last change.
    modified_at: float


class MediaStore(Protocol):
    """Where films and input images live. A film has a name only once it is whole and checked."""

    async def receive(self) -> Upload:
        """Begins an upload. Raises `DiskFull` when there is no room for one."""

    async def find(self, name: str) -> Film | None: ...

    def read(self, name: str, start: int, stop: int) -> AsyncIterator[bytes]:
        """The bytes from `start` up to `stop`, in pieces. Raises `NotFound` where there is no such film."""

    async def remove(self, name: str) -> bool:
        """Removes a film; False where there was none."""

    async def films(self) -> Sequence[Film]:
        """Every published film, oldest first."""

    async def digest(self, name: str) -> str:
        """The SHA-256 of a stored film, read from disk."""

    async def inspect(self, name: str) -> FilmFacts:
        """Reads a stored film. Raises `ResultRejected` with the gate's class."""

    async def save_input(self, data: bytes, name: str) -> None:
        """Keeps an input image, durably, until `remove_input`."""

    async def load_input(self, name: str) -> bytes: ...

    async def remove_input(self, name: str) -> None:
        """Removes an input image; no error where there was none."""

    async def sweep_leftovers(self) -> int:
        """Deletes unfinished uploads of an earlier run; returns how many."""

    async def free_bytes(self) -> int:
        """How much room the disk has."""
