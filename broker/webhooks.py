"""Webhooks: whom to tell of a job's end, in which words, how signed, how often. Rules; what sends is `hooks/`.

The signature is that of Standard Webhooks, which the OpenAI SDK verifies too. The row of a delivery is made in the
transaction that makes its job, so nothing between a job's end and its delivery can lose it.
"""

import base64
import hmac
import json
from collections.abc import Awaitable, Callable, Mapping, Sequence
from enum import StrEnum
from typing import Any, NamedTuple, Protocol

from broker.addresses import checked_url
from broker.errors import InvalidValue
from broker.ids import JobId, response_spelling, uuid_spelling, video_spelling
from broker.jobs import Job, JobKind, JobState, Payload
from broker.outputs import Result, picture_names

#: The pauses after each try that failed but the last: eight tries, of which the last is made within 24 hours.
PAUSE_SECONDS = (5.0, 60.0, 300.0, 1800.0, 7200.0, 21_600.0, 50_400.0)
#: By this part a pause is longer or shorter, so that what failed together is not tried again together.
JITTER = 0.05
#: The status by which a receiver says that it wants no more of this.
GONE_STATUS = 410
#: The field by which a request names its receiver.
PARAM = "webhook_url"
SECRET_PREFIX = "whsec_"
#: What Standard Webhooks asks of a key.
KEY_BYTES = range(24, 65)
#: How a text ended that is not whole.
_CUT_OFF = ("length", "content_filter")


class DeliveryState(StrEnum):
    #: For the end of its job, or for its next try.
    WAITING = "waiting"
    DELIVERED = "delivered"
    #: Every try failed, or the receiver wants no more.
    DEAD = "dead"


class Delivery(NamedTuple):
    """One event for one receiver, through all its tries."""

    id: str
    job_id: JobId
    url: str
    state: DeliveryState
    tries: int
    next_try_at: float
    last_error: str | None
    delivered_at: float | None

    def tried(self, answer: "Answer", now: float, roll: float) -> "Delivery":
        """The delivery after one more try. `roll`, from 0 to 1, spreads the next one."""
        after = self._replace(tries=self.tries + 1, last_error=answer.trouble)
        if answer.is_taken:
            return after._replace(state=DeliveryState.DELIVERED, delivered_at=now)
        if answer.status == GONE_STATUS or after.tries > len(PAUSE_SECONDS):
            return after._replace(state=DeliveryState.DEAD)
        pause = PAUSE_SECONDS[self.tries] * (1 + JITTER * (2 * roll - 1))
        return after._replace(next_try_at=now + pause)

    def again(self, now: float) -> "Delivery":
        """With all its tries before it, the first of them now."""
        return self._replace(
            state=DeliveryState.WAITING,
            tries=0,
            next_try_at=now,
            last_error=None,
            delivered_at=None,
        )


class Answer(NamedTuple):
    """What came of one try: the status that was answered, or what went wrong before there was one."""

    status: int | None
    trouble: str | None = None

    @property
    def is_taken(self) -> bool:
        return self.status is not None and 200 <= self.status < 300


def answered(status: int) -> Answer:
    is_taken = Answer(status).is_taken
    return Answer(status, None if is_taken else f"The receiver answered {status}.")


class Outbox(Protocol):
    """Deliveries, durably. They are made and deleted with their jobs."""

    def due(self, now: float, limit: int, but: Sequence[str] = ()) -> Awaitable[Sequence[Delivery]]:
        """Deliveries of jobs that have ended, longest due first, but for URLs that begin with one of these."""

    def note(self, before: Delivery, after: Delivery) -> Awaitable[bool]:
        """Writes a delivery back; False, and nothing is written, if it is not what it was before."""

    def page(
        self, state: DeliveryState | None, limit: int, after: str | None = None
    ) -> Awaitable[Sequence[Delivery]]:
        """Deliveries in this state, or in any, newest first, behind that one. Raises `NotFound` for a stranger."""

    def find(self, delivery_id: str) -> Awaitable[Delivery | None]: ...

    def of_job(self, job_id: JobId) -> Awaitable[Delivery | None]: ...


# Where to.


def receiver_of(asked: Any, default: str | None, *, may_be_private: bool) -> str | None:
    """Who is told of a job: the checked `webhook_url` of its request, else the default. Raises `InvalidValue`."""
    if asked is None:
        return default
    if not isinstance(asked, str):
        raise InvalidValue(f"{PARAM} must be a URL.", param=PARAM)
    return checked_url(asked, PARAM, may_be_private=may_be_private)


# What is said.


def is_response(payload: Payload) -> bool:
    """Whether a chat was asked for as a response: its own fields stand under that name in what was kept."""
    # Looked for before it is parsed: a chat may hold a megabyte.
    if payload.request is None or '"response"' not in payload.request:
        return False
    return isinstance(json.loads(payload.request).get("response"), dict)


def event_of(
    delivery: Delivery,
    job: Job,
    result: Result | None,
    link: Callable[[str], str],
    *,
    is_response: bool,
) -> dict[str, Any]:
    """What the receiver is told. Neither prompt nor text is in it: those are for whoever may read the job.

    `link` makes of the path of a film or image what opens it.
    """
    subject = "response" if is_response else str(job.kind)
    return {
        "id": delivery.id,
        "object": "event",
        "type": f"{subject}.{_outcome(job, result, is_response)}",
        "created_at": int(job.finished_at or job.created_at),
        "data": {"id": _spelling(job, is_response), "job": _shown(job, result, link)},
    }


def _outcome(job: Job, result: Result | None, is_response: bool) -> str:
    """The last word of the event's type; only responses have more than two."""
    if is_response and _is_cut_off(job, result):
        return "incomplete"
    if is_response and job.state == JobState.CANCELLED:
        return "cancelled"
    return "completed" if job.state == JobState.COMPLETED else "failed"


def _is_cut_off(job: Job, result: Result | None) -> bool:
    """A text that was refused is an answer without an end, as one that grew too long is."""
    if job.state == JobState.COMPLETED:
        return result is not None and result.finish_reason in _CUT_OFF
    return job.error_code == "moderated"


def _spelling(job: Job, is_response: bool) -> str:
    """The id by which the client that made the job knows it."""
    if job.kind == JobKind.VIDEO:
        return video_spelling(job.id)
    if job.kind == JobKind.CHAT:
        return response_spelling(job.id) if is_response else f"chatcmpl-{job.id}"
    return job.id


def _shown(job: Job, result: Result | None, link: Callable[[str], str]) -> dict[str, Any]:
    """The job in the words of `GET /jobs/{id}`."""
    error = {"code": job.error_code, "message": job.error_message or ""}
    return {
        "job_id": job.id,
        "request_id": uuid_spelling(job.id),
        "kind": job.kind,
        "model": job.model,
        "status": job.state,
        "created": job.created_at,
        "started_at": job.started_at,
        "finished_at": job.finished_at,
        "attempt": job.attempt,
        "retry_of": job.retry_of,
        "error": error if job.error_code is not None else None,
        **_left(job, result, link),
    }


def _left(job: Job, result: Result | None, link: Callable[[str], str]) -> dict[str, Any]:
    """Where what it left is to be had, as long as it is kept."""
    kept = result if result is not None and result.removed_at is None else None
    film = kept if job.kind == JobKind.VIDEO else None
    pictures = kept.pictures if kept is not None else ()
    return {
        "video_url": link(f"/videos/{job.id}.mp4") if film else None,
        "video_size": film.size_bytes if film else None,
        "video_seconds": film.duration_seconds if film else None,
        "image_urls": [link(f"/images/{name}") for name in picture_names(job.id, pictures)],
    }


# How it is signed.


def read_secret(text: str) -> bytes:
    """The key within a secret. Raises `ValueError` for what is none."""
    if not text.startswith(SECRET_PREFIX):
        raise ValueError
    key = base64.b64decode(text.removeprefix(SECRET_PREFIX), validate=True)
    if len(key) not in KEY_BYTES:
        raise ValueError
    return key


def written_secret(key: bytes) -> str:
    return SECRET_PREFIX + base64.b64encode(key).decode()


def signed_headers(key: bytes, delivery_id: str, wall: float, body: bytes) -> Mapping[str, str]:
    """The three headers by which a receiver knows who sent this body, when, and whether it has had it before."""
    timestamp = str(int(wall))
    digest = hmac.digest(key, f"{delivery_id}.{timestamp}.".encode() + body, "sha256")
    return {
        "webhook-id": delivery_id,
        "webhook-timestamp": timestamp,
        "webhook-signature": f"v1,{base64.b64encode(digest).decode()}",
    }
