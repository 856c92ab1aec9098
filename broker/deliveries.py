"""Results on their way in: checked, made durable, published, as one deed that nothing else on the job interrupts.

What becomes of a result is decided in `results.py`; whether a file is acceptable, by the media store.
"""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Protocol
from weakref import WeakValueDictionary

from broker.errors import ResultRejected
from broker.ids import JobId, LeaseToken, TokenHash, hash_token
from broker.jobs import Job, JobKind
from broker.media_ports import PicturesUpload, Upload
from broker.notifier import News, Notifier
from broker.outputs import Result, digest_of
from broker.ports import Clock, JobView, Store
from broker.results import Complete, Verdict, attempt_of, judge

#: A file that another job has left within this time is not a new result.
REPEAT_SECONDS = 24 * 3600.0


class _Publishes(Protocol):
    async def publish(self, name: str) -> None: ...


class Deliveries:
    def __init__(self, store: Store, notifier: Notifier, clock: Clock) -> None:
        self._store = store
        self._notifier = notifier
        self._clock = clock
        #: A lock lives as long as somebody holds it or waits for it.
        self._finishing: WeakValueDictionary[JobId, asyncio.Lock] = WeakValueDictionary()

    async def text(
        self,
        job_id: JobId,
        token: LeaseToken | None,
        text: str | None,
        reasoning: str | None,
        finish_reason: str,
    ) -> tuple[Job, Verdict]:
        act = Complete(
            self._clock.now(),
            JobKind.CHAT,
            hashed(token),
            text=text,
            reasoning=reasoning,
            finish_reason=finish_reason,
        )
        return await self._complete(job_id, act)

    async def film(
        self, job_id: JobId, token: LeaseToken | None, upload: Upload
    ) -> tuple[Job, Verdict]:
        facts = await upload.inspect()
        result = Result(upload.sha256, upload.size_bytes, 0, self._clock.now(), *facts)
        await self._check_new(job_id, [result.sha256])
        act = Complete(result.finished_at, JobKind.VIDEO, hashed(token), result)
        return await self._publish(job_id, act, result, upload)

    async def pictures(
        self, job_id: JobId, token: LeaseToken | None, upload: PicturesUpload
    ) -> tuple[Job, Verdict]:
        pictures = tuple(await upload.inspect())
        await self._check_new(job_id, [picture.sha256 for picture in pictures])
        result = Result(
            sha256=digest_of(pictures),
            size_bytes=sum(picture.size_bytes for picture in pictures),
            attempt=0,
            finished_at=self._clock.now(),
            pictures=pictures,
        )
        act = Complete(result.finished_at, JobKind.IMAGE, hashed(token), result)
        return await self._publish(job_id, act, result, upload)

    def is_finishing(self, job_id: JobId) -> bool:
        return job_id in self._finishing

    @asynccontextmanager
    async def alone(self, job_id: JobId) -> AsyncIterator[None]:
        """While a file is made durable and its row written, nothing else is done to its job."""
        lock = self._finishing.setdefault(job_id, asyncio.Lock())
        async with lock:
            yield

    async def _check_new(self, job_id: JobId, digests: Sequence[str]) -> None:
        since = self._clock.now() - REPEAT_SECONDS
        for place, sha256 in enumerate(digests):
            if sha256 in digests[:place]:
                raise ResultRejected("repeated_file", "Two of the images are the same file.")
            if await self._store.has_result(sha256, since, job_id):
                raise ResultRejected("repeated_file", "This file is another job's result.")

    async def _publish(
        self, job_id: JobId, act: Complete, result: Result, upload: _Publishes
    ) -> tuple[Job, Verdict]:
        async with self.alone(job_id):
            # The files first, the row second: a row never names a file that is not whole. Nothing else is
            # done to this job meanwhile, so what is judged here still holds when the row is written.
            verdict = await self._judged(job_id, act, result)
            if verdict != Verdict.REPEATED:
                await upload.publish(job_id + (".late" if verdict == Verdict.LATE else ""))
            return await self._complete(job_id, act)

    async def _complete(self, job_id: JobId, act: Complete) -> tuple[Job, Verdict]:
        job = await self._store.change(job_id, act)
        if act.published is not None:
            self._notifier.announce(News(job, result=act.published))
        return job, act.verdict

    async def _judged(self, job_id: JobId, act: Complete, result: Result) -> Verdict:
        """What the act would do to the job as it stands, changing nothing."""
        verdict = Verdict.PUBLISHED

        def look(view: JobView) -> None:
            nonlocal verdict
            act.check_kind(view.job)
            attempt_of(view, act.token_hash)
            verdict = judge(view, result.sha256)

        await self._store.change(job_id, look)
        return verdict


def hashed(token: LeaseToken | None) -> TokenHash | None:
    return None if token is None else hash_token(token)
