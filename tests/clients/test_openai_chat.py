"""OpenAI's client for Python chats as its own documentation shows."""

import openai
import pytest
from openai import OpenAI
from openai.types.chat import ChatCompletionMessageParam
from pydantic import BaseModel

from tests.support.pictures import PNG

MODEL = "grok-4"


class City(BaseModel):
    name: str
    people: int


def user(text: str) -> list[ChatCompletionMessageParam]:
    return [{"role": "user", "content": text}]


def test_an_answer_comes_back_with_its_usage_and_request_id(client: OpenAI) -> None:
    completion = client.chat.completions.create(model=MODEL, messages=user("say Hello there"))

    (choice,) = completion.choices
    assert (choice.message.content, choice.finish_reason) == ("Hello there", "stop")
    assert choice.message.role == "assistant"
    assert completion.model == MODEL
    assert completion.usage is not None
    assert completion.usage.prompt_tokens + completion.usage.completion_tokens == (
        completion.usage.total_tokens
    )
    assert completion._request_id


def test_a_stream_brings_the_answer_piece_by_piece(client: OpenAI) -> None:
    text = "One two three four five six seven"

    chunks = list(
        client.chat.completions.create(model=MODEL, messages=user(f"say {text}"), stream=True)
    )

    pieces = [chunk.choices[0].delta.content or "" for chunk in chunks]
    assert "".join(pieces) == text
    assert len([piece for piece in pieces if piece]) > 1
    assert chunks[-1].choices[0].finish_reason == "stop"
    assert len({(chunk.id, chunk.created, chunk.model) for chunk in chunks}) == 1
    assert not any(chunk.usage for chunk in chunks)


def test_a_stream_tells_its_usage_last_where_that_is_asked_for(client: OpenAI) -> None:
    *others, last = client.chat.completions.create(
        model=MODEL,
        messages=user("say Hello"),
        stream=True,
        stream_options={"include_usage": True},
    )

    assert last.choices == []
    assert last.usage is not None
    assert last.usage.total_tokens > 0
    assert all(chunk.usage is None and chunk.choices for chunk in others)


def test_a_stream_ends_with_the_whole_completion(client: OpenAI) -> None:
    with client.chat.completions.stream(model=MODEL, messages=user("say Hello there")) as stream:
        kinds = {event.type for event in stream}
        completion = stream.get_final_completion()

    assert {"chunk", "content.delta", "content.done"} <= kinds
    assert completion.choices[0].message.content == "Hello there"


@pytest.mark.parametrize("is_streamed", [False, True])
def test_an_answer_is_parsed_into_the_type_that_is_asked_for(
    client: OpenAI, is_streamed: bool
) -> None:
    messages = user('json {"name": "Oslo", "people": 717710}')
    if is_streamed:
        with client.chat.completions.stream(
            model=MODEL, messages=messages, response_format=City
        ) as stream:
            completion = stream.get_final_completion()
    else:
        completion = client.chat.completions.parse(
            model=MODEL, messages=messages, response_format=City
        )

    assert completion.choices[0].message.parsed == City(name="Oslo", people=717710)


def test_a_json_object_comes_without_the_talk_around_it(client: OpenAI) -> None:
    completion = client.chat.completions.create(
        model=MODEL,
        messages=user('json {"a": [1, 2]}'),
        response_format={"type": "json_object"},
    )

    assert completion.choices[0].message.content == '{"a": [1, 2]}'


def test_several_images_reach_the_worker(client: OpenAI) -> None:
    url = f"data:image/png;base64,{PNG}"
    completion = client.chat.completions.create(
        model="grok-vision",
        messages=[
            {
                "role": "user",
                "content": [
                    {"type": "text", "text": "Compare"},
                    {"type": "image_url", "image_url": {"url": url}},
                    {"type": "image_url", "image_url": {"url": url, "detail": "low"}},
                ],
            }
        ],
    )

    assert completion.choices[0].message.content == "You said: Compare I see 2 images."


@pytest.mark.parametrize("is_streamed", [False, True])
def test_reasoning_stands_beside_the_answer(client: OpenAI, is_streamed: bool) -> None:
    messages = user("think Hello")
    if is_streamed:
        deltas = [
            chunk.choices[0].delta
            for chunk in client.chat.completions.create(model=MODEL, messages=messages, stream=True)
        ]
        reasoning = "".join(getattr(delta, "reasoning_content", None) or "" for delta in deltas)
        content = "".join(delta.content or "" for delta in deltas)
    else:
        message = client.chat.completions.create(model=MODEL, messages=messages).choices[0].message
        reasoning, content = message.reasoning_content, message.content or ""

    assert (reasoning, content) == ("Let me think.", "Hello")


@pytest.mark.parametrize("is_streamed", [False, True])
def test_refused_content_is_an_answer_that_says_so(client: OpenAI, is_streamed: bool) -> None:
    messages = user("refuse this")
    if is_streamed:
        stream = client.chat.completions.create(model=MODEL, messages=messages, stream=True)
        choice = list(stream)[-1].choices[0]
    else:
        choice = client.chat.completions.create(model=MODEL, messages=messages).choices[0]
        assert choice.message.refusal

    assert choice.finish_reason == "content_filter"


def test_an_answer_that_was_cut_off_says_so(client: OpenAI) -> None:
    completion = client.chat.completions.create(model=MODEL, messages=user("cut Hello"))

    assert completion.choices[0].finish_reason == "length"


def test_a_stop_word_ends_the_answer(client: OpenAI) -> None:
    completion = client.chat.completions.create(
        model=MODEL, messages=user("say One two STOP three"), stop=["STOP"]
    )

    assert completion.choices[0].message.content == "One two "
    assert completion.choices[0].finish_reason == "stop"


def test_what_only_shapes_the_answer_is_taken(client: OpenAI) -> None:
    completion = client.chat.completions.create(
        model=MODEL,
        messages=user("say Hello"),
        temperature=0,
        top_p=0.9,
        max_completion_tokens=50,
        seed=7,
        presence_penalty=0.1,
        reasoning_effort="low",
        tools=[{"type": "function", "function": {"name": "clock", "parameters": {}}}],
        user="somebody",
        metadata={"a": "b"},
    )

    assert completion.choices[0].message.content == "Hello"


def test_a_failure_in_a_stream_is_raised_with_its_code(client: OpenAI) -> None:
    stream = client.chat.completions.create(
        model=MODEL, messages=user("fail generation_failed"), stream=True
    )

    with pytest.raises(openai.APIError) as raised:
        list(stream)

    assert raised.value.code == "generation_failed"


def test_the_models_can_be_listed_and_looked_up(client: OpenAI) -> None:
    listed = [model.id for model in client.models.list()]

    assert {"grok", "grok-4", "grok-imagine-video", "grok-imagine-image"} <= set(listed)
    assert client.models.retrieve("grok-4").object == "model"
