"""JSON at the edge: one gate for text and numbers, the same whatever engine stores them afterwards.

Refuses what would break somebody later: NaN, NUL, lone surrogates, numbers beyond 15 digits, deep nesting.
"""

import json
from collections.abc import Sequence
from typing import Any, NoReturn, TypeVar

from pydantic import BaseModel, ValidationError

from broker.errors import BadRequest, InvalidJson, InvalidValue, MissingParameter

MAX_DEPTH = 32
MAX_DIGITS = 15
M = TypeVar("M", bound=BaseModel)


def read_json(body: bytes) -> dict[str, Any]:
    """The JSON object in `body`. Raises `InvalidJson`, saying what is wrong with it."""
    try:
        text = body.decode("utf-8")
    except UnicodeDecodeError:
        raise InvalidJson("The body is not UTF-8.") from None
    try:
        value = _decode(text)
    except InvalidJson:
        raise
    except (ValueError, RecursionError):
        raise InvalidJson("The body is not valid JSON.") from None
    if not isinstance(value, dict):
        raise InvalidJson("The body must be one JSON object.")
    _check_depth(text, value)
    _check_text(text, value)
    return value


def read_model(model: type[M], body: bytes) -> M:
    """The body as a wire shape. Raises a `BadRequest` that names the field and what would be right."""
    return validated(model, read_json(body))


def validated(model: type[M], value: Any) -> M:
    """A parsed body as a wire shape; raises as `read_model` does."""
    try:
        return model.model_validate(value)
    except ValidationError as error:
        raise refusal(error) from None


def refusal(error: ValidationError) -> BadRequest:
    """What pydantic found first, in our words."""
    return refusal_of(error.errors(include_url=False, include_context=False, include_input=False))


def refusal_of(found: Sequence[Any]) -> BadRequest:
    """The same for what FastAPI found, which names the part of the request first."""
    first = found[0]
    place = [str(part) for part in first["loc"] if part not in ("query", "path", "body")]
    param = ".".join(place) or None
    if first["type"] == "json_invalid":
        return InvalidJson()
    if first["type"] == "missing":
        return MissingParameter(f"{param} is required.", param=param)
    message = first["msg"].removeprefix("Value error, ")
    return InvalidValue(f"{param}: {message}." if param else f"{message}.", param=param)


def _no_constant(name: str) -> NoReturn:
    raise InvalidJson(f"{name} is not a JSON number.")


def _int(digits: str) -> int:
    if len(digits.lstrip("-")) > MAX_DIGITS:
        raise InvalidJson(f"Whole numbers may have at most {MAX_DIGITS} digits.")
    return int(digits)


def _float(digits: str) -> float:
    value = float(digits)
    if value in (float("inf"), float("-inf")):
        raise InvalidJson("A number is too large.")
    return value


#: Made once: a decoder with hooks of its own costs more to make than to use.
_decode = json.JSONDecoder(parse_constant=_no_constant, parse_int=_int, parse_float=_float).decode


def _check_depth(text: str, value: Any) -> None:
    # Nesting needs brackets: a body with few of them is flat, and most are.
    if text.count("{") + text.count("[") <= MAX_DEPTH:
        return
    level = [value]
    for _ in range(MAX_DEPTH):
        level = [inner for outer in level for inner in _inside(outer)]
        if not level:
            return
    raise InvalidJson(f"The body is nested more than {MAX_DEPTH} deep.")


def _inside(value: Any) -> list[Any]:
    inner = value.values() if isinstance(value, dict) else value
    return [item for item in inner if isinstance(item, dict | list)]


def _check_text(text: str, value: Any) -> None:
    # Raw NULs are refused by the parser; escaped ones and lone surrogates need a backslash and a u.
    if "\\u" not in text:
        return
    dumped = json.dumps(value, ensure_ascii=False)
    try:
        dumped.encode("utf-8")
    except UnicodeEncodeError:
        raise InvalidJson("The text has half a character in it (a lone surrogate).") from None
    if "\\u0000" in dumped.replace("\\\\", ""):
        raise InvalidJson("The text has a NUL character in it.")
