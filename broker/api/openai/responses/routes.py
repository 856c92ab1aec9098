"""Responses: created, waited for or left to go on, asked for again, cancelled, deleted."""

import json
from contextlib import suppress
from typing import Any

from broker import chores
from broker.api.bodies import validated
from broker.api.deps import Deps
from broker.api.lean import JSON_WITH_IMAGES, Call, Door, QueryParam, Reply, Route
from broker.api.openai.chat.answering import Answering, Question
from broker.api.openai.intake import Intake, Sent
from broker.api.openai.responses.following import Following
from broker.api.openai.responses.items import MAX_PAGE, USUAL_PAGE, items_of_messages, page_of
from broker.api.openai.responses.questions import (
    echo_in,
    question_of_response,
    refuse_unsupported,
)
from broker.api.openai.responses.references import resolved
from broker.api.openai.responses.shelf import Shelf
from broker.api.openai.responses.shown import shown_ended
from broker.api.openai.responses.telling import tell
from broker.api.openai.responses.wire import CreateResponse, InputItems, Response, ResponseDeleted
from broker.api.openai.waiting import wait_of
from broker.api.waits import MAX_WAIT_SECONDS, Waits
from broker.errors import AlreadyFinished, InvalidValue
from broker.ids import response_spelling

_STREAMS = ("application/json", "text/event-stream")
_READ_QUERY = (
    QueryParam(
        "wait",
        {"type": "number", "minimum": 0, "maximum": MAX_WAIT_SECONDS},
        "Seconds to wait for its end.",
    ),
    QueryParam("stream", {"type": "boolean"}, "Its events, from the start."),
    QueryParam("starting_after", {"type": "integer", "minimum": 0}, "The last event seen."),
)
_LIST_QUERY = (
    QueryParam("limit", {"type": "integer", "minimum": 1, "maximum": MAX_PAGE}, f"{USUAL_PAGE}."),
    QueryParam("order", {"enum": ["asc", "desc"]}, "Last first unless said."),
    QueryParam("after", {"type": "string"}, "The item before the page."),
)


class ResponseDoor:
    def __init__(self, deps: Deps) -> None:
        self._queue = deps.queue
        self._store = deps.store
        self._media = deps.media
        self._intake = Intake(deps)
        self._waits = Waits(deps)
        self._answering = Answering(deps)
        self._following = Following(deps, self._answering)
        self._shelf = Shelf(deps, self._answering)

    def routes(self) -> list[Route]:
        one = "/v1/responses/{response_id}"
        return [
            Route(
                "POST",
                "/v1/responses",
                Door.CLIENT,
                JSON_WITH_IMAGES,
                self.create,
                is_noted=False,
                takes=CreateResponse,
                gives=Response,
                types=_STREAMS,
                answers=dict.fromkeys((429, 502, 504)),
            ),
            Route(
                "GET",
                one,
                Door.CLIENT,
                handle=self.read,
                gives=Response,
                query=_READ_QUERY,
                types=_STREAMS,
            ),
            Route("POST", f"{one}/cancel", Door.CLIENT, handle=self.cancel, gives=Response),
            Route("DELETE", one, Door.CLIENT, handle=self.delete, gives=ResponseDeleted),
            Route(
                "GET",
                f"{one}/input_items",
                Door.CLIENT,
                handle=self.list_input,
                gives=InputItems,
                query=_LIST_QUERY,
            ),
        ]

    async def create(self, call: Call) -> Reply | None:
        """Create a response and wait for it, have it streamed, or leave it to go on in the background"""
        sent = await self._intake.read(call)
        asked = validated(CreateResponse, sent.body)
        refuse_unsupported(asked)
        earlier = await self._shelf.turns_before(call.caller, asked.previous_response_id)
        items = await resolved(self._shelf, call.caller, asked.input)
        question = await question_of_response(asked, earlier, items)
        if not asked.background:
            return await self._in_foreground(call, sent, question, is_streamed=bool(asked.stream))
        if asked.stream:
            await self._stream_background(call, sent, question)
            return None
        job = await self._intake.submit(call, sent, question.order)
        return _reply(await self._shelf.shown(await self._shelf.find(call.caller, job.id)))

    async def read(self, call: Call) -> Reply | None:
        """Read a response; wait for its end, or have its events from the start"""
        wait_seconds, is_stream = wait_of(call), _is_true(call, "stream")
        after = _starting_after(call, is_stream=is_stream)
        kept = await self._shelf.find(call.caller, call.params["response_id"])
        if is_stream:
            if not kept.is_streamed_again:
                message = "Only a response made with background and stream is streamed again."
                raise InvalidValue(message, param="stream")
            question = await kept.question()
            events = self._following.from_start(call, kept.record, question)
            await tell(call, events, question, after)
            return None
        if wait_seconds and not kept.record.job.state.is_final:
            job_id = kept.record.job.id
            await self._waits.ended(call.caller, job_id, wait_seconds, call.is_alive)
            kept = await self._shelf.find(call.caller, kept.record.job.id)
        return _reply(await self._shelf.shown(kept))

    async def cancel(self, call: Call) -> Reply:
        """Cancel a response in the background; one that has ended is answered as it is"""
        kept = await self._shelf.find(call.caller, call.params["response_id"])
        if not kept.echo["background"]:
            message = "Only a response in the background can be cancelled; of any other, let go."
            raise InvalidValue(message, param="response_id")
        with suppress(AlreadyFinished):
            await self._queue.cancel(kept.record.job.id, None)
        return _reply(
            await self._shelf.shown(await self._shelf.find(call.caller, kept.record.job.id))
        )

    async def delete(self, call: Call) -> Reply:
        """Delete a response and all it left; one that has not ended is cancelled first"""
        job = (await self._shelf.find(call.caller, call.params["response_id"])).record.job
        if not job.state.is_final:
            with suppress(AlreadyFinished):
                await self._queue.cancel(job.id, None)
        await chores.delete_jobs(self._store, self._media, [job.id])
        return Reply(200, ResponseDeleted(id=response_spelling(job.id)).model_dump_json().encode())

    async def list_input(self, call: Call) -> Reply:
        """List what a response was made of, earlier turns included"""
        kept = await self._shelf.find(call.caller, call.params["response_id"])
        items = items_of_messages(kept.record.job.id, await self._shelf.turns(kept))
        return _reply(page_of(items, call.query()))

    # Answering.

    async def _in_foreground(
        self, call: Call, sent: Sent, question: Question, *, is_streamed: bool
    ) -> Reply | None:
        if is_streamed:
            await tell(call, self._answering.events(call, sent, question), question)
            return None
        ended = await self._answering.whole(call, sent, question)
        if ended is None:
            return None
        if ended.problem is not None:
            return ended.problem.reply()
        return _reply(shown_ended(ended, echo_in(question), question))

    async def _stream_background(self, call: Call, sent: Sent, question: Question) -> None:
        async with self._intake.watched(call, sent, question.order) as ticket:
            events = self._following.watched(call, ticket.job, ticket.watch, question)
            await tell(call, events, question)


def _reply(value: dict[str, Any]) -> Reply:
    return Reply(200, json.dumps(value).encode())


def _is_true(call: Call, name: str) -> bool:
    given = call.query().get(name, ["false"])[-1].lower()
    if given not in ("true", "false"):
        raise InvalidValue(f"{name} is true or false.", param=name)
    return given == "true"


def _starting_after(call: Call, *, is_stream: bool) -> int:
    given = call.query().get("starting_after")
    if given is None:
        return -1
    if not given[-1].isdecimal() or len(given[-1]) > 9:
        raise InvalidValue("starting_after is the number of an event.", param="starting_after")
    if not is_stream:
        raise InvalidValue("starting_after is for stream=true.", param="starting_after")
    return int(given[-1])
