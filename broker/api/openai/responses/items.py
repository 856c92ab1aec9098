"""What a response was made of, as a list of items: the way back from a chat's messages. No waiting, no storage."""

from collections.abc import Mapping, Sequence
from typing import Any

from broker.api.openai.responses.shown import Item, words
from broker.api.openai.responses.translate import Message
from broker.errors import InvalidValue
from broker.ids import JobId

MAX_PAGE, USUAL_PAGE = 100, 20


def items_of_messages(job_id: JobId, messages: Sequence[Message]) -> list[Item]:
    return [
        {"id": f"{prefix}_{job_id[4:]}_{number}", "status": "completed", **item}
        for number, (prefix, item) in enumerate(
            pair for message in messages for pair in _items_of(message)
        )
    ]


def _items_of(message: Message) -> list[tuple[str, Item]]:
    if message["role"] == "tool":
        output = _texts(message["content"])
        call_id = message.get("tool_call_id") or ""
        return [("fco", {"type": "function_call_output", "call_id": call_id, "output": output})]
    if calls := message.get("tool_calls"):
        return [("fc", _called(call)) for call in calls]
    parts = [_part(part, message["role"]) for part in _parts(message["content"])]
    return [("msg", {"type": "message", "role": message["role"], "content": parts})]


def _called(call: dict[str, Any]) -> Item:
    return {"type": "function_call", "call_id": call.get("id") or "", **call["function"]}


def _part(part: Item, role: str) -> Item:
    if part["type"] == "image_url":
        image = part["image_url"]
        detail = image.get("detail", "auto")
        return {"type": "input_image", "image_url": image["url"], "detail": detail, "file_id": None}
    if role == "assistant":
        return words(part["text"])
    return {"type": "input_text", "text": part["text"]}


def _parts(content: str | list[Item] | None) -> list[Item]:
    if isinstance(content, list):
        return content
    return [{"type": "text", "text": content}] if content else []


def _texts(content: str | list[Item] | None) -> str | list[Item]:
    return content if isinstance(content, str) else [_part(p, "user") for p in _parts(content)]


def page_of(items: Sequence[Item], query: Mapping[str, Sequence[str]]) -> dict[str, Any]:
    """One page of a list, as `limit`, `order` and `after` choose it. Raises `InvalidValue`."""
    limit = _limit(query.get("limit", [str(USUAL_PAGE)])[-1])
    order = query.get("order", ["desc"])[-1]
    if order not in ("asc", "desc"):
        raise InvalidValue("order is asc or desc.", param="order")
    chosen = list(items) if order == "asc" else list(reversed(items))
    after = query.get("after")
    if after:
        chosen = chosen[_place(chosen, after[-1]) + 1 :]
    page = chosen[:limit]
    return {
        "object": "list",
        "data": page,
        "first_id": page[0]["id"] if page else None,
        "last_id": page[-1]["id"] if page else None,
        "has_more": len(chosen) > limit,
    }


def _limit(text: str) -> int:
    if not text.isdecimal() or not 1 <= int(text) <= MAX_PAGE:
        raise InvalidValue(f"limit is a number from 1 to {MAX_PAGE}.", param="limit")
    return int(text)


def _place(items: Sequence[Item], item_id: str) -> int:
    for place, item in enumerate(items):
        if item["id"] == item_id:
            return place
    raise InvalidValue("after names no item of this response.", param="after")
