"""What is told of a response as it goes: its events, each with its number, its items opened, filled and closed.

Knows no line: that is `stream.py`.
"""

from collections.abc import Iterator
from typing import Any, assert_never

from broker.api.errors import Problem
from broker.api.openai.chat.answering import Answer, Began, Delta, Ended, Question, Quiet
from broker.api.openai.chat.answering import Event as News
from broker.api.openai.responses import shown
from broker.chunks import ChunkKind
from broker.jobs import Job

Event = dict[str, Any]


class _Item:
    """One output item that is being told."""

    def __init__(self, index: int, kind: ChunkKind, item: shown.Item) -> None:
        self.index = index
        self.kind = kind
        self.item = item
        self.texts: list[str] = []
        self.is_open = True

    @property
    def text(self) -> str:
        return "".join(self.texts)

    @property
    def place(self) -> Event:
        inner = "content_index" if self.kind == ChunkKind.TEXT else "summary_index"
        return {"item_id": self.item["id"], "output_index": self.index, inner: 0}


class Narration:
    """The events of one response. What is told of the same chunks is the same, number by number, however often."""

    def __init__(self, job: Job, echo: dict[str, Any]) -> None:
        self._job = job
        self._echo = echo
        self._items: list[_Item] = []
        self.next_number = 0

    @property
    def is_background(self) -> bool:
        return bool(self._echo["background"])

    def told(self, news: News, question: Question) -> Iterator[Event]:
        """What there is to tell of what has become of the job after it began."""
        match news:
            case Began(job):
                return self.taken() if job.attempt else iter(())
            case Delta(kind, text):
                return self.delta(kind, text)
            case Quiet():
                return iter(())
            case Ended():
                return self.ended(news, question)
            case _:
                assert_never(news)

    def begun(self) -> Iterator[Event]:
        if not self.is_background:
            yield self._whole("response.created", self._open())
            yield self._whole("response.in_progress", self._open())
            return
        queued = {**self._open(), "status": "queued"}
        yield self._whole("response.created", queued)
        yield self._whole("response.queued", queued)

    def taken(self) -> Iterator[Event]:
        """A worker has the job. Told once, and only of a response that has been queued."""
        if self.is_background and self.next_number == 2:
            yield self._whole("response.in_progress", {**self._open(), "status": "in_progress"})

    def delta(self, kind: ChunkKind, text: str) -> Iterator[Event]:
        yield from self.taken()
        item = self._item_of(kind)
        if item is None:
            item = self._add(kind)
            yield from self._opened(item)
        item.texts.append(text)
        if kind == ChunkKind.REASONING:
            yield self._event("response.reasoning_summary_text.delta", **item.place, delta=text)
        else:
            told = {**item.place, "delta": text, "logprobs": []}
            yield self._event("response.output_text.delta", **told)

    def ended(self, ended: Ended, question: Question) -> Iterator[Event]:
        if ended.problem is not None and not ended.job.state.is_final and self.is_background:
            # The telling ends, though the response has not.
            yield broken(ended.problem, self.next_number)
            return
        yield from self.taken()
        ended = self._in_line(ended)
        if ended.answer is not None:
            yield from self._rest(ended.answer)
            yield from self._all_closed(ended.answer)
        else:
            self._cut_off()
        output = [each.item for each in self._items]
        response = shown.shown_ended(ended, self._echo, question, output)
        # There is no event of its own for what was cancelled.
        status = "failed" if response["status"] == "cancelled" else response["status"]
        yield self._whole(f"response.{status}", response)

    def _in_line(self, ended: Ended) -> Ended:
        """The end, as it can be told after what has been told."""
        told, answer = self._text(), ended.answer
        if answer is None or not told:
            return ended
        if answer.text is None:
            # Refused in the middle: a text that is cut off.
            return ended._replace(answer=answer._replace(text=told))
        if not answer.text.startswith(told):
            return Ended(ended.job, problem=_changed())
        return ended

    # Items.

    def _item_of(self, kind: ChunkKind) -> _Item | None:
        return next((each for each in self._items if each.kind == kind and each.is_open), None)

    def _add(self, kind: ChunkKind) -> _Item:
        index = len(self._items)
        if kind == ChunkKind.TEXT:
            item = shown.message(self._job, "in_progress", [])
        else:
            count = sum(each.kind == kind for each in self._items)
            item = shown.thought(self._job, count, None, "in_progress")
        self._items.append(added := _Item(index, kind, item))
        return added

    def _opened(self, item: _Item) -> Iterator[Event]:
        """The text ends the reasoning before it; reasoning that comes after text stands beside it."""
        if item.kind == ChunkKind.TEXT:
            yield from self._thought_closed()
        yield from self._item_added(item)
        if item.kind == ChunkKind.TEXT:
            yield self._part("response.content_part.added", item, shown.words(""))
        else:
            kind = "response.reasoning_summary_part.added"
            yield self._part(kind, item, shown.summary(""))

    def _item_added(self, item: _Item) -> Iterator[Event]:
        told = dict(item.item)
        yield self._event("response.output_item.added", output_index=item.index, item=told)

    def _rest(self, answer: Answer) -> Iterator[Event]:
        """What has not been streamed. Reasoning that was not is told only while it can still come first."""
        if answer.reasoning and not self._items:
            yield from self.delta(ChunkKind.REASONING, answer.reasoning)
        if answer.text is None:
            yield from self._refused(answer.refusal or "")
        elif (rest := answer.text[len(self._text()) :]) or self._message() is None:
            yield from self.delta(ChunkKind.TEXT, rest)

    def _refused(self, text: str) -> Iterator[Event]:
        yield from self._thought_closed()
        item = self._add(ChunkKind.TEXT)
        item.texts.append(text)
        yield from self._item_added(item)
        yield self._part("response.content_part.added", item, shown.refusal(""))
        yield self._event("response.refusal.delta", **item.place, delta=text)
        yield self._event("response.refusal.done", **item.place, refusal=text)

    def _all_closed(self, answer: Answer) -> Iterator[Event]:
        yield from self._thought_closed()
        item = self._message()
        assert item is not None
        if answer.text is not None:
            told = {**item.place, "text": item.text, "logprobs": []}
            yield self._event("response.output_text.done", **told)
        content = shown.content_of(answer)
        yield self._part("response.content_part.done", item, content)
        whole = shown.message(self._job, shown.item_status(answer), [content])
        yield from self._item_done(item, whole)

    def _thought_closed(self) -> Iterator[Event]:
        item = self._item_of(ChunkKind.REASONING)
        if item is None:
            return
        text = item.text
        yield self._event("response.reasoning_summary_text.done", **item.place, text=text)
        yield self._part("response.reasoning_summary_part.done", item, shown.summary(text))
        whole = {**item.item, "status": "completed", "summary": [shown.summary(text)]}
        yield from self._item_done(item, whole)

    def _item_done(self, item: _Item, whole: shown.Item) -> Iterator[Event]:
        item.item, item.is_open = whole, False
        yield self._event("response.output_item.done", output_index=item.index, item=whole)

    def _cut_off(self) -> None:
        """What had come of a response that failed is shown as it stood."""
        for each in self._items:
            if each.is_open and each.kind == ChunkKind.TEXT:
                each.item = shown.message(self._job, "incomplete", [shown.words(each.text)])
            elif each.is_open:
                part = shown.summary(each.text)
                each.item = {**each.item, "status": "incomplete", "summary": [part]}

    def _message(self) -> _Item | None:
        return next((each for each in self._items if each.kind == ChunkKind.TEXT), None)

    def _text(self) -> str:
        item = self._message()
        return item.text if item else ""

    # Events.

    def _open(self) -> Event:
        return shown.shown_open(self._job, self._echo)

    def _whole(self, kind: str, response: Event) -> Event:
        return self._event(kind, response=response)

    def _part(self, kind: str, item: _Item, part: shown.Item) -> Event:
        return self._event(kind, **item.place, part=part)

    def _event(self, kind: str, **fields: Any) -> Event:
        event = {"type": kind, "sequence_number": self.next_number, **fields}
        self.next_number += 1
        return event


def broken(problem: Problem, number: int) -> Event:
    """The stream cannot go on, whatever becomes of the response."""
    return {
        "type": "error",
        "sequence_number": number,
        "code": problem.code,
        "message": problem.message,
        "param": problem.param,
    }


def _changed() -> Problem:
    message = "The page changed its answer after it had been streamed; read the whole from the job."
    return Problem(502, "server_error", "answer_changed", message)
