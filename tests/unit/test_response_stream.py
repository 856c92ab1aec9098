"""The events of a response: each item opened, filled and closed in order, and numbered the same every time."""

import asyncio
from collections.abc import Iterable
from typing import Any

import pytest

from broker.api.errors import problem_of_job
from broker.api.openai.chat.answering import Answer, Began, Delta, Ended, Event, Quiet
from broker.api.openai.responses.narration import Narration
from broker.api.openai.responses.questions import ECHO, question_of_response
from broker.api.openai.responses.wire import CreateResponse
from broker.chunks import ChunkKind
from broker.jobs import Job, JobKind, JobState
from tests.support.builders import NOW, a_job

TEXT, REASONING = ChunkKind.TEXT, ChunkKind.REASONING
ITEM = ["response.output_item.added", "response.content_part.added"]
ITEM_DONE = [
    "response.output_text.done",
    "response.content_part.done",
    "response.output_item.done",
]
THOUGHT = ["response.output_item.added", "response.reasoning_summary_part.added"]
THOUGHT_DONE = [
    "response.reasoning_summary_text.done",
    "response.reasoning_summary_part.done",
    "response.output_item.done",
]
DELTA, THOUGHT_DELTA = "response.output_text.delta", "response.reasoning_summary_text.delta"
BEGUN = ["response.created", "response.in_progress"]


def told(news: Iterable[Event], job: Job | None = None, **asked: Any) -> list[dict[str, Any]]:
    question = asyncio.run(question_of_response(CreateResponse(input="Hi", **asked), [], "Hi"))
    assert question.order.request is not None
    narration = Narration(job or a_job(JobKind.CHAT), question.order.request[ECHO])
    events = list(narration.begun())
    for each in news:
        events += narration.told(each, question)
    assert [event["sequence_number"] for event in events] == list(range(len(events)))
    return events


def kinds(events: Iterable[dict[str, Any]]) -> list[str]:
    return [event["type"] for event in events]


def answered(text: str | None, reason: str = "stop", **fields: Any) -> Ended:
    job = a_job(JobKind.CHAT, state=JobState.COMPLETED, finished_at=NOW + 5)
    return Ended(job, Answer(text, fields.pop("reasoning", None), reason, **fields))


def failed(code: str, state: JobState = JobState.FAILED) -> Ended:
    return Ended(a_job(JobKind.CHAT, state=state), problem=problem_of_job(code, "It failed."))


def test_text_is_one_message_with_one_part() -> None:
    events = told([Delta(TEXT, "Hel"), Quiet(), Delta(TEXT, "lo"), answered("Hello")])

    assert kinds(events) == [*BEGUN, *ITEM, DELTA, DELTA, *ITEM_DONE, "response.completed"]
    response = events[-1]["response"]
    (item,) = response["output"]
    assert item == events[-2]["item"]
    assert item["content"] == [
        {"type": "output_text", "text": "Hello", "annotations": [], "logprobs": []}
    ]
    assert (item["status"], response["status"]) == ("completed", "completed")
    assert response["completed_at"] == int(NOW + 5)
    assert {event["item_id"] for event in events if "item_id" in event} == {item["id"]}


def test_reasoning_is_an_item_before_the_message() -> None:
    events = told([Delta(REASONING, "Well"), Delta(TEXT, "Yes"), answered("Yes")])

    assert kinds(events) == [
        *BEGUN,
        *[*THOUGHT, THOUGHT_DELTA, *THOUGHT_DONE],
        *[*ITEM, DELTA, *ITEM_DONE],
        "response.completed",
    ]
    thought, message = events[-1]["response"]["output"]
    assert (thought["type"], thought["summary"]) == (
        "reasoning",
        [{"type": "summary_text", "text": "Well"}],
    )
    assert message["type"] == "message"
    assert [event["output_index"] for event in events if event["type"] == DELTA] == [1]


def test_reasoning_after_text_stands_beside_it() -> None:
    news = [Delta(TEXT, "Yes"), Delta(REASONING, "Hm"), Delta(TEXT, "!"), answered("Yes!")]
    events = told(news)

    assert [(e["output_index"], e["delta"]) for e in events if "delta" in e] == [
        (0, "Yes"),
        (1, "Hm"),
        (0, "!"),
    ]
    assert [item["type"] for item in events[-1]["response"]["output"]] == ["message", "reasoning"]


def test_what_was_not_streamed_comes_before_the_end() -> None:
    whole = told([answered("Hello", reasoning="Well")])
    rest = told([Delta(TEXT, "Hel"), answered("Hello", reasoning="Well")])

    assert [event["delta"] for event in whole if "delta" in event] == ["Well", "Hello"]
    assert [event["delta"] for event in rest if "delta" in event] == ["Hel", "lo"]


def test_an_empty_answer_is_still_a_message() -> None:
    (item,) = told([answered("")])[-1]["response"]["output"]

    assert item["content"][0]["text"] == ""


def test_a_text_that_was_cut_is_incomplete() -> None:
    events = told([Delta(TEXT, "Hel"), answered("Hel", "length")])

    assert events[-1]["type"] == "response.incomplete"
    response = events[-1]["response"]
    assert response["status"] == "incomplete"
    assert response["incomplete_details"] == {"reason": "max_output_tokens"}
    assert (response["output"][0]["status"], response["completed_at"]) == ("incomplete", None)


def test_refused_content_is_a_refusal_behind_a_content_filter() -> None:
    events = told([answered(None, "content_filter", refusal="No.")])

    assert kinds(events) == [
        *[*BEGUN, *ITEM],
        "response.refusal.delta",
        "response.refusal.done",
        *[*ITEM_DONE[1:], "response.incomplete"],
    ]
    response = events[-1]["response"]
    assert response["incomplete_details"] == {"reason": "content_filter"}
    assert response["output"][0]["content"] == [{"type": "refusal", "refusal": "No."}]


def test_content_that_is_refused_in_the_middle_is_cut_off() -> None:
    events = told([Delta(TEXT, "Hel"), answered(None, "content_filter", refusal="No.")])

    assert events[-1]["type"] == "response.incomplete"
    assert events[-1]["response"]["output"][0]["content"][0]["text"] == "Hel"


@pytest.mark.parametrize(
    ("code", "told_as", "reason"),
    [
        ("rate_limited", "rate_limit_exceeded", "rate_limit_exceeded"),
        ("expired", "server_error", "timeout"),
        ("tab_closed", "server_error", "tab_closed"),
        ("bad_input", "invalid_prompt", "bad_input"),
        ("upload_rejected", "invalid_image", "upload_rejected"),
    ],
)
def test_a_failure_is_told_in_a_published_code_with_our_own_beside_it(
    code: str, told_as: str, reason: str
) -> None:
    last = told([failed(code)])[-1]

    assert last["type"] == "response.failed"
    error = last["response"]["error"]
    assert (last["response"]["status"], error["code"], error["reason"]) == (
        "failed",
        told_as,
        reason,
    )


def test_a_failure_shows_what_had_come() -> None:
    events = told([Delta(REASONING, "Well"), Delta(TEXT, "Hel"), failed("tab_closed")])

    thought, message = events[-1]["response"]["output"]
    assert (thought["status"], message["status"]) == ("completed", "incomplete")
    assert message["content"][0]["text"] == "Hel"


def test_an_answer_that_is_not_what_was_streamed_is_a_failure() -> None:
    last = told([Delta(TEXT, "Hello"), answered("Good day")])[-1]

    assert last["type"] == "response.failed"
    assert last["response"]["error"]["reason"] == "answer_changed"


def test_one_in_the_background_is_queued_until_a_worker_has_it() -> None:
    job = a_job(JobKind.CHAT)
    taken = Began(job._replace(state=JobState.PROCESSING, attempt=1))
    events = told([Quiet(), taken, taken, answered("Hi")], job, background=True)

    assert kinds(events)[:4] == [
        "response.created",
        "response.queued",
        "response.in_progress",
        "response.output_item.added",
    ]
    assert [event["response"]["status"] for event in events[:3]] == [
        "queued",
        "queued",
        "in_progress",
    ]


def test_the_events_are_numbered_alike_whenever_they_are_asked_for() -> None:
    news = [Delta(REASONING, "Well"), Delta(TEXT, "Hel"), Delta(TEXT, "lo"), answered("Hello")]
    job = a_job(JobKind.CHAT)
    taken = Began(job._replace(state=JobState.PROCESSING, attempt=1))

    live = told([Quiet(), taken, *news], job, background=True)
    again = told(news, job._replace(state=JobState.COMPLETED), background=True)

    assert kinds(live) == kinds(again)


def test_cancelled_in_the_background_ends_the_stream() -> None:
    cancelled = failed("cancelled", JobState.CANCELLED)
    last = told([cancelled], background=True)[-1]

    assert (last["type"], last["response"]["status"]) == ("response.failed", "cancelled")
    assert last["response"]["error"] is None


def test_a_stream_that_breaks_is_no_failure_of_a_response_that_goes_on() -> None:
    gone = failed("worker_error", JobState.PROCESSING)
    last = told([gone], background=True)[-1]

    assert (last["type"], last["code"], last["param"]) == ("error", "worker_error", None)
