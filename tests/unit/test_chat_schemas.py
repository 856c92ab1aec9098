"""A client's JSON Schema is checked in bounded time, whatever it is, and nothing is fetched for it."""

import json
from typing import Any

import pytest

from broker.api.openai.chat.formats import NotThatJson
from broker.api.openai.chat.schemas import MAX_CHARS, MAX_PATTERNS, Schema, Steps
from broker.errors import InvalidValue

DRAFT_04 = "http://json-schema.org/draft-04/schema#"
DRAFT_07 = "http://json-schema.org/draft-07/schema#"


def flaw(schema: dict[str, Any], value: Any) -> str | None:
    return Schema(schema, "schema").checker()(value)


def forked(depth: int) -> dict[str, Any]:
    """A schema whose every level tries the next one twice."""
    levels: dict[str, Any] = {
        f"a{n}": {"anyOf": [{"$ref": f"#/$defs/a{n + 1}"}] * 2} for n in range(depth)
    }
    return {**levels, f"a{depth}": {"type": "string"}}


@pytest.mark.parametrize(
    ("schema", "right", "wrong"),
    [
        ({"enum": ["a", "b"]}, "a", "c"),
        ({"minimum": 3}, 3, 2),
        ({"anyOf": [{"type": "string"}, {"type": "null"}]}, None, 1),
        ({"type": "array", "items": {"type": "integer"}, "maxItems": 2}, [1, 2], [1, "2"]),
        ({"uniqueItems": True}, [{"a": 1}, {"a": 2}], [{"a": 1, "b": 2}, {"b": 2, "a": 1}]),
        ({"pattern": "^[a-z]+$"}, "abc", "ABC"),
        (
            {"properties": {"a": {"$ref": "#/$defs/x"}}, "$defs": {"x": {"type": "null"}}},
            {"a": None},
            {"a": 1},
        ),
        (
            {"$schema": DRAFT_07, "definitions": {"x": {"const": 1}}, "$ref": "#/definitions/x"},
            1,
            2,
        ),
        ({"$schema": DRAFT_04, "maximum": 3, "exclusiveMaximum": True}, 2, 3),
        ({"additionalProperties": {"type": "integer"}}, {"a": 1}, {"a": "1"}),
        ({"patternProperties": {"^n": {"type": "integer"}}}, {"n1": 1, "m": "x"}, {"n1": "1"}),
        ({"patternProperties": {"^n": {}}, "additionalProperties": False}, {"n1": 1}, {"m": 1}),
    ],
)
def test_a_value_is_held_against_the_schema(schema: dict[str, Any], right: Any, wrong: Any) -> None:
    assert flaw(schema, right) is None
    assert flaw(schema, wrong) is not None


def test_a_flaw_names_its_place_and_is_short() -> None:
    told = flaw({"properties": {"a": {"items": {"type": "string"}}}}, {"a": ["x", ["y"] * 1000]})

    assert told is not None
    assert told.startswith("$.a[1]: ['y'")
    assert len(told) < 400


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "objekt"},
        {"type": 5},
        {"properties": []},
        {"properties": {"a": {"minimum": "1"}}},
        {"$schema": 5},
        {"$schema": DRAFT_04, "enum": [{"a": n} for n in range(4000)] + [{"a": 0}]},
        {"description": "x" * MAX_CHARS},
        {"anyOf": [{"pattern": f"^{n}"} for n in range(MAX_PATTERNS + 1)]},
    ],
)
def test_what_is_no_schema_is_refused(schema: dict[str, Any]) -> None:
    with pytest.raises(InvalidValue, match="schema is not usable"):
        Schema(schema, "schema")


@pytest.mark.parametrize(
    "reference",
    [
        "http://127.0.0.1:9/x",
        "https://example.com/x",
        "file:///etc/passwd",
        "x.json",
        "http://[",
        "#/no",
    ],
)
def test_a_reference_to_something_outside_is_refused_and_not_fetched(
    reference: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    fetched: list[object] = []
    monkeypatch.setattr("urllib.request.urlopen", lambda *given, **_: fetched.append(given))

    for schema in ({"$ref": reference}, {"properties": {"a": {"items": {"$ref": reference}}}}):
        with pytest.raises(InvalidValue, match="leads nowhere"):
            Schema(schema, "schema")
    assert fetched == []


def test_a_reference_to_what_is_no_schema_is_refused() -> None:
    for target in ("words", {"type": 5}):
        with pytest.raises(InvalidValue):
            Schema({"properties": {"a": {"$ref": "#/default"}}, "default": target}, "schema")


@pytest.mark.parametrize(
    "schema",
    [{"$ref": "#"}, {"allOf": [{"$ref": "#"}]}, {"not": {"$ref": "#"}}],
)
def test_a_schema_that_refers_to_itself_without_end_is_refused(schema: dict[str, Any]) -> None:
    with pytest.raises(InvalidValue, match="without end"):
        Schema(schema, "schema")


def test_a_tree_may_refer_to_itself() -> None:
    tree = {"type": "object", "properties": {"left": {"$ref": "#"}, "right": {"$ref": "#"}}}

    assert flaw(tree, {"left": {"right": {}}}) is None
    assert flaw(tree, {"left": {"right": 1}}) == "$.left.right: 1 is not of type 'object'"


@pytest.mark.parametrize(
    ("schema", "value"),
    [
        ({"properties": {"x": {"$ref": "#/$defs/a0"}}, "$defs": forked(40)}, {"x": 5}),
        ({"items": {"enum": [f"v{n}" for n in range(5000)]}}, ["v4999"] * 1000),
        ({"properties": {"x": {"$ref": "#"}}}, json.loads('{"x":' * 400 + "1" + "}" * 400)),
    ],
)
def test_a_check_that_takes_too_many_steps_is_given_up(schema: dict[str, Any], value: Any) -> None:
    with pytest.raises(NotThatJson, match="too many steps") as refused:
        flaw(schema, value)

    assert not refused.value.can_repair


def test_the_steps_are_those_of_one_answer_together() -> None:
    check = Schema({"enum": list(range(900))}, "schema").checker()

    with pytest.raises(NotThatJson):
        list(map(check, [899] * 1000))


def test_steps_run_out() -> None:
    steps = Steps(2)
    steps.take(2)

    with pytest.raises(NotThatJson):
        steps.take(1)


def test_a_pattern_takes_no_longer_for_a_hostile_text() -> None:
    # Takes a backtracking engine longer than the universe has.
    assert flaw({"pattern": "^(a+)+$"}, "a" * 100_000 + "!") is not None


@pytest.mark.parametrize("pattern", ["^(?!x)", r"(a)\1", "(", "x" * 1001])
def test_a_pattern_without_a_bound_is_not_checked_and_that_is_said(pattern: str) -> None:
    schema = Schema({"pattern": pattern, "patternProperties": {pattern: {"type": "null"}}}, "s")

    assert schema.checker()("anything") is None
    assert schema.checker()({"anything": 1}) is None
    assert schema.warnings == (f"s: the pattern {pattern!r} is not checked.",)


def test_a_name_is_not_additional_where_its_pattern_cannot_be_matched() -> None:
    schema = {"patternProperties": {"^(?!x)": {}}, "additionalProperties": False}

    assert flaw(schema, {"a": 1}) is None


def test_what_else_is_not_checked_is_said() -> None:
    schema = Schema({"unevaluatedProperties": False, "unevaluatedItems": False}, "s")

    assert schema.checker()({"a": [1]}) is None
    assert [warning.split()[1] for warning in schema.warnings] == [
        "unevaluatedProperties",
        "unevaluatedItems",
    ]
