"""How a request that is sent again is known, and whether it finds the job that its first sending made.

Values and rules only. A client names its requests with an Idempotency-Key; one that does not is known by what it
sent, and only where it says that it repeats itself.
"""

from typing import NamedTuple

from broker.errors import IdempotencyConflict
from broker.jobs import Job, JobState

#: How long a client's own key is remembered.
KEY_SECONDS = 24 * 3600.0
#: How soon after a failure an SDK that says nothing of it repeats itself.
GUESS_SECONDS = 15.0
#: How long after its end a job is still the answer to a repeat that was known by its body alone.
REPEAT_SECONDS = 600.0


class RequestKey(NamedTuple):
    """What one request is known by."""

    #: Belongs to its owner: another owner's request of the same name is another request.
    name: str
    #: Of what was asked. The same name for something else is a conflict.
    digest: str
    #: Whether it may find an earlier job; without it a new job is made, and takes the name over.
    joins: bool
    #: Chosen by the client, so kept to even after the job has ended.
    is_chosen: bool
    #: Its client repeats itself after a failure without saying so: what failed a moment ago is told again.
    is_guessed: bool = False


class KnownRequest(NamedTuple):
    """A request that made a job, and the job as it is now."""

    digest: str
    created_at: float
    job: Job


def finds(key: RequestKey, known: KnownRequest, now: float) -> bool:
    """Whether a request of this key is answered with the known job. Raises `IdempotencyConflict`.

    A job that ended badly before anything was spent is no answer: the repeat is what tries it again.
    """
    if not key.joins or now >= known.created_at + KEY_SECONDS or _ended_for_nothing(known.job):
        return False
    if key.digest != known.digest:
        raise IdempotencyConflict()
    ended_at = known.job.finished_at
    if key.is_guessed:
        has_failed = known.job.state == JobState.FAILED and ended_at is not None
        return has_failed and now < (ended_at or 0.0) + GUESS_SECONDS
    return key.is_chosen or ended_at is None or now < ended_at + REPEAT_SECONDS


def _ended_for_nothing(job: Job) -> bool:
    return job.state in (JobState.FAILED, JobState.CANCELLED) and job.submitted_at is None
