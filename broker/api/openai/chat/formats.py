"""Answers that are to be JSON: asked for in the prompt, found in what came, held against the client's schema."""

import asyncio
import json
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Any, NamedTuple, NoReturn

from broker.errors import InvalidValue, MissingParameter, UnsupportedParameter

if TYPE_CHECKING:
    from broker.api.openai.chat.schemas import Schema

#: A longer answer is not looked through.
MAX_CHARS = 1_000_000
#: Of a bad answer, so much is shown to the model again.
_SHOWN_CHARS = 4000
#: Places in an answer at which JSON may begin that are tried.
_MAX_STARTS = 50
_ALONE = "and nothing else: no code fence, no word before it or after it."


class NotThatJson(Exception):  # noqa: N818 - says what the answer is
    """An answer is not the JSON that was asked for."""

    def __init__(self, why: str, *, can_repair: bool = True) -> None:
        super().__init__(why)
        self.why = why
        #: Whether the model could do better if it is told what was wrong.
        self.can_repair = can_repair


class JsonFormat(NamedTuple):
    """What an answer in JSON must be: with no schema, any object."""

    schema: "Schema | None" = None
    #: The schema as the model is shown it.
    schema_text: str = ""

    @property
    def instruction(self) -> str:
        """What the model is told."""
        if self.schema is None:
            return f"Answer with one JSON object {_ALONE}"
        return f"Answer with JSON {_ALONE} It must be valid against this JSON Schema:\n{self.schema_text}"

    @property
    def warnings(self) -> Sequence[str]:
        return () if self.schema is None else self.schema.warnings

    def read(self, answer: str) -> str:
        """The JSON in an answer, letter for letter. Raises `NotThatJson`, saying what is wrong."""
        if len(answer) > MAX_CHARS:
            raise NotThatJson("The answer is too long.")
        flaw_of = _is_no_object if self.schema is None else self.schema.checker()
        flaws: dict[str, str] = {}
        for text, value in _found(answer):
            if text in flaws:
                continue
            flaw = flaw_of(value)
            if flaw is None:
                return text
            flaws[text] = flaw
        raise NotThatJson(next(iter(flaws.values()), "") or _why_none(answer))


def _is_no_object(value: Any) -> str | None:
    return None if isinstance(value, dict) else "It is JSON, but not an object."


def repair_prompt(prompt: str, answer: str, why: str) -> str:
    """The same question once more, with what was wrong."""
    shown = answer if len(answer) <= _SHOWN_CHARS else answer[:_SHOWN_CHARS] + " …"
    return (
        f"{prompt}\n\nYou answered this before:\n{shown}\n\n"
        f"That could not be used: {why}\nAnswer again, correctly, with the JSON alone."
    )


async def read_format(asked: Mapping[str, Any] | None, param: str) -> JsonFormat | None:
    """As `json_format`, in a thread: a large schema takes a second to look through."""
    return None if asked is None else await asyncio.to_thread(json_format, asked, param)


def json_format(asked: Mapping[str, Any] | None, param: str) -> JsonFormat | None:
    """What a client's `response_format` or `text.format` says; None for plain text. Raises a `BadRequest`."""
    if asked is None:
        return None
    match asked.get("type", "text"):
        case "text":
            return None
        case "json_object":
            return JsonFormat()
        case "json_schema":
            return _schema_format(asked, param)
        case other:
            raise UnsupportedParameter(
                f"{param} {other!r} is not supported; there are text, json_object and json_schema.",
                param=f"{param}.type",
            )


def _schema_format(asked: Mapping[str, Any], param: str) -> JsonFormat:
    # Chats wrap the schema in an object of its own, responses do not.
    if isinstance(asked.get("json_schema"), Mapping):
        asked, param = asked["json_schema"], f"{param}.json_schema"
    schema = asked.get("schema")
    if schema is None:
        raise MissingParameter(f"{param}.schema is required.", param=f"{param}.schema")
    if not isinstance(schema, dict):
        raise InvalidValue(f"{param}.schema must be an object.", param=f"{param}.schema")
    text = json.dumps(schema, ensure_ascii=False)
    return JsonFormat(_schema(text, f"{param}.schema"), text)


@lru_cache(maxsize=64)
def _schema(text: str, param: str) -> "Schema":
    """Remembered, because a program asks with the same schema each time."""
    from broker.api.openai.chat.schemas import Schema

    return Schema(json.loads(text), param)


# Finding JSON in what a model wrote.


def _found(answer: str) -> Iterator[tuple[str, Any]]:
    """The JSON values in an answer as text and value, the likeliest first."""
    whole = answer.strip()
    fenced = [block.partition("\n")[2].strip() for block in answer.split("```")[1::2]]
    for text in [whole, *fenced[:_MAX_STARTS]]:
        try:
            yield text, _decoder.decode(text)
        except (ValueError, RecursionError):
            continue
    yield from _within(answer)


def _within(answer: str) -> Iterator[tuple[str, Any]]:
    """The objects and lists that stand among words, from the outside."""
    place = 0
    for _ in range(_MAX_STARTS):
        start = _bracket(answer, place)
        if start is None:
            return
        try:
            value, place = _decoder.raw_decode(answer, start)
        except (ValueError, RecursionError):
            place = start + 1
            continue
        yield answer[start:place], value


def _bracket(text: str, place: int) -> int | None:
    found = [start for bracket in "{[" if (start := text.find(bracket, place)) >= 0]
    return min(found, default=None)


def _why_none(answer: str) -> str:
    start = _bracket(answer, 0)
    if start is None:
        return "There is no JSON in it."
    try:
        _decoder.raw_decode(answer, start)
    except (ValueError, RecursionError) as error:
        return f"It is not valid JSON: {error}."
    return "There is no JSON in it."


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON")


_decoder = json.JSONDecoder(parse_constant=_no_constant)
