"""A client waits for its job, as long as it is there, the broker stays, and its door lets it.

What is answered then is the door's affair.
"""

from broker.api.deps import Deps
from broker.api.errors import Problem, problem, problem_of_job
from broker.api.lean import Call
from broker.api.waits import LOOK_SECONDS, parse_seconds, parse_wait
from broker.errors import BrokerError, ShuttingDown
from broker.jobs import Job, JobState
from broker.notifier import News, Watch
from broker.outputs import Result
from broker.ports import Clock

#: How often white space is sent once an answer has been promised.
DRIP_SECONDS = 15.0
#: How much earlier than the client gives up it is answered; for short patience, this part of it.
MARGIN_SECONDS, MARGIN = 10.0, 0.2


class Patience:
    """How long the clients of one door wait, and what becomes of the jobs of those who leave."""

    def __init__(self, deps: Deps, wait_seconds: float) -> None:
        self._queue = deps.queue
        self._store = deps.store
        self._notifier = deps.notifier
        self._roster = deps.roster
        self._clock = deps.clock
        self._wait_seconds = wait_seconds
        self._silent_seconds = deps.settings.silent_wait_seconds

    async def until_ended(self, call: Call, job: Job, watch: Watch) -> News | None:
        """How the job ended, or how it stands when the wait is over; None where the client has left.

        Raises `ShuttingDown`.
        """
        silence = _Silence(call, self._clock, self._silent_seconds)
        over_at = min(job.created_at + self._wait_seconds, self._clients_limit(call))
        while True:
            news = await watch.next(self._look_seconds(min(over_at, silence.ends_at)))
            if news is not None and news.job.state.is_final:
                return news
            job = news.job if news else job
            if self._notifier.is_draining:
                await self.leave(job)
                raise ShuttingDown()
            if not call.is_alive():
                await self.leave(job)
                return None
            if self._clock.now() >= over_at:
                return News(job)
            await silence.break_if_due()

    async def next(self, job: Job, watch: Watch) -> News | None:
        """The next news, or None after a moment in which there was none."""
        return await watch.next(self._look_seconds(job.created_at + self._wait_seconds))

    def is_over(self, job: Job) -> bool:
        return self._clock.now() >= job.created_at + self._wait_seconds

    async def leave(self, job: Job) -> None:
        """This client waits no more. If nobody does, what has cost nothing yet is cancelled; the rest is kept."""
        if self._notifier.watch_count(job.id) > 1:
            return
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
            if absent := self._nobody(job):
                return absent
            message = "No answer came in time."
        wait = None if job.ready_at is None else job.ready_at - self._clock.now()
        return problem_of_job(job.error_code or "worker_error", message, wait)

    def _nobody(self, job: Job) -> Problem | None:
        """Where a job was never begun: whether that is because there is nobody who could."""
        now = self._clock.now()
        able = [worker for worker in self._roster.present(now) if job.kind in worker.kinds]
        if job.attempt:
            return None
        if not able:
            message = f"No worker for {job.kind} is connected. GET /workers lists those that are."
            return problem("no_worker", message)
        reasons = {self._roster.skipped(worker, [job.kind], now).get(job.kind) for worker in able}
        if reasons <= {"needs_login", "not_logged_in"}:
            return problem("worker_logged_out", "Nobody is signed in to Grok in the worker's tab.")
        return None

    def _clients_limit(self, call: Call) -> float:
        """The moment at which this client should have its answer, by its own telling; else never."""
        for name in (b"x-stainless-timeout", b"x-stainless-read-timeout"):
            seconds = parse_seconds(call.header(name))
            if seconds is not None:
                return self._clock.now() + max(seconds - MARGIN_SECONDS, seconds * (1 - MARGIN))
        return float("inf")

    def _look_seconds(self, until: float) -> float:
        left = until - self._clock.now()
        return min(LOOK_SECONDS, left) if left > 0 else LOOK_SECONDS


class _Silence:
    """How long an answer may keep its client without a byte, and what is sent when that is over."""

    def __init__(self, call: Call, clock: Clock, seconds: float) -> None:
        self._call = call
        self._clock = clock
        self.ends_at = clock.now() + seconds

    async def break_if_due(self) -> None:
        """A status of 200 at first, then white space, which every JSON parser skips before the answer."""
        now = self._clock.now()
        if now < self.ends_at:
            return
        if not self._call.is_committed:
            await self._call.commit()
        await self._call.send_part(b" ")
        self.ends_at = now + DRIP_SECONDS


def wait_of(call: Call) -> float:
    """How long a GET is to wait for its job's end: `?wait=`, in seconds. Raises `InvalidValue`."""
    given = call.query().get("wait")
    return parse_wait(given[-1] if given else None)
