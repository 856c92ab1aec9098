"""From the items of a response's input to the messages of a chat. No waiting, no storage, nothing else of chats."""

from collections.abc import Callable
from typing import Any

from broker.api.openai.responses.wire import CreateResponse
from broker.errors import InvalidValue, MissingParameter, UnsupportedParameter

Message = dict[str, Any]
Item = dict[str, Any]
_ROLES = ("user", "assistant", "system", "developer")
#: Parts that are words → the field that has them.
_WORDS = {
    "input_text": "text",
    "output_text": "text",
    "summary_text": "text",
    "text": "text",
    "refusal": "refusal",
}


def messages_of_input(asked: CreateResponse) -> list[Message]:
    """Instructions and input as chat messages, in order. Raises a `BadRequest` that names the item."""
    return [*messages_of_instructions(asked), *messages_of_items(asked.input)]


def messages_of_instructions(asked: CreateResponse) -> list[Message]:
    return [{"role": "system", "content": asked.instructions}] if asked.instructions else []


def messages_of_items(items: str | list[Item]) -> list[Message]:
    if isinstance(items, str):
        return [{"role": "user", "content": items}]
    found = (_message_of(item, f"input.{number}") for number, item in enumerate(items))
    return [message for message in found if message is not None]


def _message_of(item: Item, place: str) -> Message | None:
    # A message may leave its type out; nothing else may.
    kind = item.get("type", "message")
    read = READ_ITEMS.get(kind) if isinstance(kind, str) else None
    if read is None:
        raise UnsupportedParameter(
            f"Items of the type {kind!r} are not supported here; there are: {', '.join(READ_ITEMS)}.",
            param=f"{place}.type",
        )
    return read(item, place)


def _spoken(item: Item, place: str) -> Message:
    role = _field(item, "role", place)
    if role not in _ROLES:
        raise InvalidValue(
            f"{place}.role must be one of {', '.join(_ROLES)}.", param=f"{place}.role"
        )
    return {"role": role, "content": _content(item.get("content"), f"{place}.content")}


def _thought(item: Item, place: str) -> None:
    """Reasoning of an earlier turn: the page has no place for it."""


def _tool_called(item: Item, place: str) -> Message:
    name = _text(item, "name", place)
    # What a custom tool is given is called its input.
    arguments = _text(item, "arguments" if "arguments" in item else "input", place)
    called = {"name": name, "arguments": arguments}
    call = {"id": item.get("call_id"), "type": "function", "function": called}
    return {"role": "assistant", "content": None, "tool_calls": [call]}


def _tool_answered(item: Item, place: str) -> Message:
    content = _content(_field(item, "output", place), f"{place}.output")
    return {"role": "tool", "tool_call_id": item.get("call_id"), "content": content}


def _reference(item: Item, place: str) -> None:
    """What is found elsewhere has been put in place before; here nothing is."""
    raise UnsupportedParameter(
        "References to items are not supported here; send the item itself.", param=place
    )


READ_ITEMS: dict[str, Callable[[Item, str], Message | None]] = {
    "message": _spoken,
    "reasoning": _thought,
    "function_call": _tool_called,
    "function_call_output": _tool_answered,
    "custom_tool_call": _tool_called,
    "custom_tool_call_output": _tool_answered,
    "item_reference": _reference,
}


def _content(content: Any, place: str) -> str | list[Item] | None:
    if content is None or isinstance(content, str):
        return content
    if not isinstance(content, list):
        raise InvalidValue(f"{place} must be text or a list of parts.", param=place)
    return [_part(part, f"{place}.{number}") for number, part in enumerate(content)]


def _part(part: Any, place: str) -> Item:
    if not isinstance(part, dict):
        raise InvalidValue(f"{place} must be an object.", param=place)
    kind = _field(part, "type", place)
    if kind in _WORDS:
        return {"type": "text", "text": _text(part, _WORDS[kind], place)}
    if kind in ("input_image", "image_url"):
        return _image(part, place)
    if kind == "input_file":
        return _file(part, place)
    raise UnsupportedParameter(
        f"Content of the type {kind!r} is not supported here.", param=f"{place}.type"
    )


def _image(part: Item, place: str) -> Item:
    _refuse_file_id(part, place)
    url = _field(part, "image_url", place)
    if isinstance(url, dict):
        part, url = url, url.get("url")
    if not isinstance(url, str):
        raise InvalidValue(f"{place}.image_url must be a URL.", param=f"{place}.image_url")
    # Said only where it was said: what the worker gets is what the client sent.
    detail = {"detail": part["detail"]} if isinstance(part.get("detail"), str) else {}
    return {"type": "image_url", "image_url": {"url": url, **detail}}


def _file(part: Item, place: str) -> Item:
    _refuse_file_id(part, place)
    data = part.get("file_data")
    if not isinstance(data, str) or not data.startswith("data:image/"):
        raise UnsupportedParameter(
            "Of files only images are taken, as file_data with a data URL.", param=place
        )
    return {"type": "image_url", "image_url": {"url": data}}


def _refuse_file_id(part: Item, place: str) -> None:
    if part.get("file_id") is not None:
        raise UnsupportedParameter(
            "There is no store of files here; send the image itself.", param=f"{place}.file_id"
        )


def _text(item: Item, name: str, place: str) -> str:
    value = _field(item, name, place)
    if not isinstance(value, str):
        raise InvalidValue(f"{place}.{name} must be text.", param=f"{place}.{name}")
    return value


def _field(item: Item, name: str, place: str) -> Any:
    if item.get(name) is None:
        raise MissingParameter(f"{place}.{name} is required.", param=f"{place}.{name}")
    return item[name]
