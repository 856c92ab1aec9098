"""What a client's chat becomes: the prompt, the images, what is refused, what is only said."""

from typing import Any

import pytest

from broker.api.bodies import validated
from broker.api.openai.chat.answering import Question
from broker.api.openai.chat.formats import json_format
from broker.api.openai.chat.from_response import as_chat
from broker.api.openai.chat.translate import question_of_chat
from broker.api.openai.chat.usage import estimated_usage
from broker.api.openai.chat.wire import CreateChatCompletion
from broker.errors import BadRequest
from tests.unit.test_docs import named, rows, section

PICTURE = "data:image/png;base64,iVBORw0KGgo="
CALLS = {
    "role": "assistant",
    "content": None,
    "tool_calls": [
        {"id": "c1", "type": "function", "function": {"name": "weather", "arguments": '{"in":1}'}},
        {"id": "c2", "type": "custom", "custom": {"name": "shell", "input": "ls"}},
    ],
}


def question(messages: list[Any], **fields: Any) -> Question:
    body = as_chat({"messages": messages, **fields})
    asked = validated(CreateChatCompletion, body)
    return question_of_chat(body, asked, json_format(asked.response_format, "response_format"))


def user(content: Any) -> dict[str, Any]:
    return {"role": "user", "content": content}


def image(url: Any = PICTURE) -> dict[str, Any]:
    return {"type": "image_url", "image_url": url}


def text(words: str) -> dict[str, Any]:
    return {"type": "text", "text": words}


# The prompt.


@pytest.mark.parametrize(
    ("messages", "prompt"),
    [
        ([user("Hi")], "Hi"),
        ([user([text("Hi"), text("you")])], "Hi\nyou"),
        ([{"role": "user", "content": "Hi", "name": "ann"}], "Hi"),
        ([{"role": "system", "content": "Be brief."}], "System: Be brief."),
        (
            [
                {"role": "system", "content": "Be brief."},
                {"role": "developer", "content": "In verse."},
                user("Hi"),
            ],
            "System: Be brief.\n\nSystem: In verse.\n\nUser: Hi",
        ),
        (
            [
                user("Hi"),
                {"role": "assistant", "content": [{"type": "refusal", "refusal": "No."}]},
                {"role": "assistant", "content": None, "refusal": "Still no."},
                user("Why?"),
            ],
            "User: Hi\n\nAssistant: No.\n\nAssistant: Still no.\n\nUser: Why?",
        ),
        (
            [
                user("Rain?"),
                CALLS,
                {"role": "tool", "tool_call_id": "c1", "content": "yes"},
                {"role": "tool", "tool_call_id": "c9", "content": [text("no")]},
            ],
            'User: Rain?\n\nAssistant: [called weather with {"in":1}]\n[called shell with ls]\n\n'
            "Tool weather: yes\n\nTool: no",
        ),
        (
            [
                user("Rain?"),
                {"role": "assistant", "content": "", "function_call": {"name": "weather"}},
                {"role": "function", "name": "weather", "content": "yes"},
            ],
            "User: Rain?\n\nAssistant: [called weather with {}]\n\nTool weather: yes",
        ),
    ],
)
def test_a_conversation_is_typed_as_one_text(messages: list[Any], prompt: str) -> None:
    assert question(messages).order.prompt == prompt


def test_the_instruction_for_json_comes_last() -> None:
    alone = question([user("Hi")], response_format={"type": "json_object"})
    among = question(
        [{"role": "system", "content": "Be brief."}, user("Hi")],
        response_format={"type": "json_object"},
    )

    assert alone.order.prompt.startswith("Hi\n\nAnswer with one JSON object")
    assert "\n\nUser: Hi\n\nSystem: Answer with one JSON object" in among.order.prompt


@pytest.mark.parametrize("messages", [[user("")], [user(None)], [user([])], [user([text("")])]])
def test_messages_must_say_something(messages: list[Any]) -> None:
    with pytest.raises(BadRequest) as refused:
        question(messages)

    assert refused.value.param == "messages"


# Images.


def test_images_are_taken_from_all_turns_in_order_each_once() -> None:
    urls = [f"{PICTURE}{n}" for n in range(3)]
    asked = question(
        [
            user([image({"url": urls[0], "detail": "high"}), image(urls[1])]),
            user([text("And these?"), image(urls[0]), image(urls[2])]),
        ]
    )

    assert asked.order.images == urls
    assert asked.order.prompt == "And these?"


def test_an_image_that_came_as_a_file_reaches_the_worker_as_an_image() -> None:
    body = {
        "messages": [
            user("One?"),
            user([text("Two?"), {"type": "file", "file": {"file_data": PICTURE}}]),
        ]
    }
    asked = question(body["messages"])

    assert asked.order.images == [PICTURE]
    assert asked.order.request == {
        "messages": [user("One?"), user([text("Two?"), image({"url": PICTURE})])]
    }


def test_a_request_goes_on_as_it_came() -> None:
    body = {"messages": [user("Hi")], "reasoning_effort": "high"}
    asked = validated(CreateChatCompletion, body)

    assert question_of_chat(body, asked, None).order.request is body


# What is refused.


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"n": 2}, "n"),
        ({"modalities": ["text", "audio"]}, "modalities"),
        ({"tool_choice": "required"}, "tool_choice"),
        ({"tool_choice": {"type": "function", "function": {"name": "f"}}}, "tool_choice"),
        (
            {"tool_choice": {"type": "allowed_tools", "allowed_tools": {"mode": "required"}}},
            "tool_choice",
        ),
        ({"function_call": {"name": "f"}}, "function_call"),
        ({"deferred": True, "stream": True}, "deferred"),
        ({"webhook_url": "https://example.com/"}, "webhook_url"),
        (
            {"messages": [user([{"type": "input_audio", "input_audio": {}}])]},
            "messages.0.content.0",
        ),
        (
            {"messages": [user([{"type": "file", "file": {"file_id": "f"}}])]},
            "messages.0.content.0",
        ),
        (
            {
                "messages": [
                    user("x"),
                    user(
                        [
                            text("y"),
                            {
                                "type": "file",
                                "file": {"file_data": "data:application/pdf;base64,JVBE"},
                            },
                        ]
                    ),
                ]
            },
            "messages.1.content.1",
        ),
    ],
)
def test_what_a_page_cannot_do_is_refused_by_name(fields: dict[str, Any], param: str) -> None:
    with pytest.raises(BadRequest) as refused:
        question(**{"messages": [user("Hi")], **fields})

    assert (refused.value.code, refused.value.param) == ("unsupported_parameter", param)


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"stop": ["a"] * 5}, "stop"),
        ({"stop": 5}, "stop"),
        ({"stop": ["x" * 501]}, "stop.0"),
        ({"messages": [user(5)]}, "messages.0.content"),
        ({"messages": [user([{"type": "text"}])]}, "messages.0.content.0.text.text"),
        ({"messages": [{"role": "robot", "content": "x"}]}, "messages.0.role"),
    ],
)
def test_a_field_that_is_wrong_is_named(fields: dict[str, Any], param: str) -> None:
    with pytest.raises(BadRequest) as refused:
        question(**{"messages": [user("Hi")], **fields})

    assert refused.value.param == param


# What is taken.


@pytest.mark.parametrize(
    "fields",
    [
        {"n": 1, "modalities": ["text"], "tool_choice": "auto", "function_call": "none"},
        {"tool_choice": {"type": "allowed_tools", "allowed_tools": {"mode": "auto"}}},
        {"stop": None, "stream_options": None, "tools": None, "response_format": None},
        {"user": "ann", "metadata": {"a": "b"}, "store": True, "service_tier": "auto"},
    ],
)
def test_what_changes_nothing_is_taken_without_a_word(fields: dict[str, Any]) -> None:
    assert question([user("Hi")], **fields).warnings == ()


def test_what_is_not_acted_on_is_said() -> None:
    tools = [{"type": "function", "function": {"name": "f"}}]
    asked = question([user("Hi")], tools=tools, temperature=0, max_tokens=5, seed=None)

    assert asked.warnings == (
        "Tools are not called: a page cannot be handed any.",
        "Not acted on, because a page has no knob for it: temperature, max_tokens.",
    )


@pytest.mark.parametrize(
    ("stop", "stops"),
    [(None, []), ("", []), ("x", ["x"]), (["x", "", "y"], ["x", "y"]), ([], [])],
)
def test_a_stop_is_one_or_several(stop: Any, stops: list[str]) -> None:
    assert list(question([user("Hi")], stop=stop).stops) == stops


def test_a_stop_is_not_applied_to_json_and_that_is_said() -> None:
    asked = question([user("Hi")], stop="}", response_format={"type": "json_object"})

    assert asked.stops == ()
    assert asked.warnings == ("stop is not applied to an answer in JSON.",)


def test_a_stream_of_json_may_be_begun_anew() -> None:
    assert question([user("Hi")], stream=True).order.is_streaming
    as_json = question([user("Hi")], stream=True, response_format={"type": "json_object"})
    assert not as_json.order.is_streaming


def test_nobody_waits_for_a_deferred_answer() -> None:
    waited, left = (
        question([user("Hi")]),
        question([user("Hi")], deferred=True, webhook_url="http://x"),
    )

    assert (waited.order.is_background, waited.order.webhook_url) == (False, None)
    assert (left.order.is_background, left.order.webhook_url) == (True, "http://x")


# A response's body.


def test_a_responses_body_becomes_a_chat() -> None:
    body = {
        "model": "grok-4",
        "instructions": "Be brief.",
        "input": [{"role": "user", "content": [{"type": "input_text", "text": "Hi"}]}],
        "text": {"format": {"type": "json_object"}},
        "reasoning": {"effort": "high"},
        "max_output_tokens": 9,
        "stream": True,
    }
    chat = as_chat(body)

    assert chat == {
        "model": "grok-4",
        "messages": [{"role": "system", "content": "Be brief."}, user([text("Hi")])],
        "response_format": {"type": "json_object"},
        "reasoning_effort": "high",
        "max_completion_tokens": 9,
        "stream": True,
    }


@pytest.mark.parametrize("name", ["previous_response_id", "conversation", "background"])
def test_what_only_a_response_can_be_is_refused_here(name: str) -> None:
    with pytest.raises(BadRequest) as refused:
        as_chat({"input": "Hi", name: True if name == "background" else "x"})

    assert refused.value.param == name


def test_no_client_makes_a_chat_look_like_a_response() -> None:
    assert as_chat({"messages": [], "response": {}}) == {"messages": []}


# Usage.


def test_reasoning_counts_as_part_of_the_completion() -> None:
    usage = estimated_usage("x" * 40, 2, "y" * 8, "z" * 12).on_the_line()

    assert usage == {
        "prompt_tokens": 18,
        "completion_tokens": 5,
        "total_tokens": 23,
        "prompt_tokens_details": {"cached_tokens": 0},
        "completion_tokens_details": {"reasoning_tokens": 3},
        "estimated": True,
    }


# The page of the API.


def test_every_field_of_a_chat_request_is_told() -> None:
    table = rows(section("docs/api.md", "`POST /v1/chat/completions`"))
    told = [name for row in table for name in named(row[0])]

    assert sorted(told) == sorted(CreateChatCompletion.model_fields)
