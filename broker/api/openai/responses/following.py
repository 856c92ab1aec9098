"""A response in the background is followed from its beginning, whoever made it and however often.

Unlike those who wait in the foreground, a follower who leaves changes nothing.
"""

from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing

from broker.api.deps import Deps
from broker.api.errors import problem
from broker.api.lean import Call
from broker.api.openai.chat.answering import Answering, Began, Delta, Ended, Event, Question, Quiet
from broker.api.waits import LOOK_SECONDS
from broker.chunks import Chunk, fresh
from broker.errors import ChunkGap, NotFound
from broker.jobs import Job
from broker.notifier import News, Watch
from broker.ports import Record


class Following:
    def __init__(self, deps: Deps, answering: Answering) -> None:
        self._store = deps.store
        self._notifier = deps.notifier
        self._answering = answering

    async def from_start(
        self, call: Call, record: Record, question: Question
    ) -> AsyncGenerator[Event]:
        """All that has come of a job so far, then the rest as it comes."""
        job_id = record.job.id
        with self._notifier.watch(job_id) as watch:
            now = await self._store.get(job_id)
            if now is None:
                raise NotFound()
            chunks = await self._store.chunks_after(job_id, now.job.attempt, -1)
            watch.begin_with(News(now.job, tuple(chunks), now.result))
            async with aclosing(self.watched(call, now.job, watch, question)) as events:
                async for event in events:
                    yield event

    async def watched(
        self, call: Call, job: Job, watch: Watch, question: Question
    ) -> AsyncGenerator[Event]:
        """The same of a job whose watch tells it from its beginning; no `Ended` where it is not followed so far."""
        yield Began(job)
        next_seq = 0
        while True:
            news = await watch.next(LOOK_SECONDS)
            if news is None and self._notifier.is_draining:
                gone = "The broker is shutting down. The response goes on; ask for it again."
                yield Ended(job, problem=problem("shutting_down", gone))
                return
            if news is None:
                if not call.is_alive():
                    return
                yield Quiet()
                continue
            if news.job.attempt:
                yield Began(news.job)
            new = _in_order(news.chunks, next_seq)
            next_seq += len(new)
            # Text that is to be checked first is told whole.
            for chunk in () if question.format else new:
                yield Delta(chunk.kind, chunk.delta)
            if question.format:
                yield Quiet()
            if news.job.state.is_final:
                yield await self._ended(news, question)
                return

    async def _ended(self, news: News, question: Question) -> Ended:
        record = await self._store.get(news.job.id)
        if record is None:
            raise NotFound()
        return await self._answering.of_record(record, format=question.format)


def _in_order(chunks: Sequence[Chunk], next_seq: int) -> Sequence[Chunk]:
    try:
        return fresh(chunks, next_seq)
    except ChunkGap:
        return ()  # Cannot be told in order; the end brings the rest.
