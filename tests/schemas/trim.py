"""Cuts a published OpenAPI document down to the schemas of what the broker answers: `README.md` says how to use it."""

import json
import sys
from typing import Any

ROOTS = [
    "CreateChatCompletionResponse",
    "CreateChatCompletionStreamResponse",
    "DeletedVideoResource",
    "ErrorResponse",
    "ImagesResponse",
    "ListModelsResponse",
    "Model",
    "Response",
    "ResponseItemList",
    "ResponseStreamEvent",
    "VideoListResource",
    "VideoResource",
    "WebhookResponseCompleted",
    "WebhookResponseFailed",
]
#: Where schemas stand by names of their own, which may be those of keywords.
_NAMED = ("properties", "schemas")
_UNREAD = ("description", "example", "title")


def trimmed(document: dict[str, Any]) -> dict[str, Any]:
    schemas = document["components"]["schemas"]
    kept: dict[str, Any] = {}
    left = list(ROOTS)
    while left:
        name = left.pop()
        if name not in kept:
            kept[name] = _bare(schemas[name])
            left += _referred(kept[name])
    return {"info": document["info"], "components": {"schemas": dict(sorted(kept.items()))}}


def _bare(schema: Any, is_named: bool = False) -> Any:
    """Without what no validator reads."""
    if isinstance(schema, list):
        return [_bare(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    bare = {
        key: _bare(value, key in _NAMED and not is_named)
        for key, value in schema.items()
        if is_named or not (key in _UNREAD or key.startswith("x-"))
    }
    # The old way to say it, which the document still has in places and validators do not know any more.
    if not is_named and bare.pop("nullable", False):
        return {"anyOf": [bare, {"type": "null"}]}
    return bare


def _referred(schema: Any) -> list[str]:
    if isinstance(schema, list):
        return [name for each in schema for name in _referred(each)]
    if not isinstance(schema, dict):
        return []
    own = [schema["$ref"].rsplit("/", 1)[1]] if isinstance(schema.get("$ref"), str) else []
    return own + [name for each in schema.values() for name in _referred(each)]


if __name__ == "__main__":
    json.dump(trimmed(json.load(sys.stdin)), sys.stdout, indent=1, ensure_ascii=False)
    print()
