"""The ordinary routes as one FastAPI application, answering errors in the form that all routes share."""

from collections.abc import Sequence
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response
from starlette.exceptions import HTTPException

from broker import __version__
from broker.api.bodies import refusal_of
from broker.api.errors import Problem, problem, problem_of
from broker.api.lean import Route
from broker.api.openapi import describe
from broker.errors import BrokerError


class _Web(FastAPI):
    """FastAPI with the lean routes in its OpenAPI document."""

    def __init__(self, lean: Sequence[Route]) -> None:
        # No /docs: its page would load scripts from a foreign host.
        super().__init__(title="Grok Broker", version=__version__, docs_url=None, redoc_url=None)
        self._lean = lean

    def openapi(self) -> dict[str, Any]:
        return describe(self, self._lean)


def web_of(routers: Sequence[Any], lean: Sequence[Route]) -> FastAPI:
    """The ordinary routes, answering errors in the one form that all routes share."""
    web = _Web(lean)
    for router in routers:
        web.include_router(router)

    @web.exception_handler(BrokerError)
    async def told(_: Request, error: BrokerError) -> Response:
        return _response(problem_of(error))

    @web.exception_handler(RequestValidationError)
    async def refused(_: Request, error: RequestValidationError) -> Response:
        return _response(problem_of(refusal_of(error.errors())))

    @web.exception_handler(Exception)
    async def crashed(request: Request, _: Exception) -> Response:
        # What broke, the guard writes down under the same number: the error goes on to it.
        number = request.scope.get("broker.request_id", "")
        return _response(problem("internal_error", f"Something went wrong here ({number})."))

    @web.exception_handler(HTTPException)
    async def missing(request: Request, _: HTTPException) -> Response:
        return _response(problem("not_found", f"There is no {request.url.path} here."))

    return web


def _response(told: Problem) -> Response:
    headers = {name.decode(): value.decode() for name, value in told.headers}
    return JSONResponse(told.body, told.status, headers)
