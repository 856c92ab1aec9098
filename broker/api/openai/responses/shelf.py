"""The responses that are kept: found by their ids, shown as they stand, and continued by later ones."""

import json
from typing import Any, NamedTuple

from pydantic import ValidationError

from broker.api.deps import Deps
from broker.api.inputs import handed_over
from broker.api.openai.chat.answering import Answering, Question
from broker.api.openai.responses.questions import ECHO, question_of_stored
from broker.api.openai.responses.shown import shown_ended, shown_open
from broker.api.openai.responses.translate import Message
from broker.api.openai.responses.wire import Echo
from broker.errors import InvalidValue, NotFound
from broker.ids import parse_job_id
from broker.jobs import JobKind, Payload
from broker.keys import Caller
from broker.ports import Record


class Kept(NamedTuple):
    """A response that is kept, with the request that it answers."""

    record: Record
    payload: Payload
    request: dict[str, Any]
    echo: dict[str, Any]

    @property
    def is_streamed_again(self) -> bool:
        return bool(self.echo["background"] and self.request.get("stream"))

    async def question(self) -> Question:
        return await question_of_stored(self.request, self.echo["text"]["format"])


class Shelf:
    def __init__(self, deps: Deps, answering: Answering) -> None:
        self._store = deps.store
        self._media = deps.media
        self._images = deps.images
        self._answering = answering

    async def find(self, caller: Caller, response_id: str, param: str | None = None) -> Kept:
        """Raises `NotFound`: also for what is no response, and for one that was not to be stored."""
        job_id = parse_job_id(response_id)
        record = await self._store.get(job_id) if job_id else None
        if record is not None and not caller.may_see(record.job.owner):
            record = None
        payload = await self._store.payload(record.job.id) if record else None
        kept = _kept(record, payload) if record and payload else None
        if kept is None:
            raise NotFound(f"There is no response {response_id[:64]!r}.", param=param)
        return kept

    async def shown(self, kept: Kept) -> dict[str, Any]:
        """The `Response` as it stands."""
        job = kept.record.job
        if not job.state.is_final:
            return shown_open(job, kept.echo)
        question = await kept.question()
        ended = await self._answering.of_record(kept.record, format=question.format)
        return shown_ended(ended, kept.echo, question)

    async def turns(self, kept: Kept) -> list[Message]:
        """What was said up to this response, images in place, but for its instructions: those are its own."""
        _, text = await handed_over(self._media, self._images, kept.payload)
        messages: list[Message] = json.loads(text or "{}").get("messages", [])
        return messages[1:] if kept.echo["instructions"] else messages

    async def turns_before(self, caller: Caller, previous_response_id: str | None) -> list[Message]:
        """What was said before a response that continues another, the other's answer included.

        Raises `NotFound`, and `InvalidValue` where the other has not been answered.
        """
        if previous_response_id is None:
            return []
        param = "previous_response_id"
        kept = await self.find(caller, previous_response_id, param)
        is_over = kept.record.job.state.is_final
        answered = await self._answer(kept) if is_over else None
        if answered is None:
            raise InvalidValue("This response has not been completed.", param=param)
        return [*await self.turns(kept), answered]

    async def _answer(self, kept: Kept) -> Message | None:
        question = await kept.question()
        ended = await self._answering.of_record(kept.record, format=question.format)
        answer = ended.answer
        if answer is None:
            return None
        content = answer.refusal if answer.text is None else answer.text
        return {"role": "assistant", "content": content or ""}


def _kept(record: Record, payload: Payload) -> Kept | None:
    if record.job.kind != JobKind.CHAT or payload.request is None:
        return None
    request = json.loads(payload.request)
    try:
        # A chat's request is kept as its client wrote it, and may have such a key too.
        echo = Echo.model_validate(request.get(ECHO)).model_dump()
    except ValidationError:
        return None
    return Kept(record, payload, request, echo) if echo["store"] else None
