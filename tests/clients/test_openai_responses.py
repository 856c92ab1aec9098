"""OpenAI's client for Python uses the Responses API: whole, streamed, in the background."""

import openai
import pytest
from openai import OpenAI
from pydantic import BaseModel

from tests.support.auto_worker import AutoWorker
from tests.support.pictures import PNG

MODEL = "grok-4"
FINAL = ("completed", "failed", "cancelled", "incomplete")


class City(BaseModel):
    name: str
    people: int


def test_a_response_comes_back_with_its_text_and_usage(client: OpenAI) -> None:
    response = client.responses.create(
        model=MODEL, instructions="Be brief.", input="say Hello there", metadata={"a": "b"}
    )

    assert (response.status, response.output_text) == ("completed", "Hello there")
    assert (response.instructions, response.metadata) == ("Be brief.", {"a": "b"})
    assert response.usage is not None
    assert response.usage.input_tokens + response.usage.output_tokens == response.usage.total_tokens
    assert response._request_id


def test_a_conversation_with_images_reaches_the_worker(client: OpenAI) -> None:
    url = f"data:image/png;base64,{PNG}"
    response = client.responses.create(
        model=MODEL,
        input=[
            {"role": "user", "content": "Hello"},
            {"role": "assistant", "content": "Good morning"},
            {
                "role": "user",
                "content": [
                    {"type": "input_text", "text": "Compare"},
                    {"type": "input_image", "image_url": url, "detail": "auto"},
                    {"type": "input_image", "image_url": url, "detail": "low"},
                ],
            },
        ],
    )

    assert response.output_text == "You said: Compare I see 2 images."


def test_a_stream_tells_every_step_in_order(client: OpenAI) -> None:
    text = "One two three four five"

    events = list(client.responses.create(model=MODEL, input=f"say {text}", stream=True))

    assert [event.sequence_number for event in events] == list(range(len(events)))
    kinds = [event.type for event in events]
    assert list(dict.fromkeys(kinds)) == [
        "response.created",
        "response.in_progress",
        "response.output_item.added",
        "response.content_part.added",
        "response.output_text.delta",
        "response.output_text.done",
        "response.content_part.done",
        "response.output_item.done",
        "response.completed",
    ]
    deltas = [event.delta for event in events if event.type == "response.output_text.delta"]
    assert "".join(deltas) == text
    assert len(deltas) > 1
    assert events[-1].response.output_text == text


def test_a_stream_ends_with_the_whole_response(client: OpenAI) -> None:
    with client.responses.stream(model=MODEL, input="think Hello there") as stream:
        kinds = {event.type for event in stream}
        response = stream.get_final_response()

    assert response.output_text == "Hello there"
    assert "response.reasoning_summary_text.delta" in kinds
    assert [item.type for item in response.output] == ["reasoning", "message"]


def test_a_response_is_parsed_into_the_type_that_is_asked_for(client: OpenAI) -> None:
    response = client.responses.parse(
        model=MODEL, input='json {"name": "Oslo", "people": 717710}', text_format=City
    )

    assert response.output_parsed == City(name="Oslo", people=717710)


def test_refused_content_is_told_as_such(client: OpenAI) -> None:
    response = client.responses.create(model=MODEL, input="refuse this")

    assert response.status in ("completed", "incomplete")
    assert response.output_text == ""
    (item,) = response.output
    assert item.type == "message"
    assert item.content[0].type == "refusal"


def test_a_failure_in_a_stream_is_an_event_with_its_code(client: OpenAI) -> None:
    *_, last = client.responses.create(model=MODEL, input="fail generation_failed", stream=True)

    assert last.type == "response.failed"
    assert last.response.error is not None
    assert last.response.error.message


def test_a_response_in_the_background_is_asked_for_until_it_is_done(
    client: OpenAI, worker: AutoWorker
) -> None:
    response = client.responses.create(
        model=MODEL, input="wait background say Hello", background=True
    )

    assert response.status in ("queued", "in_progress")
    assert response.output_text == ""
    worker.release("background")
    while response.status not in FINAL:
        response = client.responses.retrieve(response.id, extra_query={"wait": "5"})
    assert (response.status, response.output_text) == ("completed", "Hello")


def test_a_response_in_the_background_can_be_cancelled(client: OpenAI) -> None:
    begun = client.responses.create(model=MODEL, input="wait for-ever", background=True)

    cancelled = client.responses.cancel(begun.id)

    assert cancelled.status == "cancelled"
    assert client.responses.retrieve(begun.id).status == "cancelled"


def test_a_response_can_be_deleted(client: OpenAI) -> None:
    response = client.responses.create(model=MODEL, input="say Hello")
    assert client.responses.retrieve(response.id).output_text == "Hello"

    client.responses.delete(response.id)

    with pytest.raises(openai.NotFoundError):
        client.responses.retrieve(response.id)
