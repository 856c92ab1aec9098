"""Everything that can go wrong, by name. Knows no HTTP: `api/errors.py` alone turns a code into a status.

BrokerError
├── BadRequest            what was asked cannot be done as asked
│   ├── InvalidValue          a field has the wrong type or value
│   ├── MissingParameter      a required field is absent
│   ├── UnsupportedParameter  understood, but not offered here
│   ├── InvalidJson           the body is not the JSON object it should be
│   └── ModelNotFound         no such model
├── KeyRefused            who calls is not known here
├── NotInScope            who calls is known, and may not do this
├── LinkOver              the link to a film or image was not signed by us, or is too old
├── LimitReached          the key's own limit; `retry_after_seconds` says when it is over
├── NotFound              no such job, film or path (another owner's job looks the same)
├── NotReady              asked for a film before it is there
├── Gone                  the film was there and has been pruned
├── Conflict              true once, not any more
│   ├── LeaseLost             the lease token is stale, unknown or missing
│   ├── AlreadyFinished       the job has ended; nothing changes it
│   ├── ResultConflict        another result has already been published
│   ├── ChunkGap              a chunk is missing before this one
│   ├── AlreadySubmitted      the prompt was sent, so the job cannot be handed back uncounted
│   └── IdempotencyConflict   this key was used for another request
├── ResultRejected        the file is not an acceptable film; `gate_class` says why
├── TooLarge              over the size limit
├── Overloaded            too many waiting; try again later
├── DiskFull              no room for new work; reading goes on
├── PackUnusable          the page pack's file will not do
├── ShuttingDown          this broker is going away
├── StoreFailed           the database did not answer; the outcome of the call is unknown
└── StartRefused          the broker cannot start; `exit_code` says why
    ├── BadSetting            a setting has a wrong value
    ├── PortTaken             another program listens there
    ├── BrokerRunning         another broker holds this database
    ├── SchemaTooNew          the database belongs to a newer version
    └── DatabaseDamaged       the database cannot be read
"""

from typing import ClassVar


class BrokerError(Exception):
    """Something went wrong."""

    code: ClassVar[str] = "internal_error"
    #: Does sending the same thing again help?
    can_retry: ClassVar[bool] = False

    def __init__(self, message: str = "", *, param: str | None = None) -> None:
        self.message = message or (self.__doc__ or "").strip()
        self.param = param
        super().__init__(self.message)


class BadRequest(BrokerError):
    """The request cannot be carried out as it stands."""

    code = "invalid_request"


class InvalidValue(BadRequest):
    """A field has a wrong value."""

    code = "invalid_value"


class MissingParameter(BadRequest):
    """A required field is missing."""

    code = "missing_required_parameter"


class UnsupportedParameter(BadRequest):
    """This is not offered here."""

    code = "unsupported_parameter"


class InvalidJson(BadRequest):
    """The body must be one JSON object in UTF-8."""

    code = "invalid_json"


class ModelNotFound(BadRequest):
    """No such model. GET /v1/models lists those there are."""

    code = "model_not_found"


class KeyRefused(BrokerError):
    """A key is needed here: Authorization: Bearer gb…. The one that was sent, if any, is not in force."""

    code = "invalid_api_key"


class NotInScope(BrokerError):
    """This key may not do that."""

    code = "scope_not_allowed"


class LinkOver(BrokerError):
    """This link is not valid, or not any more. Ask for the job again to get a new one."""

    code = "link_not_valid"


class LimitReached(BrokerError):
    """This key's limit is reached."""

    code = "rate_limit_exceeded"
    can_retry = True

    def __init__(self, message: str, retry_after_seconds: float) -> None:
        super().__init__(message)
        self.retry_after_seconds = retry_after_seconds


class NotFound(BrokerError):
    """Job not found"""

    code = "not_found"


class NotReady(BrokerError):
    """The video is not ready yet. Ask for the job until its status is completed."""

    code = "video_not_ready"


class Gone(BrokerError):
    """The video has been removed after its retention time."""

    code = "gone"


class Conflict(BrokerError):
    """The job has moved on."""

    code = "conflict"


class LeaseLost(Conflict):
    """This lease is over. Stop working on the job and poll again."""

    code = "lease_lost"


class AlreadyFinished(Conflict):
    """The job has ended; its outcome stays as it is."""

    code = "already_finished"


class ResultConflict(Conflict):
    """Another result has already been published for this job."""

    code = "result_conflict"


class ChunkGap(Conflict):
    """A chunk is missing. Send again from the sequence number that was expected."""

    code = "chunk_gap"

    def __init__(self, expected_seq: int) -> None:
        super().__init__(f"A chunk is missing: send again from seq {expected_seq}.")
        self.expected_seq = expected_seq


class AlreadySubmitted(Conflict):
    """The prompt has been submitted, so the job cannot be released. Report an error instead."""

    code = "already_submitted"


class IdempotencyConflict(Conflict):
    """This Idempotency-Key has been used for another request. Choose a new key for each new request."""

    code = "idempotency_conflict"


class ResultRejected(BrokerError):
    """The file is not an acceptable video. The job is still open."""

    code = "result_rejected"

    def __init__(self, gate_class: str, message: str) -> None:
        super().__init__(message)
        self.gate_class = gate_class


class TooLarge(BrokerError):
    """The body is over the size limit."""

    code = "request_too_large"


class Overloaded(BrokerError):
    """Too much is waiting here already. Try again in a few seconds."""

    code = "queue_full"
    can_retry = True


class DiskFull(BrokerError):
    """The disk is nearly full, so no new work is taken. Reading goes on."""

    code = "disk_full"
    can_retry = True


class PackUnusable(BrokerError):
    """The page pack's file will not do."""

    code = "pack_unusable"


class ShuttingDown(BrokerError):
    """The broker is shutting down. Try again in a few seconds."""

    code = "shutting_down"
    can_retry = True


class StoreFailed(BrokerError):
    """The database did not answer. The outcome of this call is unknown; repeating it is safe."""

    code = "store_failed"
    can_retry = True


class StartRefused(BrokerError):
    """The broker cannot start."""

    code = "start_refused"
    exit_code: ClassVar[int] = 1


class BadSetting(StartRefused):
    """A setting has a wrong value."""

    code = "bad_setting"
    exit_code = 2


class PortTaken(StartRefused):
    """Another program listens on this port."""

    code = "port_taken"
    exit_code = 7


class DatabaseDamaged(StartRefused):
    """The database cannot be read."""

    code = "database_damaged"
    exit_code = 3


class BrokerRunning(StartRefused):
    """Another broker is running on this database."""

    code = "broker_running"
    exit_code = 4


class SchemaTooNew(StartRefused):
    """The database was written by a newer version of the broker."""

    code = "schema_too_new"
    exit_code = 6
