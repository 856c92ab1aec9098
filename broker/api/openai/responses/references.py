"""References to items that a client was given before: replaced by the items themselves, before the input is read.

The Vercel AI SDK sends every earlier answer so.
"""

import re
from typing import Any

from broker.api.openai.responses.items import items_of_messages
from broker.api.openai.responses.shelf import Shelf
from broker.api.openai.responses.shown import Item
from broker.errors import MissingParameter, NotFound
from broker.ids import JobId
from broker.keys import Caller

#: The id of a response is in those of its items; what it was made of is numbered besides.
_ID = re.compile(r"(msg|rs|fc|fco)_([0-9a-f]{32})(_\d{1,4})?", re.ASCII)


async def resolved(shelf: Shelf, caller: Caller, items: str | list[Item]) -> str | list[Item]:
    """The input without references. Raises `NotFound` for what is not kept, naming the item."""
    if isinstance(items, str):
        return items
    known: dict[str, Item] = {}
    return [
        await _named(shelf, caller, item.get("id"), f"input.{number}.id", known)
        if item.get("type") == "item_reference"
        else item
        for number, item in enumerate(items)
    ]


async def _named(
    shelf: Shelf, caller: Caller, item_id: Any, param: str, known: dict[str, Item]
) -> Item:
    if not isinstance(item_id, str):
        raise MissingParameter(f"{param} is required.", param=param)
    match = _ID.fullmatch(item_id)
    if match and match[1] == "rs":
        # However often it was told, reasoning is passed over.
        return {"type": "reasoning"}
    if match and item_id not in known:
        for item in await _items_of(
            shelf, caller, JobId(f"job_{match[2]}"), param, is_input=bool(match[3])
        ):
            known[item["id"]] = item
    if item_id not in known:
        raise NotFound(f"There is no item {item_id[:64]!r}; send the item itself.", param=param)
    return known[item_id]


async def _items_of(
    shelf: Shelf, caller: Caller, job_id: JobId, param: str, *, is_input: bool
) -> list[Item]:
    kept = await shelf.find(caller, job_id, param)
    if is_input:
        return items_of_messages(job_id, await shelf.turns(kept))
    output: list[Item] = (await shelf.shown(kept))["output"]
    return output
