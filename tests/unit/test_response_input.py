"""A response's input becomes a chat's messages: every shape that clients send, and what is refused by name."""

from typing import Any

import pytest

from broker.api.bodies import validated
from broker.api.openai.responses.items import items_of_messages, page_of
from broker.api.openai.responses.translate import messages_of_input
from broker.api.openai.responses.wire import CreateResponse
from broker.errors import BadRequest
from broker.ids import new_job_id

IMAGE = "data:image/png;base64,AAAA"


def messages(input: Any, **fields: Any) -> list[dict[str, Any]]:
    return messages_of_input(validated(CreateResponse, {"input": input, **fields}))


def user(*parts: dict[str, Any]) -> list[dict[str, Any]]:
    return [{"role": "user", "content": list(parts)}]


def test_a_text_is_one_turn_of_the_user() -> None:
    assert messages("Hi") == [{"role": "user", "content": "Hi"}]


def test_instructions_come_first() -> None:
    assert messages("Hi", instructions="Be brief.") == [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "Hi"},
    ]


def test_a_message_may_leave_its_type_out() -> None:
    said = {"role": "developer", "content": "Hi"}

    assert messages([said]) == messages([{"type": "message", **said}]) == [said]


def test_parts_keep_their_order() -> None:
    parts = [
        {"type": "input_text", "text": "What is this?"},
        {"type": "input_image", "image_url": IMAGE, "detail": "low"},
        {"type": "input_file", "file_data": IMAGE, "filename": "a.png"},
    ]

    assert messages(user(*parts)) == user(
        {"type": "text", "text": "What is this?"},
        {"type": "image_url", "image_url": {"url": IMAGE, "detail": "low"}},
        {"type": "image_url", "image_url": {"url": IMAGE}},
    )


def test_what_a_response_answered_can_be_sent_back() -> None:
    answered = {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "status": "completed",
        "content": [
            {"type": "output_text", "text": "Yes.", "annotations": [], "logprobs": []},
            {"type": "refusal", "refusal": "No."},
        ],
    }
    thought = {"id": "rs_1", "type": "reasoning", "summary": []}

    assert messages([thought, answered]) == [
        {
            "role": "assistant",
            "content": [{"type": "text", "text": "Yes."}, {"type": "text", "text": "No."}],
        }
    ]


@pytest.mark.parametrize(
    ("kind", "given"), [("function", "arguments"), ("custom_tool", "input")], ids=str
)
def test_tools_that_were_called_and_answered_are_turns(kind: str, given: str) -> None:
    items = [
        {"type": f"{kind}_call", "name": "add", given: "1 2", "call_id": "c1"},
        {"type": f"{kind}_call_output", "call_id": "c1", "output": "3"},
    ]

    called, answered = messages(items)
    assert called["tool_calls"][0]["function"] == {"name": "add", "arguments": "1 2"}
    assert answered == {"role": "tool", "tool_call_id": "c1", "content": "3"}


@pytest.mark.parametrize(
    ("items", "code", "param"),
    [
        ([{"type": "item_reference", "id": "msg_1"}], "unsupported_parameter", "input.0"),
        ([{"type": "web_search_call"}], "unsupported_parameter", "input.0.type"),
        ([{"type": 3}], "unsupported_parameter", "input.0.type"),
        ([{"content": "Hi"}], "missing_required_parameter", "input.0.role"),
        ([{"role": "tool", "content": "Hi"}], "invalid_value", "input.0.role"),
        ([{"role": "user", "content": 3}], "invalid_value", "input.0.content"),
        ([{"role": "user", "content": ["Hi"]}], "invalid_value", "input.0.content.0"),
        (
            user({"type": "input_image", "file_id": "file_1"}),
            "unsupported_parameter",
            "input.0.content.0.file_id",
        ),
        (
            user({"type": "input_image"}),
            "missing_required_parameter",
            "input.0.content.0.image_url",
        ),
        (
            user({"type": "input_file", "file_data": "data:application/pdf;base64,AAAA"}),
            "unsupported_parameter",
            "input.0.content.0",
        ),
        (
            user({"type": "input_audio", "data": "AAAA"}),
            "unsupported_parameter",
            "input.0.content.0.type",
        ),
        (
            [{"type": "function_call_output", "call_id": "c1"}],
            "missing_required_parameter",
            "input.0.output",
        ),
    ],
    ids=str,
)
def test_what_cannot_be_asked_is_refused_by_name(items: Any, code: str, param: str) -> None:
    with pytest.raises(BadRequest) as refused:
        messages(items)

    assert (refused.value.code, refused.value.param) == (code, param)


@pytest.mark.parametrize(
    "metadata",
    [
        {str(number): "x" for number in range(17)},
        {"k" * 65: "x"},
        {"k": "v" * 513},
        {"k": 3},
    ],
    ids=["pairs", "key", "value", "type"],
)
def test_metadata_has_its_limits(metadata: dict[str, Any]) -> None:
    with pytest.raises(BadRequest) as refused:
        messages("Hi", metadata=metadata)

    assert (refused.value.param or "").startswith("metadata")


def test_messages_are_shown_again_as_items() -> None:
    asked = [
        *user({"type": "input_text", "text": "Look"}, {"type": "input_image", "image_url": IMAGE}),
        {"role": "assistant", "content": "I see."},
        {"type": "function_call", "name": "add", "arguments": "{}", "call_id": "c1"},
        {"type": "function_call_output", "call_id": "c1", "output": "3"},
    ]

    looked, seen, called, answered = items_of_messages(new_job_id(), messages(asked))
    assert [part["type"] for part in looked["content"]] == ["input_text", "input_image"]
    assert seen["content"] == [
        {"type": "output_text", "text": "I see.", "annotations": [], "logprobs": []}
    ]
    assert (called["type"], called["name"], called["call_id"]) == ("function_call", "add", "c1")
    assert (answered["type"], answered["output"]) == ("function_call_output", "3")
    assert len({item["id"] for item in (looked, seen, called, answered)}) == 4


def test_items_come_in_pages_last_first_unless_said() -> None:
    items = [{"id": f"msg_{number}"} for number in range(3)]

    last = page_of(items, {"limit": ["2"]})
    assert (last["first_id"], last["last_id"], last["has_more"]) == ("msg_2", "msg_1", True)
    rest = page_of(items, {"after": ["msg_1"]})
    assert (rest["data"], rest["has_more"]) == ([{"id": "msg_0"}], False)
    assert page_of(items, {"order": ["asc"]})["first_id"] == "msg_0"


@pytest.mark.parametrize(
    ("name", "value"), [("limit", "0"), ("limit", "x"), ("order", "up"), ("after", "msg_9")]
)
def test_a_page_that_cannot_be_is_refused(name: str, value: str) -> None:
    with pytest.raises(BadRequest) as refused:
        page_of([{"id": "msg_0"}], {name: [value]})

    assert refused.value.param == name
