"""A question is asked of a worker and its answer followed, whatever shape it goes out in.

What the answer looks like on the line is the affair of the routes that ask.
"""

import asyncio
from collections.abc import AsyncGenerator, Iterator, Sequence
from typing import NamedTuple

from broker.api.deps import Deps
from broker.api.errors import Problem, problem
from broker.api.lean import Call
from broker.api.openai.chat.formats import JsonFormat, NotThatJson, repair_prompt
from broker.api.openai.chat.stops import StopCutter, cut
from broker.api.openai.chat.usage import Usage, estimated_usage
from broker.api.openai.intake import Intake, Order, Sent, Ticket
from broker.api.openai.waiting import Patience
from broker.chunks import Chunk, ChunkKind, fresh
from broker.errors import ChunkGap, ShuttingDown
from broker.jobs import Job
from broker.notifier import News
from broker.ports import Record
from broker.repeats import RequestKey


class Question(NamedTuple):
    """A chat request in whatever shape it came, read and checked."""

    order: Order
    message_count: int
    #: Where the answer is cut.
    stops: Sequence[str] = ()
    #: What the answer must be, if not just text.
    format: JsonFormat | None = None
    #: What was asked for and is not acted on, a sentence each.
    warnings: Sequence[str] = ()

    def usage(self, answer: str, reasoning: str = "") -> Usage:
        return estimated_usage(self.order.prompt, self.message_count, answer, reasoning)


class Answer(NamedTuple):
    #: None where Grok would not answer; then there is a refusal.
    text: str | None
    reasoning: str | None
    #: `stop`, `length` or `content_filter`.
    finish_reason: str
    refusal: str | None = None


class Began(NamedTuple):
    """The job is on disk."""

    job: Job


class Delta(NamedTuple):
    """More of the answer; never past a stop."""

    kind: ChunkKind
    text: str


class Quiet(NamedTuple):
    """A moment without news: is a keep-alive due?"""


class Flaw(NamedTuple):
    """Why an answer is not the JSON it should be."""

    text: str
    why: str


class Ended(NamedTuple):
    """An answer, or what went wrong: one of the two. An answer in JSON may be that of a second job."""

    job: Job
    answer: Answer | None = None
    problem: Problem | None = None
    #: What the model could mend if it were asked again.
    flaw: Flaw | None = None


Event = Began | Delta | Quiet | Ended


class Answering:
    def __init__(self, deps: Deps) -> None:
        self._queue = deps.queue
        self._store = deps.store
        self._notifier = deps.notifier
        self._intake = Intake(deps)
        self._patience = Patience(deps, deps.settings.chat_completion_wait_seconds)

    async def whole(self, call: Call, sent: Sent, question: Question) -> Ended | None:
        """The answer, waited for; None where the client has left."""
        ended = await self._waited(call, sent, question)
        if ended is not None and ended.flaw is not None:
            again = _once_more(sent, question, ended.job, ended.flaw)
            ended = await self._waited(call, *again)
        return ended

    async def events(
        self, call: Call, sent: Sent, question: Question
    ) -> AsyncGenerator[Event, None]:
        """`Began`, deltas and quiet moments as they come, then `Ended`; without it where the client has left.

        Whoever stops reading early has to close it.
        """
        is_repair = False
        while True:
            ended = None
            async with self._intake.watched(call, sent, question.order) as ticket:
                if not is_repair:
                    yield Began(ticket.job)
                async for event in self._followed(call, ticket, question):
                    if isinstance(event, Ended):
                        ended = event
                    else:
                        yield event
            if ended is None:
                return
            if ended.flaw is None or is_repair:
                break
            sent, question = _once_more(sent, question, ended.job, ended.flaw)
            is_repair = True
        yield ended

    async def of_record(
        self, record: Record, stops: Sequence[str] = (), format: JsonFormat | None = None
    ) -> Ended:
        """What became of a job that has ended, for those who did not wait. Nothing is asked again.

        Where it was asked once more for those who did, the second answer is the job's.
        """
        job, ended = record.job, await self._of_record(record, stops, format)
        if ended.flaw is None:
            return ended
        second_id = await self._store.job_of_request(job.owner, _repair_name(job))
        second = await self._store.get(second_id) if second_id else None
        if second is None or not second.job.state.is_final:
            return ended
        return (await self._of_record(second, stops, format))._replace(job=job)

    # Steps.

    async def _of_record(
        self, record: Record, stops: Sequence[str], format: JsonFormat | None
    ) -> Ended:
        return await self._judged(News(record.job, result=record.result), stops, format)

    async def _waited(self, call: Call, sent: Sent, question: Question) -> Ended | None:
        async with self._intake.watched(call, sent, question.order) as ticket:
            news = await self._patience.until_ended(call, ticket.job, ticket.watch)
            if news is not None and not news.job.state.is_final:
                news = await self._given_up(news.job)
        return None if news is None else await self._judged(news, question.stops, question.format)

    async def _followed(
        self, call: Call, ticket: Ticket, question: Question
    ) -> AsyncGenerator[Delta | Quiet | Ended, None]:
        telling = _Telling(question)
        job, news = ticket.job, None
        while not job.state.is_final:
            news = await self._patience.next(job, ticket.watch)
            deltas = telling.deltas(news.chunks) if news else []
            for delta in deltas:
                yield delta
            job = news.job if news else job
            if telling.is_cut:
                yield Ended(job, telling.cut_answer())
                return
            # News of which nothing is told are as good as none: they come with every beat.
            if deltas or job.state.is_final:
                continue
            if self._notifier.is_draining:
                await self._patience.leave(job)
                yield Ended(job, problem=problem("shutting_down", ShuttingDown().message))
                return
            if not call.is_alive():
                await self._patience.leave(job)
                return
            if self._patience.is_over(job) and not telling.has_begun:
                news = await self._given_up(job)
                break
            yield Quiet()
        for event in telling.end(await self._judged(news or News(job), (), question.format)):
            yield event

    async def _given_up(self, job: Job) -> News:
        """The wait is over. A job for which somebody else waits goes on without this client."""
        if self._notifier.watch_count(job.id) > 1:
            return News(job._replace(error_code="client_wait_over"))
        return News(await self._queue.give_up(job.id))

    async def _judged(self, news: News, stops: Sequence[str], format: JsonFormat | None) -> Ended:
        job, result = news.job, await self._patience.result(news)
        if result is None and job.error_code == "moderated":
            return Ended(job, Answer(None, None, "content_filter", job.error_message))
        if result is None:
            return Ended(job, problem=self._patience.problem(job))
        text, reason = result.text or "", result.finish_reason or "stop"
        if format is not None:
            try:
                text = await asyncio.to_thread(format.read, text)
            except NotThatJson as found:
                return _not_json(job, text, found)
        elif stops:
            text, is_cut = cut(text, stops)
            reason = "stop" if is_cut else reason
        return Ended(job, Answer(text, result.reasoning, reason))


class _Telling:
    """What has been told of an answer that comes piece by piece: once and in order, whatever repeats come in."""

    def __init__(self, question: Question) -> None:
        #: JSON is told when it has been checked, and not before.
        self._is_silent = question.format is not None
        self._cutter = StopCutter(question.stops)
        self._next_seq = 0
        #: As it came, and as it was told.
        self._text: list[str] = []
        self._told: list[str] = []
        self._reasoning: list[str] = []

    @property
    def has_begun(self) -> bool:
        """Part of the answer has been told: from here on its own timers bound it, not the client's wait."""
        return self._next_seq > 0

    @property
    def is_cut(self) -> bool:
        return self._cutter.is_cut

    def deltas(self, chunks: Sequence[Chunk]) -> list[Delta]:
        """What may be told of these pieces."""
        if self._is_silent or not chunks:
            return []
        try:
            new = fresh(chunks, self._next_seq)
        except ChunkGap:
            return []  # Cannot be told in order; the end brings the rest.
        self._next_seq += len(new)
        return [delta for chunk in new for delta in self._deltas(chunk)]

    def end(self, ended: Ended) -> Iterator[Delta | Ended]:
        """The rest of the answer, and how it ended."""
        answer = ended.answer
        if answer is None or answer.text is None:
            yield ended
            return
        sent = "".join(self._text)
        if not answer.text.startswith(sent):
            yield Ended(ended.job, problem=_changed())
            return
        if answer.reasoning and not self.has_begun:
            yield Delta(ChunkKind.REASONING, answer.reasoning)
        yield from self._tell(answer.text[len(sent) :])
        if rest := self._cutter.rest():
            self._told.append(rest)
            yield Delta(ChunkKind.TEXT, rest)
        reason = "stop" if self.is_cut else answer.finish_reason
        answer = answer._replace(text="".join(self._told), finish_reason=reason)
        yield Ended(ended.job, answer)

    def cut_answer(self) -> Answer:
        """The answer up to the stop. Its job goes on: the page writes to its end."""
        return Answer("".join(self._told), "".join(self._reasoning) or None, "stop")

    def _deltas(self, chunk: Chunk) -> Iterator[Delta]:
        if chunk.kind == ChunkKind.TEXT:
            yield from self._tell(chunk.delta)
        else:
            self._reasoning.append(chunk.delta)
            yield Delta(chunk.kind, chunk.delta)

    def _tell(self, text: str) -> Iterator[Delta]:
        self._text.append(text)
        if text := self._cutter.feed(text):
            self._told.append(text)
            yield Delta(ChunkKind.TEXT, text)


def _once_more(sent: Sent, question: Question, job: Job, flaw: Flaw) -> tuple[Sent, Question]:
    """The same question with what was wrong with its answer. Known by that, so that a repeat finds it too."""
    key = RequestKey(_repair_name(job), "", joins=True, is_chosen=True)
    order = question.order._replace(prompt=repair_prompt(question.order.prompt, *flaw))
    return sent._replace(key=key), question._replace(order=order)


def _repair_name(job: Job) -> str:
    return f"repair:{job.id}"


def _not_json(job: Job, text: str, found: NotThatJson) -> Ended:
    message = f"The answer is not the JSON that was asked for. {found.why}"
    flaw = Flaw(text, found.why) if found.can_repair else None
    return Ended(job, problem=problem("invalid_model_output", message), flaw=flaw)


def _changed() -> Problem:
    message = "The page changed its answer after it had been streamed; read the whole from the job."
    return Problem(502, "server_error", "answer_changed", message)
