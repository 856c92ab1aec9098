"""Chat completions: a job that its client waits for, whole or as a stream of server-sent events."""

import json
from typing import NamedTuple

from broker.api.bodies import read_json, validated
from broker.api.deps import Deps
from broker.api.errors import Problem, problem, problem_of_job
from broker.api.inputs import remove_images, save_images, with_marks
from broker.api.lean import JSON_WITH_IMAGES, Call, Door, Reply, Route
from broker.api.openai import sse
from broker.api.openai.models import require_model
from broker.api.openai.translate import (
    chat_images,
    chat_prompt,
    completion_of,
    estimated_usage,
    refuse_unsupported,
    refused_completion,
)
from broker.api.openai.wire import ChatCompletion, CreateChatCompletion, Usage
from broker.errors import BrokerError, ShuttingDown
from broker.ids import LOCAL_OWNER, new_job_id
from broker.jobs import Job, JobKind, JobState, Payload, Result
from broker.notifier import News, Watch
from broker.submissions import NewJob

#: How often a waiting request looks whether its client is still there.
LOOK_SECONDS = 1.0


class Asked(NamedTuple):
    """A chat request, read and checked."""

    new: NewJob
    prompt: str
    message_count: int
    includes_usage: bool

    def usage(self, answer: str) -> Usage:
        return estimated_usage(self.prompt, self.message_count, answer)


class ChatDoor:
    def __init__(self, deps: Deps) -> None:
        self._queue = deps.queue
        self._store = deps.store
        self._media = deps.media
        self._images = deps.images
        self._notifier = deps.notifier
        self._settings = deps.settings
        self._clock = deps.clock
        self._log = deps.request_log

    def routes(self) -> list[Route]:
        return [
            Route(
                "POST",
                "/v1/chat/completions",
                Door.CLIENT,
                JSON_WITH_IMAGES,
                self.create,
                is_noted=False,
                takes=CreateChatCompletion,
                gives=ChatCompletion,
            )
        ]

    async def create(self, call: Call) -> Reply | None:
        """Create a chat completion and wait for its answer, or have it streamed"""
        asked = await self._read(call)
        job_id = asked.new.job_id
        assert job_id is not None
        with self._notifier.watch(job_id) as watch:
            try:
                job = await self._queue.submit(asked.new)
            except BaseException:
                await remove_images(self._media, asked.new.payload.inputs)
                raise
            if asked.new.is_streaming:
                await self._stream(call, asked, job, watch)
                return None
            return await self._wait(call, asked, job, watch)

    async def _read(self, call: Call) -> Asked:
        sent = await call.body()
        body = read_json(sent)
        asked = validated(CreateChatCompletion, body)
        model = require_model(asked.model, JobKind.CHAT)
        refuse_unsupported(asked)
        prompt = chat_prompt(asked.messages)
        sources = chat_images(asked.messages)
        images = await self._images.read_all(sources)
        job_id = new_job_id()
        names = await save_images(self._media, job_id, images)
        # Word for word, but for images, which are kept as files.
        request = json.dumps(with_marks(body, sources)) if sources else sent.decode()
        self._log.request(self._clock.wall(), "POST", call.route.path, job_id, body)
        new = NewJob(
            LOCAL_OWNER,
            JobKind.CHAT,
            model,
            Payload(prompt, request=request, inputs=names),
            job_id,
            priority=asked.priority,
            is_streaming=bool(asked.stream),
        )
        options = asked.stream_options
        return Asked(new, prompt, len(asked.messages), bool(options and options.include_usage))

    # Waiting for the whole answer.

    async def _wait(self, call: Call, asked: Asked, job: Job, watch: Watch) -> Reply | None:
        while True:
            news = await self._next(job, watch)
            if news is not None and news.job.state.is_final:
                return await self._whole(asked, news)
            if news is not None:
                job = news.job
            elif self._notifier.is_draining:
                await self._leave(job)
                raise ShuttingDown()
            elif not call.is_alive():
                await self._leave(job)
                return None
            elif self._is_wait_over(job):
                return await self._whole(asked, News(await self._queue.give_up(job.id)))

    async def _whole(self, asked: Asked, news: News) -> Reply:
        ended = await self._ended(news)
        if isinstance(ended, Problem):
            return ended.reply()
        if ended is None:
            completion = refused_completion(news.job, asked.usage(""))
        else:
            completion = completion_of(news.job, ended, asked.usage(ended.text or ""))
        return Reply(200, json.dumps(completion).encode())

    async def _ended(self, news: News) -> Result | Problem | None:
        """The result; or what to tell instead; or None where Grok refused the content."""
        job, result = news.job, news.result
        if job.state == JobState.COMPLETED and result is None:
            record = await self._store.get(job.id)
            result = record.result if record else None
        if result is not None:
            return result
        if job.error_code == "moderated":
            return None
        return self._problem(job)

    def _problem(self, job: Job) -> Problem:
        message = job.error_message or "The job failed."
        if job.error_code in ("client_wait_over", "expired"):
            message = f"No answer came in time. {self._whereabouts()}".strip()
        wait = None if job.ready_at is None else job.ready_at - self._clock.now()
        return problem_of_job(job.error_code or "worker_error", message, wait)

    def _whereabouts(self) -> str:
        if self._notifier.parked_count:
            return ""
        return "No worker is connected; GET / lists those that are."

    # Streaming.

    async def _stream(self, call: Call, asked: Asked, job: Job, watch: Watch) -> None:
        stream = sse.ChatStream(call, job)
        await stream.open()
        while True:
            news = await self._next(job, watch)
            if news is not None:
                job = news.job
                await stream.send_chunks(news.job.attempt, news.chunks)
                if job.state.is_final:
                    await self._end_stream(stream, asked, news)
                    return
            elif self._notifier.is_draining:
                await self._leave(job)
                await stream.fail(problem("shutting_down", "The broker is shutting down."))
                return
            elif not call.is_alive():
                await self._leave(job)
                return
            elif self._is_wait_over(job) and not stream.has_begun:
                given_up = News(await self._queue.give_up(job.id))
                await self._end_stream(stream, asked, given_up)
                return
            else:
                await stream.keep_alive()

    async def _end_stream(self, stream: "sse.ChatStream", asked: Asked, news: News) -> None:
        ended = await self._ended(news)
        if isinstance(ended, Problem):
            await stream.fail(ended)
            return
        text = "" if ended is None else ended.text or ""
        usage = asked.usage(text) if asked.includes_usage else None
        reason = "content_filter" if ended is None else ended.finish_reason or "stop"
        await stream.finish(text, reason, usage)

    # Both.

    async def _next(self, job: Job, watch: Watch) -> News | None:
        left = job.created_at + self._settings.chat_completion_wait_seconds - self._clock.now()
        return await watch.next(min(LOOK_SECONDS, left) if left > 0 else LOOK_SECONDS)

    def _is_wait_over(self, job: Job) -> bool:
        wait_seconds = self._settings.chat_completion_wait_seconds
        return self._clock.now() >= job.created_at + wait_seconds

    async def _leave(self, job: Job) -> None:
        """Nobody waits any more: what has cost nothing yet is cancelled, the rest finishes and is kept."""
        try:
            await self._queue.cancel(job.id, None, only_unsubmitted=True)
        except BrokerError:
            return  # It has ended meanwhile.
