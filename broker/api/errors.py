"""Error → status and body. The only place that knows both the error tree and HTTP."""

import json
import math
from collections.abc import Mapping
from typing import Any, NamedTuple

from broker.api.lean import Reply
from broker.errors import BrokerError, ChunkGap, LimitReached, ResultRejected

_INVALID = "invalid_request_error"
_SERVER = "server_error"


class Kind(NamedTuple):
    """How a code is answered."""

    status: int
    type: str
    #: False adds `x-should-retry: false`: SDKs would repeat what cannot help, or what would cost quota.
    can_retry: bool = True
    retry_after_seconds: int | None = None


#: Code → answer. `docs/api.md` names the same codes; a test compares them.
KINDS: dict[str, Kind] = {
    "invalid_request": Kind(400, _INVALID),
    "invalid_value": Kind(400, _INVALID),
    "missing_required_parameter": Kind(400, _INVALID),
    "unsupported_parameter": Kind(400, _INVALID),
    "invalid_json": Kind(400, _INVALID),
    "model_not_found": Kind(404, _INVALID),
    "not_found": Kind(404, "not_found_error"),
    "invalid_api_key": Kind(401, _INVALID),
    "scope_not_allowed": Kind(403, "permission_error"),
    "link_not_valid": Kind(403, "permission_error"),
    "rate_limit_exceeded": Kind(429, "rate_limit_exceeded"),
    "method_not_allowed": Kind(405, _INVALID),
    "video_not_ready": Kind(409, _INVALID, can_retry=False),
    "conflict": Kind(409, _INVALID, can_retry=False),
    "lease_lost": Kind(409, _INVALID, can_retry=False),
    "already_finished": Kind(409, _INVALID, can_retry=False),
    "result_conflict": Kind(409, _INVALID, can_retry=False),
    "chunk_gap": Kind(409, _INVALID, can_retry=False),
    "already_submitted": Kind(409, _INVALID, can_retry=False),
    "idempotency_conflict": Kind(409, _INVALID, can_retry=False),
    "gone": Kind(410, _INVALID),
    "request_too_large": Kind(413, _INVALID),
    "unsupported_media_type": Kind(415, _INVALID),
    "range_not_satisfiable": Kind(416, _INVALID),
    "host_not_allowed": Kind(421, "permission_error"),
    "origin_not_allowed": Kind(403, "permission_error"),
    "result_rejected": Kind(422, _INVALID),
    "queue_full": Kind(503, _SERVER, retry_after_seconds=5),
    "disk_full": Kind(507, _SERVER, retry_after_seconds=60),
    "no_worker": Kind(503, _SERVER, can_retry=False),
    "worker_logged_out": Kind(503, _SERVER, can_retry=False),
    "invalid_model_output": Kind(502, _SERVER, can_retry=False),
    "pack_unusable": Kind(503, _SERVER, can_retry=False),
    "shutting_down": Kind(503, _SERVER, retry_after_seconds=5),
    "store_failed": Kind(503, _SERVER, retry_after_seconds=2),
    "internal_error": Kind(500, _SERVER, can_retry=False),
}

#: How a failed job is told to a client that waited for it; what is not named here is `worker_error`, 502.
JOB_KINDS: dict[str, Kind] = {
    "rate_limited": Kind(429, "rate_limit_exceeded"),
    "client_wait_over": Kind(504, _SERVER, can_retry=False),
    "expired": Kind(504, _SERVER, can_retry=False),
    "timeout": Kind(504, _SERVER, can_retry=False),
    "cancelled": Kind(409, _INVALID, can_retry=False),
    "option_refused": Kind(400, _INVALID, can_retry=False),
    "bad_input": Kind(400, _INVALID, can_retry=False),
    "upload_rejected": Kind(400, _INVALID, can_retry=False),
    "moderated": Kind(400, _INVALID, can_retry=False),
}
MAX_RETRY_AFTER_SECONDS = 60
WORKER_ERROR = Kind(502, _SERVER, can_retry=False)
#: Our names of these failures are not the ones that clients know.
_CLIENT_CODES = {
    "client_wait_over": "timeout",
    "expired": "timeout",
    "rate_limited": "rate_limit_exceeded",
    "moderated": "content_policy_violation",
}


class Problem(NamedTuple):
    """An error as a client sees it."""

    status: int
    type: str
    code: str
    message: str
    param: str | None = None
    headers: tuple[tuple[bytes, bytes], ...] = ()
    extra: Mapping[str, Any] = {}

    @property
    def body(self) -> dict[str, Any]:
        error = {
            "message": self.message,
            "type": self.type,
            "param": self.param,
            "code": self.code,
            **self.extra,
        }
        return {"error": error, "detail": self.message}

    def reply(self) -> Reply:
        return Reply(self.status, json.dumps(self.body).encode(), headers=self.headers)


def problem(code: str, message: str, param: str | None = None, **extra: Any) -> Problem:
    kind = KINDS[code]
    return Problem(kind.status, kind.type, code, message, param, _headers(kind), extra)


def problem_of(error: BrokerError, invalid_status: int = 400) -> Problem:
    """How an error of the core is told, on a route whose refused fields have this status."""
    told = problem(error.code, error.message, error.param, **_extra(error))
    if isinstance(error, LimitReached):
        seconds = max(1, math.ceil(error.retry_after_seconds))
        return told._replace(headers=told.headers + _wait_headers(KINDS[error.code], seconds))
    if told.status == 400 and error.code not in ("invalid_json", "unsupported_parameter"):
        return told._replace(status=invalid_status)
    return told


def problem_of_job(code: str, message: str, retry_after_seconds: float | None = None) -> Problem:
    """How a job's failure is told to a client that waited for it."""
    kind = JOB_KINDS.get(code, WORKER_ERROR)
    headers = _headers(kind)
    if retry_after_seconds is not None:
        headers += _wait_headers(kind, max(1, round(retry_after_seconds)))
    told = _CLIENT_CODES.get(code, code)
    return Problem(kind.status, kind.type, told, message, None, headers)


def _wait_headers(kind: Kind, seconds: int) -> tuple[tuple[bytes, bytes], ...]:
    """When to ask again. SDKs heed no longer wait than a minute, and would spend their repeats within it."""
    told = b"%d" % min(seconds, MAX_RETRY_AFTER_SECONDS)
    headers: tuple[tuple[bytes, bytes], ...] = ((b"retry-after", told),)
    if kind.status == 429:
        headers += (
            (b"x-ratelimit-remaining-requests", b"0"),
            (b"x-ratelimit-reset-requests", b"%ds" % seconds),
        )
    if seconds > MAX_RETRY_AFTER_SECONDS and kind.can_retry:
        headers += ((b"x-should-retry", b"false"),)
    return headers


def _headers(kind: Kind) -> tuple[tuple[bytes, bytes], ...]:
    headers: tuple[tuple[bytes, bytes], ...] = ()
    if kind.status == 401:
        headers += ((b"www-authenticate", b"Bearer"),)
    if kind.status >= 409 and not kind.can_retry:
        headers += ((b"x-should-retry", b"false"),)
    if kind.retry_after_seconds is not None:
        headers += ((b"retry-after", b"%d" % kind.retry_after_seconds),)
    return headers


def _extra(error: BrokerError) -> dict[str, Any]:
    if isinstance(error, ChunkGap):
        return {"expected_seq": error.expected_seq}
    if isinstance(error, ResultRejected):
        return {"gate_class": error.gate_class}
    return {}
