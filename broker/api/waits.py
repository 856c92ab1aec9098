"""Asking for a job and waiting for its end in one call: `?wait=` of every GET that shows a job."""

from collections.abc import Callable

from broker.api.deps import Deps
from broker.errors import InvalidValue
from broker.ids import JobId
from broker.keys import Caller
from broker.ports import Record

#: Clients in Node.js give up after 300 s without headers, whatever they were told.
MAX_WAIT_SECONDS = 240.0
#: How often a waiting request looks whether its client is still there.
LOOK_SECONDS = 1.0


class Waits:
    def __init__(self, deps: Deps) -> None:
        self._store = deps.store
        self._notifier = deps.notifier
        self._clock = deps.clock

    async def ended(
        self, caller: Caller, job_id: JobId, wait_seconds: float, is_alive: Callable[[], bool]
    ) -> Record | None:
        """The job as it ended, or as it stands when the wait is over or the client has left.

        None, at once, for one that is not there for this caller.
        """
        record = await self._store.get(job_id)
        if record is not None and not caller.may_see(record.job.owner):
            return None
        if wait_seconds <= 0 or record is None or record.job.state.is_final:
            return record
        over_at = self._clock.now() + wait_seconds
        with self._notifier.watch(job_id, only_looks=True) as watch:
            # Once more, because it may have ended before the watch began.
            record = await self._store.get(job_id)
            has_ended = record is None or record.job.state.is_final
            while not has_ended and is_alive() and not self._notifier.is_draining:
                left = over_at - self._clock.now()
                if left <= 0:
                    break
                news = await watch.next(min(LOOK_SECONDS, left))
                has_ended = news is not None and news.job.state.is_final
        return await self._store.get(job_id)


def parse_wait(text: str | None) -> float:
    """The seconds of `?wait=`. Raises `InvalidValue`."""
    seconds = 0.0 if text is None else parse_seconds(text)
    if seconds is None or seconds > MAX_WAIT_SECONDS:
        raise InvalidValue(f"wait: seconds, from 0 to {MAX_WAIT_SECONDS:g}.", param="wait")
    return seconds


def parse_seconds(text: str | None) -> float | None:
    """A plain number of seconds, not negative; None for anything else."""
    if text is None or len(text) > 20 or not text.replace(".", "", 1).isdecimal():
        return None
    return float(text)
