"""JSON is found in what a model wrote, and is handed on only where it is what was asked for."""

from typing import Any

import pytest

from broker.api.openai.chat.formats import JsonFormat, NotThatJson, json_format, repair_prompt
from broker.errors import BadRequest

CITY = {
    "type": "object",
    "properties": {"city": {"type": "string"}},
    "required": ["city"],
    "additionalProperties": False,
}
ANY_OBJECT = {"type": "json_object"}


def made(asked: dict[str, Any]) -> JsonFormat:
    form = json_format(asked, "response_format")
    assert form is not None
    return form


def by_schema(schema: object) -> JsonFormat:
    return made({"type": "json_schema", "json_schema": {"name": "x", "schema": schema}})


@pytest.mark.parametrize("asked", [None, {}, {"type": "text"}])
def test_text_has_no_format(asked: dict[str, Any] | None) -> None:
    assert json_format(asked, "response_format") is None


@pytest.mark.parametrize(
    ("answer", "found"),
    [
        ('{"city": "Oslo"}', '{"city": "Oslo"}'),
        ('  {"city": "Oslo"}\n', '{"city": "Oslo"}'),
        ('```json\n{"city": "Oslo"}\n```', '{"city": "Oslo"}'),
        ('Sure! Here you are:\n\n```\n{"city": "Oslo"}\n```\nAnything else?', '{"city": "Oslo"}'),
        ('It is {"city": "Oslo"}, as [1] says.', '{"city": "Oslo"}'),
        ('As [1] and {this} say: {"city": "Oslo"}', '{"city": "Oslo"}'),
        ('{"town": 1} or rather {"city": "Oslo"}', '{"city": "Oslo"}'),
        ('{"city":  "```{}```"}', '{"city":  "```{}```"}'),
    ],
)
def test_json_is_found_letter_for_letter(answer: str, found: str) -> None:
    assert by_schema(CITY).read(answer) == found


def test_a_schema_may_ask_for_something_else_than_an_object() -> None:
    assert by_schema({"type": "array"}).read("The list: [1, 2]") == "[1, 2]"
    assert by_schema({"type": "integer"}).read("```json\n42\n```") == "42"


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        ("Oslo", "There is no JSON in it."),
        ("", "There is no JSON in it."),
        ('{"city": Oslo}', "It is not valid JSON: Expecting value: line 1 column 10 (char 9)."),
        ('{"city": 1}', "$.city: 1 is not of type 'string'"),
        ('{"city": "Oslo", "x": 1}', "$: 'x' is not one of its properties"),
        ("[]", "$: [] is not of type 'object'"),
        ('{"city": NaN}', "It is not valid JSON: NaN is no JSON."),
    ],
)
def test_what_is_wrong_is_told(answer: str, why: str) -> None:
    with pytest.raises(NotThatJson) as refused:
        by_schema(CITY).read(answer)

    assert refused.value.why == why
    assert refused.value.can_repair


@pytest.mark.parametrize("answer", ["[1]", '"text"', "1"])
def test_without_a_schema_it_must_be_an_object(answer: str) -> None:
    assert made(ANY_OBJECT).read('So: {"a": [1]}.') == '{"a": [1]}'
    with pytest.raises(NotThatJson, match="not an object|no JSON"):
        made(ANY_OBJECT).read(answer)


@pytest.mark.parametrize(
    "answer", ["[" * 900_000, "{" * 900_000, '{"a":' * 150_000, "```" * 300_000]
)
def test_a_hostile_answer_is_no_json(answer: str) -> None:
    with pytest.raises(NotThatJson):
        made(ANY_OBJECT).read(answer)


def test_an_endless_answer_is_not_looked_through() -> None:
    with pytest.raises(NotThatJson, match="too long"):
        made(ANY_OBJECT).read("{}" + " " * 1_000_000)


def test_the_model_is_shown_the_schema() -> None:
    assert '"city"' in by_schema(CITY).instruction
    assert "JSON object" in made(ANY_OBJECT).instruction


def test_a_response_says_the_same_without_the_wrapper() -> None:
    flat = made({"type": "json_schema", "name": "x", "schema": CITY, "strict": True})

    assert flat.read('{"city": "Oslo"}') == '{"city": "Oslo"}'


@pytest.mark.parametrize(
    ("asked", "code", "param"),
    [
        ({"type": "grammar"}, "unsupported_parameter", "response_format.type"),
        ({"type": ["text"]}, "unsupported_parameter", "response_format.type"),
        ({"type": "json_schema"}, "missing_required_parameter", "response_format.schema"),
        (
            {"type": "json_schema", "json_schema": {"name": "x"}},
            "missing_required_parameter",
            "response_format.json_schema.schema",
        ),
        (
            {"type": "json_schema", "json_schema": {"schema": []}},
            "invalid_value",
            "response_format.json_schema.schema",
        ),
        (
            {"type": "json_schema", "json_schema": {"schema": {"type": "objekt"}}},
            "invalid_value",
            "response_format.json_schema.schema",
        ),
    ],
)
def test_a_format_that_cannot_be_is_refused_by_name(
    asked: dict[str, Any], code: str, param: str
) -> None:
    with pytest.raises(BadRequest) as refused:
        json_format(asked, "response_format")

    assert (refused.value.code, refused.value.param) == (code, param)


def test_a_repair_shows_the_answer_and_what_was_wrong_with_it() -> None:
    prompt = repair_prompt("Where?", "x" * 9000, "There is no JSON in it.")

    assert prompt.startswith("Where?\n\n")
    assert "x" * 4000 + " …" in prompt
    assert "x" * 4001 not in prompt
    assert "There is no JSON in it." in prompt
