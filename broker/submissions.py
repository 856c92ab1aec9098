"""What a client asks for, and the pending job it becomes. Keeps nothing: that is the queue's deed."""

from typing import NamedTuple

from broker.ids import JobId, Owner, new_job_id
from broker.jobs import Job, JobKind, JobState, OnLost, Payload
from broker.keys import NO_LIMITS, Limits
from broker.leases import Timers
from broker.repeats import RequestKey

#: How much waiting one step of priority is worth.
PRIORITY_SECONDS = 120.0
PRIORITIES = range(10)


class NewJob(NamedTuple):
    """What a client asks for."""

    owner: Owner
    kind: JobKind
    model: str
    payload: Payload
    #: Chosen beforehand where something (an input image) already carries the job's name.
    job_id: JobId | None = None
    priority: int = 0
    on_lost: OnLost = OnLost.RECOVER
    is_streaming: bool = False
    retry_of: JobId | None = None
    #: What its request is known by, so that a repeat makes no second job.
    key: RequestKey | None = None
    #: Whom to tell when it has ended.
    webhook_url: str | None = None
    #: How many jobs its owner may have.
    limits: Limits = NO_LIMITS
    #: How long it may wait for a worker, where nobody waits for it; else as long as is usual for its kind.
    queue_seconds: float | None = None

    def job(self, now: float, timers: Timers) -> Job:
        deadline = now + (self.queue_seconds or timers.queue_seconds)
        return Job(
            id=self.job_id or new_job_id(),
            owner=self.owner,
            kind=self.kind,
            model=self.model,
            state=JobState.PENDING,
            priority=self.priority,
            on_lost=self.on_lost,
            is_streaming=self.is_streaming,
            retry_of=self.retry_of,
            created_at=now,
            turn=turn(now, self.priority),
            ready_at=None,
            queue_deadline_at=deadline,
            deadline_at=deadline,
            attempt=0,
            losses=0,
            submitted_at=None,
            evidence=None,
            reserved_for=None,
            reserved_until=None,
            next_seq=0,
            waiting_reason=None,
            error_code=None,
            error_message=None,
            started_at=None,
            finished_at=None,
            lease=None,
        )


def turn(created_at: float, priority: int) -> float:
    """The place of a new job in the queue: its age, with a lead for each step of priority.

    Two jobs keep their order for ever, so the queue can be read off an index, and waiting outweighs any
    priority in the end.
    """
    return created_at - PRIORITY_SECONDS * priority
