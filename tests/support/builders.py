"""Records for tests, complete but for what a test is about."""

from typing import Any

from broker.ids import LOCAL_OWNER, LeaseToken, WorkerId, hash_token, new_job_id
from broker.jobs import Job, JobKind, Payload
from broker.leases import Lease, Timers
from broker.outputs import Picture, Result, digest_of
from broker.ports import Grant
from broker.submissions import NewJob

NOW = 1_800_000_000.0
TIMERS = {
    JobKind.VIDEO: Timers(150.0, 300.0, 900.0, 86_400.0),
    JobKind.IMAGE: Timers(150.0, 300.0, 900.0, 240.0),
    JobKind.CHAT: Timers(90.0, 60.0, 600.0, 60.0),
}
WORKER = WorkerId("wrk_one")
OTHER_WORKER = WorkerId("wrk_two")
TOKEN = LeaseToken("lt_one")


def timers_for(kind: JobKind) -> Timers:
    return TIMERS[kind]


def a_new_job(kind: JobKind = JobKind.VIDEO, prompt: str = "a cat", **fields: Any) -> NewJob:
    return NewJob(LOCAL_OWNER, kind, "grok", Payload(prompt), **fields)


def a_job(kind: JobKind = JobKind.VIDEO, now: float = NOW, **fields: Any) -> Job:
    return a_new_job(kind, job_id=new_job_id()).job(now, TIMERS[kind])._replace(**fields)


def a_lease(
    kind: JobKind = JobKind.VIDEO,
    now: float = NOW,
    *,
    token: LeaseToken = TOKEN,
    worker: WorkerId = WORKER,
    is_legacy: bool = False,
) -> Lease:
    return Lease.granted(hash_token(token), worker, now, TIMERS[kind], is_legacy=is_legacy)


def a_grant(
    kind: JobKind = JobKind.VIDEO, now: float = NOW, **of_lease: Any
) -> dict[JobKind, Grant]:
    lease = a_lease(kind, now, **of_lease)
    return {kind: Grant(lease, lease.deadline(TIMERS[kind]))}


def a_picture_result(*contents: str, now: float = NOW) -> Result:
    pictures = tuple(Picture(f"sha-of-{each}", 10, "image/png", 640, 480) for each in contents)
    return Result(digest_of(pictures), 10 * len(pictures), 1, now, pictures=pictures)


def a_film_result(content: str = "film", now: float = NOW) -> Result:
    return Result(f"sha-of-{content}", 1000, 1, now, 6.0, 640, 360)
