"""A worker asks for work and is handed a job: the question, the lease it is granted, the job in its hands."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

from broker.ids import UNNAMED_WORKER, LeaseToken, WorkerId, hash_token
from broker.jobs import Action, Job, JobKind, Payload
from broker.keys import KeyId
from broker.leases import Lease, Timers
from broker.ports import Grant


class Poll(NamedTuple):
    """A worker that asks for work."""

    worker_id: WorkerId
    #: In the order in which it would like them.
    kinds: Sequence[JobKind]
    wait_seconds: float
    #: Whether somebody is still there to be handed a job.
    is_alive: Callable[[], bool]
    #: The key it calls with, to which its lease is bound.
    key_id: KeyId | None = None


class Assignment(NamedTuple):
    """A job in a worker's hands."""

    job: Job
    payload: Payload
    token: LeaseToken
    action: Action
    #: How long the lease lasts from each beat on.
    lease_seconds: float


def grant(worker_id: WorkerId, token: LeaseToken, now: float, timers: Timers) -> Grant:
    """What a claim by this worker writes into the job. A worker without a name is one that cannot beat."""
    is_legacy = worker_id == UNNAMED_WORKER
    lease = Lease.granted(hash_token(token), worker_id, now, timers, is_legacy=is_legacy)
    return Grant(lease, lease.deadline(timers))


def lease_seconds(worker_id: WorkerId, timers: Timers) -> float:
    return timers.stall_seconds if worker_id == UNNAMED_WORKER else timers.lease_seconds
