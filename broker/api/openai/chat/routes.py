"""Chat completions: a job that its client waits for, whole or as a stream of server-sent events."""

import json
from typing import NamedTuple

from broker.api.bodies import read_json, validated
from broker.api.deps import Deps
from broker.api.errors import Problem, problem
from broker.api.inputs import save_images, submit_with_images, with_marks
from broker.api.lean import JSON_WITH_IMAGES, Call, Door, Reply, Route
from broker.api.openai.chat import stream as sse
from broker.api.openai.chat.translate import (
    chat_images,
    chat_prompt,
    completion_of,
    estimated_usage,
    refuse_unsupported,
    refused_completion,
)
from broker.api.openai.chat.wire import ChatCompletion, CreateChatCompletion, Usage
from broker.api.openai.models import require_model
from broker.api.openai.waiting import Patience
from broker.ids import LOCAL_OWNER, new_job_id
from broker.jobs import Job, JobKind, Payload
from broker.notifier import News, Watch
from broker.outputs import Result
from broker.submissions import NewJob


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
        self._media = deps.media
        self._images = deps.images
        self._notifier = deps.notifier
        self._patience = Patience(deps, deps.settings.chat_completion_wait_seconds)
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
            job = await submit_with_images(self._queue, self._media, asked.new)
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
        news = await self._patience.until_ended(call, job, watch)
        if news is not None and not news.job.state.is_final:
            news = News(await self._queue.give_up(job.id))
        return None if news is None else await self._whole(asked, news)

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
        result = await self._patience.result(news)
        if result is not None:
            return result
        if news.job.error_code == "moderated":
            return None
        return self._patience.problem(news.job)

    # Streaming.

    async def _stream(self, call: Call, asked: Asked, job: Job, watch: Watch) -> None:
        stream = sse.ChatStream(call, job)
        await stream.open()
        while True:
            news = await self._patience.next(job, watch)
            if news is not None:
                job = news.job
                await stream.send_chunks(news.job.attempt, news.chunks)
                if job.state.is_final:
                    await self._end_stream(stream, asked, news)
                    return
            elif self._notifier.is_draining:
                await self._patience.leave(job)
                await stream.fail(problem("shutting_down", "The broker is shutting down."))
                return
            elif not call.is_alive():
                await self._patience.leave(job)
                return
            elif self._patience.is_over(job) and not stream.has_begun:
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
