"""Names of things: job ids in their spellings, worker ids, lease tokens.

Knows nothing of what the names stand for. Ids and tokens carry 128 random bits, so neither can be guessed.
"""

import hashlib
import re
import secrets
from typing import NewType

JobId = NewType("JobId", str)
WorkerId = NewType("WorkerId", str)
Owner = NewType("Owner", str)
LeaseToken = NewType("LeaseToken", str)
#: SHA-256 of a lease token: what is stored, so that a copied database holds no usable token.
TokenHash = NewType("TokenHash", str)

#: Whose jobs these are while no key has been created.
LOCAL_OWNER = Owner("local")
#: The worker that polls without naming itself, as the first generation of workers did.
UNNAMED_WORKER = WorkerId("unnamed")

_HEX_SPELLINGS = re.compile(r"(?:chatcmpl-job|job|video|resp)_([0-9a-f]{32})", re.ASCII)
_UUID_SPELLING = re.compile(
    r"([0-9a-f]{8})-([0-9a-f]{4})-([0-9a-f]{4})-([0-9a-f]{4})-([0-9a-f]{12})", re.ASCII
)
_WORKER_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}", re.ASCII)


def new_job_id() -> JobId:
    return JobId("job_" + _random_hex())


def new_lease_token() -> LeaseToken:
    return LeaseToken("lt_" + _random_hex())


_pool: list[str] = []


def _random_hex() -> str:
    """128 random bits. Read from the system 64 at a time: one system call for each would cost more than the job."""
    if not _pool:
        drawn = secrets.token_hex(16 * 64)
        _pool.extend(drawn[start : start + 32] for start in range(0, len(drawn), 32))
    return _pool.pop()


def new_worker_id() -> WorkerId:
    return WorkerId("wrk_" + secrets.token_hex(8))


def new_webhook_id() -> str:
    """What one webhook delivery is called, through all its tries."""
    return "msg_" + _random_hex()


def hash_token(token: LeaseToken) -> TokenHash:
    return TokenHash(hashlib.sha256(token.encode()).hexdigest())


def parse_job_id(text: str) -> JobId | None:
    """The job that `text` names in any of its spellings, or None: nothing else ever becomes a file name."""
    if match := _HEX_SPELLINGS.fullmatch(text):
        return JobId("job_" + match.group(1))
    if match := _UUID_SPELLING.fullmatch(text):
        return JobId("job_" + "".join(match.groups()))
    return None


def parse_worker_id(text: str) -> WorkerId | None:
    return WorkerId(text) if _WORKER_ID.fullmatch(text) else None


def is_unnamed(worker_id: WorkerId) -> bool:
    """Whether a worker did not name itself, whatever key it calls with."""
    return worker_id.rpartition(":")[2] == UNNAMED_WORKER


def video_spelling(job_id: JobId) -> str:
    return "video_" + job_id[4:]


def response_spelling(job_id: JobId) -> str:
    return "resp_" + job_id[4:]


def uuid_spelling(job_id: JobId) -> str:
    h = job_id[4:]
    return f"{h[:8]}-{h[8:12]}-{h[12:16]}-{h[16:20]}-{h[20:]}"
