"""A client waits for its job, as long as it is there, the broker stays, and its door lets it.

What is answered then is the door's affair.
"""

from broker.api.deps import Deps
from broker.api.errors import Problem, problem_of_job
from broker.api.lean import Call
from broker.errors import BrokerError, ShuttingDown
from broker.jobs import Job, JobState
from broker.notifier import News, Watch
from broker.outputs import Result

#: How often a waiting request looks whether its client is still there.
LOOK_SECONDS = 1.0


class Patience:
    """How long the clients of one door wait, and what becomes of the jobs of those who leave."""

    def __init__(self, deps: Deps, wait_seconds: float) -> None:
        self._queue = deps.queue
        self._store = deps.store
        self._notifier = deps.notifier
        self._clock = deps.clock
        self._wait_seconds = wait_seconds

    async def until_ended(self, call: Call, job: Job, watch: Watch) -> News | None:
        """How the job ended, or how it stands when the wait is over; None where the client has left.

        Raises `ShuttingDown`.
        """
        while True:
            news = await self.next(job, watch)
            if news is not None and news.job.state.is_final:
                return news
            if news is not None:
                job = news.job
            elif self._notifier.is_draining:
                await self.leave(job)
                raise ShuttingDown()
            elif not call.is_alive():
                await self.leave(job)
                return None
            elif self.is_over(job):
                return News(job)

    async def next(self, job: Job, watch: Watch) -> News | None:
        """The next news, or None after a moment in which there was none."""
        left = job.created_at + self._wait_seconds - self._clock.now()
        return await watch.next(min(LOOK_SECONDS, left) if left > 0 else LOOK_SECONDS)

    def is_over(self, job: Job) -> bool:
        return self._clock.now() >= job.created_at + self._wait_seconds

    async def leave(self, job: Job) -> None:
        """Nobody waits any more: what has cost nothing yet is cancelled, the rest finishes and is kept."""
        try:
            await self._queue.cancel(job.id, None, only_unsubmitted=True)
        except BrokerError:
            return  # It has ended meanwhile.

    async def result(self, news: News) -> Result | None:
        """What the job left; None where it ended without."""
        if news.result is not None or news.job.state != JobState.COMPLETED:
            return news.result
        record = await self._store.get(news.job.id)
        return record.result if record else None

    def problem(self, job: Job) -> Problem:
        """What to tell of a job that ended without a result."""
        message = job.error_message or "The job failed."
        if job.error_code in ("client_wait_over", "expired"):
            message = f"No answer came in time. {self._whereabouts()}".strip()
        wait = None if job.ready_at is None else job.ready_at - self._clock.now()
        return problem_of_job(job.error_code or "worker_error", message, wait)

    def _whereabouts(self) -> str:
        if self._notifier.parked_count:
            return ""
        return "No worker is connected; GET / lists those that are."
