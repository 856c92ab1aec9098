"""The shapes on the line at the operators' door: a job with everything that is known of it."""

from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, Field

from broker.api.present import WorkerShown
from broker.keys import Scope
from broker.pairing import PairingState
from broker.workers import Directive

PREVIEW_CHARS = 200


class JobError(BaseModel):
    code: str
    message: str


class LateResult(BaseModel):
    received_at: float
    sha256: str
    size_bytes: int
    video_url: str | None
    image_urls: list[str]
    text: str | None
    #: `incomplete` for what a chat had streamed when it broke off.
    finish_reason: str | None


class AttemptShown(BaseModel):
    number: int
    worker_id: str
    phase: str
    outcome: str
    failure: str | None
    detail: str | None
    claimed_at: float
    ended_at: float


class WebhookShown(BaseModel):
    """One event for one receiver, and how far it has come"""

    id: str
    object: Literal["webhook"] = "webhook"
    job_id: str
    url: str
    state: str
    tries: int
    #: None where none is to come, and while the job has not ended.
    next_try_at: float | None
    last_error: str | None
    delivered_at: float | None


class JobShown(BaseModel):
    """A job; images and whole prompts are not shown in lists"""

    id: str
    object: Literal["job"] = "job"
    kind: str
    model: str
    status: str
    phase: str | None
    progress: int
    priority: int
    created: float
    started_at: float | None
    finished_at: float | None
    attempt: int
    worker_id: str | None
    waiting_reason: str | None
    retry_at: float | None
    retry_of: str | None
    error: JobError | None
    prompt_preview: str | None
    video_url: str | None
    video_size: int | None
    video_seconds: float | None
    image_urls: list[str]
    image_size: int | None
    late_result: LateResult | None
    attempts: list[AttemptShown] | None = None
    text: str | None = None
    webhook: WebhookShown | None = None


class JobList(BaseModel):
    """Jobs, newest first"""

    object: Literal["list"] = "list"
    data: list[JobShown]
    has_more: bool
    next_cursor: str | None


class Deleted(BaseModel):
    """How many jobs were deleted, or would be"""

    deleted: int
    dry_run: bool


class JobDeleted(BaseModel):
    """What was done with one job"""

    id: str
    outcome: Literal["cancelled", "deleted"]


class LogsDeleted(BaseModel):
    """How many log files were removed"""

    removed_files: int


class WorkerList(BaseModel):
    """The workers that are here"""

    object: Literal["list"] = "list"
    data: list[WorkerShown]


class GiveDirective(BaseModel):
    """What a worker is to do"""

    directive: Directive


class Told(BaseModel):
    """A worker will hear it on its next call"""

    worker_id: str
    directive: Directive


class WebhookList(BaseModel):
    """Webhooks, newest first"""

    object: Literal["list"] = "list"
    data: list[WebhookShown]
    has_more: bool
    next_cursor: str | None


Count = Annotated[int, Field(ge=1, le=1_000_000)]


def _visible(text: str) -> str:
    if not text.isprintable():
        raise ValueError("only visible characters")
    return text


Name = Annotated[str, Field(max_length=100), AfterValidator(_visible)]


class CreateKey(BaseModel):
    """A key to be made"""

    scope: Scope
    label: Name = ""
    #: Keys of one owner see each other's jobs; without it the key has jobs of its own.
    owner: Name | None = None
    #: How long it lasts; a worker's 180 unless said, any other for ever.
    days: Annotated[float, Field(gt=0, lt=36_500)] | None = None
    per_minute: Count | None = None
    open_jobs: Count | None = None
    daily_jobs: Count | None = None
    models: list[str] | None = None


class KeyShown(BaseModel):
    """A key, without what makes it work"""

    id: str
    scope: Scope
    owner: str
    label: str
    is_live: bool
    created_at: float
    expires_at: float | None
    revoked_at: float | None
    last_used_at: float | None
    per_minute: int | None
    open_jobs: int | None
    daily_jobs: int | None
    models: list[str] | None


class KeyMade(KeyShown):
    """A new key with its text"""

    key: str = Field(repr=False)


class KeyList(BaseModel):
    """The keys"""

    object: str = "list"
    data: list[KeyShown]


class ConfirmPairing(BaseModel):
    """The owner's yes"""

    #: As the worker shows it; blanks do not count.
    code: Annotated[str, Field(max_length=20)]
    #: Whose jobs the worker's key makes it part of; without it the key is its own.
    owner: Name | None = None
    #: What the key is called; without it as the worker calls itself.
    label: Name | None = None


class PairingShown(BaseModel):
    """A worker that asks to be let in"""

    id: str
    object: Literal["pairing"] = "pairing"
    state: PairingState
    name: str
    words: list[str]
    #: Where it called from.
    address: str
    #: How many wrong codes it survives.
    tries_left: int
    #: Unix seconds.
    expires_at: float


class PairingList(BaseModel):
    """The workers that wait to be let in, the oldest first"""

    object: Literal["list"] = "list"
    data: list[PairingShown]
