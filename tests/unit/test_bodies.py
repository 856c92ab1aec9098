"""JSON at the edge: one gate, so that nothing gets in that breaks somebody later."""

import json

import pytest
from pydantic import BaseModel, Field

from broker.api.bodies import MAX_DEPTH, read_json, read_model
from broker.errors import BadRequest, InvalidJson, InvalidValue, MissingParameter


class Wanted(BaseModel):
    name: str = Field(max_length=5)
    count: int = 0
    inner: "list[Inner]" = []


class Inner(BaseModel):
    seq: int = Field(ge=0)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b" ",
        b"{",
        b"[]",
        b'"text"',
        b"null",
        b"1",
        b"true",
        b'{"a": 1} {"b": 2}',
        b"{'a': 1}",
        b'{"a": 1,}',
        b'{"a": NaN}',
        b'{"a": Infinity}',
        b'{"a": [-Infinity]}',
        b'{"a": 1e999}',
        b'{"a": -1e999}',
        b'{"a": 1234567890123456}',
        b'{"a": -1234567890123456}',
        b'{"a": ' + b"9" * 5000 + b"}",
        b'{"a": "\\ud800"}',
        b'{"a": "x\\udc00y"}',
        b'{"\\ud800": 1}',
        b'{"a": "\\u0000"}',
        b'{"a\\u0000": 1}',
        b'{"a": "\x00"}',
        b'{"a": "\\\\\\u0000"}',
        b'\xff\xfe{"a": 1}',
        b'{"a": "\xff"}',
        b'\xef\xbb\xbf{"a": 1}',
        "{}".encode("utf-16"),
        b'{"a": ' + b"[" * 100_000 + b"]" * 100_000 + b"}",
    ],
    ids=lambda body: repr(body[:24]),
)
def test_what_is_not_one_sound_json_object_is_refused(body: bytes) -> None:
    with pytest.raises(InvalidJson):
        read_json(body)


@pytest.mark.parametrize(
    "value",
    [
        {},
        {"a": "☃ 猫 \U0001f408"},
        {"a": "line\nend\ttab"},
        {"a": "\\u0000 is how one writes it"},
        {"a": "\\\\u0000"},
        {"a": 123456789012345, "b": -1.5e10, "c": 0.1},
        {"a": [None, True, {"b": []}]},
        {str(number): [{}] for number in range(100)},
    ],
    ids=lambda value: str(value)[:24],
)
def test_what_is_sound_comes_through_as_it_was(value: dict[str, object]) -> None:
    assert read_json(json.dumps(value).encode()) == value
    assert read_json(json.dumps(value, ensure_ascii=False).encode()) == value


def test_a_whole_character_written_as_two_halves_is_one_character() -> None:
    assert read_json(b'{"a": "\\ud83d\\udc08"}') == {"a": "\U0001f408"}


def nested(depth: int) -> bytes:
    return b'{"a": ' * depth + b"1" + b"}" * depth


def test_nesting_has_a_limit_for_every_shape() -> None:
    assert read_json(nested(MAX_DEPTH))
    for body in (nested(MAX_DEPTH + 1), b'{"a": ' + b"[" * MAX_DEPTH + b"]" * MAX_DEPTH + b"}"):
        with pytest.raises(InvalidJson, match="deep"):
            read_json(body)


def test_brackets_in_a_text_are_no_nesting() -> None:
    value = {"a": "[{" * 1000}

    assert read_json(json.dumps(value).encode()) == value


def test_a_body_becomes_the_shape_that_was_asked_for() -> None:
    read = read_model(Wanted, b'{"name": "cat", "inner": [{"seq": 1}], "more": 1}')

    assert (read.name, read.count, read.inner[0].seq) == ("cat", 0, 1)


@pytest.mark.parametrize(
    ("body", "error", "param"),
    [
        (b"{}", MissingParameter, "name"),
        (b'{"name": null}', InvalidValue, "name"),
        (b'{"name": 5}', InvalidValue, "name"),
        (b'{"name": "too long"}', InvalidValue, "name"),
        (b'{"name": "cat", "count": "x"}', InvalidValue, "count"),
        (b'{"name": "cat", "inner": [{"seq": 0}, {"seq": -1}]}', InvalidValue, "inner.1.seq"),
        (b'{"name": "cat", "inner": [{}]}', MissingParameter, "inner.0.seq"),
    ],
)
def test_a_refused_field_is_named(body: bytes, error: type[BadRequest], param: str) -> None:
    with pytest.raises(error) as refused:
        read_model(Wanted, body)

    assert refused.value.param == param
    assert refused.value.message.startswith(param)


def test_a_refusal_does_not_repeat_what_was_sent() -> None:
    with pytest.raises(InvalidValue) as refused:
        read_model(Wanted, b'{"name": "my secret prompt"}')

    assert "secret" not in refused.value.message
