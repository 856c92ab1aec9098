"""Chat completions: waited for, whole or as a stream of server-sent events, or deferred and asked for later."""

import json
from contextlib import aclosing

from broker.api.bodies import validated
from broker.api.deps import Deps
from broker.api.errors import problem_of
from broker.api.lean import JSON_WITH_IMAGES, Call, Door, QueryParam, Reply, Route
from broker.api.openai.chat.answering import Answering, Ended, Question
from broker.api.openai.chat.formats import read_format
from broker.api.openai.chat.from_response import as_chat
from broker.api.openai.chat.stream import ChatStream
from broker.api.openai.chat.translate import completion_of, question_of_chat
from broker.api.openai.chat.wire import ChatCompletion, CreateChatCompletion
from broker.api.openai.intake import Intake, Sent
from broker.api.openai.waiting import wait_of
from broker.api.waits import MAX_WAIT_SECONDS, Waits
from broker.errors import BrokerError, NotFound
from broker.ids import parse_job_id, uuid_spelling
from broker.jobs import JobKind
from broker.ports import Record

_WAIT = QueryParam(
    "wait",
    {"type": "number", "minimum": 0, "maximum": MAX_WAIT_SECONDS},
    "Seconds to wait for its end.",
)


class ChatDoor:
    def __init__(self, deps: Deps) -> None:
        self._store = deps.store
        self._intake = Intake(deps)
        self._answering = Answering(deps)
        self._waits = Waits(deps)

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
                types=("application/json", "text/event-stream"),
                answers=dict.fromkeys((429, 502, 504)),
            ),
            Route(
                "GET",
                "/v1/chat/deferred-completion/{request_id}",
                Door.CLIENT,
                handle=self.read_deferred,
                is_noted=False,
                gives=ChatCompletion,
                query=(_WAIT,),
                answers={202: None},
            ),
        ]

    async def create(self, call: Call) -> Reply | None:
        """Create a chat completion and wait for its answer, have it streamed, or ask for it later"""
        sent = await self._intake.read(call)
        body = as_chat(sent.body)
        asked = validated(CreateChatCompletion, body)
        form = await read_format(asked.response_format, "response_format")
        question = question_of_chat(body, asked, form)
        if asked.deferred:
            job = await self._intake.submit(call, sent, question.order)
            return Reply(200, json.dumps({"request_id": uuid_spelling(job.id)}).encode())
        if asked.stream:
            options = asked.stream_options
            includes_usage = bool(options and options.include_usage)
            await self._stream(call, sent, question, includes_usage=includes_usage)
            return None
        ended = await self._answering.whole(call, sent, question)
        return None if ended is None else _reply(question, ended)

    async def read_deferred(self, call: Call) -> Reply:
        """Read a chat completion that was deferred; 202 until it is there"""
        job_id, seconds = parse_job_id(call.params["request_id"]), wait_of(call)
        if job_id is None:
            raise NotFound()
        record = await self._waits.ended(call.caller, job_id, seconds, call.is_alive)
        if record is None or record.job.kind != JobKind.CHAT:
            raise NotFound()
        if not record.job.state.is_final:
            return Reply(202)
        question = await self._question(record)
        ended = await self._answering.of_record(record, question.stops, question.format)
        return _reply(question, ended)

    async def _question(self, record: Record) -> Question:
        """What was asked, read again from what was kept."""
        payload = await self._store.payload(record.job.id)
        if payload is None or payload.request is None:
            raise NotFound()
        body = json.loads(payload.request)
        asked = validated(CreateChatCompletion, body)
        form = await read_format(asked.response_format, "response_format")
        return question_of_chat(body, asked, form)

    async def _stream(
        self, call: Call, sent: Sent, question: Question, *, includes_usage: bool
    ) -> None:
        stream = ChatStream(call, question, includes_usage=includes_usage)
        async with aclosing(self._answering.events(call, sent, question)) as events:
            try:
                async for event in events:
                    await stream.tell(event)
            except BrokerError as error:
                if not stream.is_open:
                    raise
                await stream.fail(problem_of(error))


def _reply(question: Question, ended: Ended) -> Reply:
    if ended.answer is None:
        assert ended.problem is not None
        return ended.problem.reply()
    completion = completion_of(question, ended.job, ended.answer)
    return Reply(200, json.dumps(completion).encode())
