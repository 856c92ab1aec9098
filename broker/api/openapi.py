"""The OpenAPI document: FastAPI's own routes, and the lean ones described the same way."""

from collections.abc import Sequence
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from broker.api.lean import Route

_REF = "#/components/schemas/{model}"
_ERROR = {
    "description": "What was wrong, by code and in a sentence",
    "content": {
        "application/json": {
            "schema": {
                "type": "object",
                "required": ["error", "detail"],
                "properties": {
                    "detail": {"type": "string"},
                    "error": {
                        "type": "object",
                        "required": ["message", "type", "param", "code"],
                        "properties": {
                            "message": {"type": "string"},
                            "type": {"type": "string"},
                            "param": {"type": ["string", "null"]},
                            "code": {"type": "string"},
                        },
                    },
                },
            }
        }
    },
}


def describe(app: FastAPI, lean_routes: Sequence[Route]) -> dict[str, Any]:
    """The document for every route of the table."""
    document = get_openapi(title="Grok Broker", version=app.version, routes=app.routes)
    models = _models(lean_routes)
    _, schemas = models_json_schema([(model, "validation") for model in models], ref_template=_REF)
    components = document.setdefault("components", {}).setdefault("schemas", {})
    components |= schemas.get("$defs", {})
    for route in lean_routes:
        operation = _operation(route)
        document["paths"].setdefault(route.path, {})[route.method.lower()] = operation
    return document


def _models(routes: Sequence[Route]) -> list[type[BaseModel]]:
    found = [model for route in routes for model in (route.takes, route.gives) if model is not None]
    return list(dict.fromkeys(found))


def _operation(route: Route) -> dict[str, Any]:
    summary = ((route.handle and route.handle.__doc__) or "").strip()
    operation: dict[str, Any] = {
        "summary": summary,
        "parameters": [_parameter(name) for name in route.names],
        "responses": {"200": _answer(route), "default": _ERROR},
    }
    if route.takes is not None:
        content = {"application/json": {"schema": _ref(route.takes)}}
        operation["requestBody"] = {"required": True, "content": content}
    elif route.body.types:
        schema = {"type": "string", "format": "binary"}
        content = {name.decode(): {"schema": schema} for name in route.body.types}
        operation["requestBody"] = {"required": True, "content": content}
    return operation


def _parameter(name: str) -> dict[str, Any]:
    return {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}


def _answer(route: Route) -> dict[str, Any]:
    if route.gives is None:
        schema = {"type": "string", "format": "binary"}
        return {"description": "The file", "content": {_file_type(route): {"schema": schema}}}
    described = (route.gives.__doc__ or "").strip()
    return {
        "description": described,
        "content": {"application/json": {"schema": _ref(route.gives)}},
    }


def _file_type(route: Route) -> str:
    return "video/mp4" if route.path.endswith(".mp4") or "videos" in route.path else "image/*"


def _ref(model: type[BaseModel]) -> dict[str, str]:
    return {"$ref": _REF.format(model=model.__name__)}
