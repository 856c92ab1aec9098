"""The shapes on the line at the workers' door. `docs/worker-protocol.md` is the contract they implement."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from broker.chunks import ChunkKind
from broker.jobs import JobKind
from broker.leases import Phase
from broker.pairing import PairingState

MAX_EVIDENCE_CHARS = 8192
MAX_DELTA_CHARS = 100_000
JobIdText = Annotated[str, Field(min_length=1, max_length=64)]
Token = Annotated[str, Field(min_length=1, max_length=64)]


class Wire(BaseModel):
    """Fields that are not named here are ignored."""

    model_config = ConfigDict(extra="ignore", frozen=True)


class HeldLease(Wire):
    job_id: JobIdText
    lease_token: Token


class SayHello(Wire):
    """A worker says what it is and what it still holds"""

    name: Annotated[str, Field(max_length=100)] = ""
    version: Annotated[str, Field(max_length=40)] = ""
    kinds: list[JobKind] = []
    slots: Annotated[int, Field(ge=0, le=16)] = 1
    page_state: Annotated[str, Field(max_length=40)] = "ready"
    page_detail: Annotated[str, Field(max_length=300)] = ""
    pack_version: Annotated[str, Field(max_length=40)] = ""
    capabilities: dict[str, Any] = {}
    quota: dict[str, Any] = {}
    #: Left out: nothing is said of leases. Present, even empty: these and no others are held.
    held: list[HeldLease] | None = None


class Welcome(Wire):
    """Who the worker is to the broker, and how often it is expected"""

    worker_id: str
    protocol: int = 1
    poll_wait_seconds: float
    beat_seconds: float
    first_beat_seconds: float
    #: Of the page pack at GET /extension/pack; None where there is none.
    pack_version: str | None
    #: Of the leases said to be held, those that are over.
    lost: list[str]
    directives: list[str]


class PagePack(Wire):
    """What workers know of the site's page; the rest of it is theirs to read"""

    version: str


class SendBeat(Wire):
    """A sign of life for one job"""

    job_id: JobIdText
    lease_token: Token
    phase: Phase | None = None
    progress: Annotated[int, Field(ge=0, le=100)] | None = None
    evidence: dict[str, Any] | None = None


class BeatAnswer(Wire):
    """Until when the lease lasts now, and whether to stop"""

    lease_expires_at: float
    cancel: bool
    directives: list[str]


class SentChunk(Wire):
    seq: Annotated[int, Field(ge=0)]
    kind: ChunkKind = ChunkKind.TEXT
    delta: Annotated[str, Field(max_length=MAX_DELTA_CHARS)]


class SendChunks(Wire):
    """More of a streamed answer"""

    job_id: JobIdText
    lease_token: Token
    chunks: Annotated[list[SentChunk], Field(min_length=1, max_length=500)]


class ChunksAnswer(Wire):
    """The highest sequence number that is stored"""

    stored_seq: int


class CompleteChat(Wire):
    """The whole answer of a chat job"""

    job_id: JobIdText
    content: str | None = None
    reasoning: str | None = None
    lease_token: Token | None = None
    finish_reason: Literal["stop", "length", "content_filter"] = "stop"


class ReportError(Wire):
    """What went wrong"""

    job_id: JobIdText
    error: Annotated[str, Field(max_length=4000)]
    lease_token: Token | None = None
    code: Annotated[str, Field(max_length=64)] | None = None
    #: Unix seconds at which a rate limit ends, where the page tells.
    retry_at: Annotated[float, Field(ge=0, le=1e11)] | None = None


class ReleaseJob(Wire):
    """The job goes back untouched"""

    job_id: JobIdText
    lease_token: Token
    reason: Annotated[str, Field(max_length=500)] = ""


class Outcome(Wire):
    """What became of it"""

    status: Literal["ok"] = "ok"
    job_id: str
    #: What the result or the job is now.
    outcome: str
    #: Unix seconds at which the job is handed out again, where it has to wait.
    retry_at: float | None = None


class StartPairing(Wire):
    """A worker asks to be let in"""

    #: Random, chosen by the worker, and told to nobody else.
    nonce: Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{32,128}$")]
    name: Annotated[str, Field(max_length=100)] = ""


class PairingBegun(Wire):
    """What the worker is to show"""

    pairing_id: str
    code: str
    words: list[str]
    #: How long the code is good for, from now.
    expires_seconds: float


class PairingSeen(Wire):
    """How the pairing stands"""

    state: PairingState
    #: With the state `paired`, to the worker that began it, once.
    key: str | None


class Unpaired(Wire):
    """Whose key has ended"""

    key_id: str


class HandedJob(Wire):
    """A job in the worker's hands"""

    job_id: str
    job_type: JobKind
    prompt: str
    image: str | None
    images: list[str]
    request: dict[str, Any] | None
    lease_token: str
    attempt: int
    lease_seconds: float
    action: Literal["submit", "recover"]
    options: dict[str, Any] | None
    evidence: dict[str, Any] | None
    directives: list[str]
