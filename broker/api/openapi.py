"""The OpenAPI document: every route of the table with each status it can answer, and nothing left to a default.

What follows from a route's door and body is said here; what is a route's own stands in its line of the table.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from broker.api.gatekeeper import SCOPES
from broker.api.lean import Door, QueryParam, Route
from broker.api.table import ORDINARY_ROUTES

#: Type and mode of use → its schema.
Refs = Mapping[Any, dict[str, Any]]

_REF = "#/components/schemas/{model}"
_JSON = "application/json"
_FORM = "multipart/form-data"
_BINARY = {"type": "string", "format": "binary"}
_NULLABLE_TEXT = {"type": ["string", "null"]}
_ERROR = {
    "description": "What was wrong, by code and in a sentence",
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
                "param": _NULLABLE_TEXT,
                "code": {"type": "string"},
            },
        },
    },
}
#: What a status means, on every route that can answer it.
_MEANINGS = {
    202: "Not yet, or too late: the body says more",
    204: "Nothing now",
    206: "The part that was asked for",
    304: "As you have it already",
    400: "Something in the request is wrong, or is not offered",
    401: "A key is asked for, and the one that was sent, if any, is not in force",
    403: "A web page called whose origin may not, or the key is of another scope, or the link is over",
    404: "There is no such thing here",
    409: "Not as things stand: the code says why",
    410: "It was here and has been removed",
    413: "The body is too large",
    415: "The body has the wrong type",
    416: "There are no such bytes",
    421: "Called by a name that is not the broker's",
    422: "A field is wrong",
    429: "A limit has been reached, of the key or of the site; wait",
    500: "A fault of the broker",
    502: "The worker could not do it",
    503: "Nobody can do it now",
    504: "It took too long",
    507: "The disk is full",
}
#: What the guard answers wherever one calls, and what a store that does not answer leads to.
_ANYWHERE = (400, 403, 413, 415, 421, 429, 500, 503)
#: What creating something can meet besides.
_CREATING = (409, 507)
#: Headers of a request that are read at a door.
_HEADERS: Mapping[Door, tuple[QueryParam, ...]] = {
    Door.MEDIA: (
        QueryParam("Range", {"type": "string"}, "One range of bytes."),
        QueryParam("If-Range", {"type": "string"}),
        QueryParam("If-None-Match", {"type": "string"}),
    ),
    Door.PAIRING: (
        QueryParam("X-Pairing-Nonce", {"type": "string"}, "To hear of a pairing: what began it."),
    ),
    Door.WORKER: (
        QueryParam("X-Worker-Id", {"type": "string"}, "Who polls."),
        QueryParam("X-Lease-Token", {"type": "string"}, "Where it does not stand in the body."),
    ),
}
_IDEMPOTENCY = QueryParam(
    "Idempotency-Key",
    {"type": "string", "minLength": 1, "maxLength": 255},
    "The same key with the same body is answered with the same job.",
)
_ALWAYS_SENT = {"X-Request-Id": {"description": "Of this answer", "schema": {"type": "string"}}}
_RETRY_AFTER = {"description": "Seconds to wait", "schema": {"type": "integer"}}


def describe(app: FastAPI, lean_routes: Sequence[Route]) -> dict[str, Any]:
    """The document for every route of the table."""
    document = get_openapi(title="Grok Broker", version=app.version, routes=app.routes)
    refs, found = models_json_schema(_models(lean_routes), ref_template=_REF)
    components = document.setdefault("components", {}).setdefault("schemas", {})
    components |= found.get("$defs", {})
    components["Error"] = _ERROR
    document["components"]["securitySchemes"] = {"key": {"type": "http", "scheme": "bearer"}}
    # Or none at all, where no key is asked for.
    document["security"] = [{"key": []}, {}]
    paths = document["paths"]
    for route in ORDINARY_ROUTES:
        if operation := paths.get(_path(route), {}).get(route.method.lower()):
            operation["responses"] = _kept(operation["responses"]) | _others(route, refs)
    for route in lean_routes:
        paths.setdefault(_path(route), {})[route.method.lower()] = _operation(
            route, refs, components
        )
    return document


def statuses(route: Route) -> list[int]:
    """Every status besides 200 that a route can answer."""
    found = {*_ANYWHERE, *route.answers}
    takes_model = route.takes is not None and "model" in route.takes.model_fields
    # A route that gives nothing is there to say that there is nothing.
    if route.names or takes_model or not (route.gives or route.types):
        found.add(404)
    if _creates(route):
        found |= {*_CREATING, route.invalid_status}
    if route.door in SCOPES:
        found.add(401)
    return sorted(found)


def _creates(route: Route) -> bool:
    return route.door == Door.CLIENT and route.method == "POST" and route.takes is not None


def _models(routes: Sequence[Route]) -> Any:
    """Every shape once, by how it is used."""
    taken = [(route.takes, "validation") for route in routes]
    given = [(model, "serialization") for route in routes for model in _given(route)]
    return list(dict.fromkeys((model, mode) for model, mode in [*taken, *given] if model))


def _given(route: Route) -> list[type[BaseModel] | None]:
    return [route.gives, *route.answers.values()]


def _path(route: Route) -> str:
    return route.path.replace(":path", "")


def _operation(route: Route, refs: Refs, schemas: Mapping[str, Any]) -> dict[str, Any]:
    operation: dict[str, Any] = {
        "summary": ((route.handle and route.handle.__doc__) or "").strip(),
        "operationId": f"{route.method} {_path(route)}",
        "parameters": _parameters(route),
        "responses": _usual(route, refs) | _others(route, refs),
    }
    if content := _taken(route, refs, schemas):
        operation["requestBody"] = {"required": True, "content": content}
    return operation


def _parameters(route: Route) -> list[dict[str, Any]]:
    headers = _HEADERS.get(route.door, ())
    if _creates(route):
        headers = (_IDEMPOTENCY,)
    named = [QueryParam(name, {"type": "string"}, is_required=True) for name in route.names]
    return [
        *(_parameter("path", param) for param in named),
        *(_parameter("query", param) for param in route.query),
        *(_parameter("header", param) for param in headers),
    ]


def _parameter(place: str, param: QueryParam) -> dict[str, Any]:
    return {
        "name": param.name,
        "in": place,
        "required": param.is_required,
        "description": param.about,
        "schema": dict(param.schema),
    }


# What a route takes.


def _taken(route: Route, refs: Refs, schemas: Mapping[str, Any]) -> dict[str, Any]:
    return {
        name.decode(): {"schema": _taken_as(name.decode(), route, refs, schemas)}
        for name in route.body.types
    }


def _taken_as(name: str, route: Route, refs: Refs, schemas: Mapping[str, Any]) -> dict[str, Any]:
    shape = None if route.takes is None else refs[route.takes, "validation"]
    if name == _FORM:
        fields = schemas[shape["$ref"].rpartition("/")[2]] if shape else {}
        return _form(fields, route.files)
    return shape if name == _JSON and shape else _BINARY


def _form(fields: Mapping[str, Any], files: Sequence[str]) -> dict[str, Any]:
    """The same fields as of JSON, as the parts of a form; and files, each once or several times."""
    parts = {name: {"type": "array", "items": _BINARY} for name in files}
    required = [name for name in fields.get("required", ()) if name not in files]
    return {
        "type": "object",
        "properties": {**fields.get("properties", {}), **parts},
        "required": required,
    }


# What a route gives.


def _usual(route: Route, refs: Refs) -> dict[str, Any]:
    """The answer 200; none for a route that has no such answer."""
    content: dict[str, Any] = {name: {"schema": _schema_of(name)} for name in route.types}
    if route.gives is not None:
        content[_JSON] = {"schema": refs[route.gives, "serialization"]}
    if not content:
        return {}
    described = ((route.gives and route.gives.__doc__) or "The file").strip()
    return {"200": {"description": described, "headers": _ALWAYS_SENT, "content": content}}


def _schema_of(name: str) -> dict[str, str]:
    return {"type": "string"} if name.startswith("text/") else _BINARY


def _others(route: Route, refs: Refs) -> dict[str, Any]:
    return {str(status): _answer(route, status, refs) for status in statuses(route)}


def _answer(route: Route, status: int, refs: Refs) -> dict[str, Any]:
    answer: dict[str, Any] = {"description": _MEANINGS[status], "headers": dict(_ALWAYS_SENT)}
    model = route.answers.get(status)
    if model is not None:
        answer["content"] = {_JSON: {"schema": refs[model, "serialization"]}}
    elif status == 206:
        answer["content"] = {name: {"schema": _schema_of(name)} for name in route.types}
    elif status >= 400:
        answer["content"] = {_JSON: {"schema": {"$ref": _REF.format(model="Error")}}}
    if status in (429, 503, 507):
        answer["headers"]["Retry-After"] = _RETRY_AFTER
    return answer


def _kept(responses: Mapping[str, Any]) -> dict[str, Any]:
    """Of what FastAPI says of its own routes: the answer that is no error, for errors are told in our form."""
    return {status: answer for status, answer in responses.items() if status < "400"}
