"""The apps that the broker is measured against, all under the server settings that the broker has.

`python -m bench.references NAME PORT` runs one: `bare`, `typed`, `files` or `discard`.
"""

import os
import sys
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

import uvicorn
from fastapi import FastAPI
from pydantic import BaseModel
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import FileResponse
from starlette.routing import Route

from bench.load import HOST

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

OK = b'{"status":"ok"}'


async def bare(scope: Scope, receive: Receive, send: Send) -> None:
    """The least an ASGI app can do: it looks at nothing and says yes."""
    if scope["type"] == "lifespan":
        await _live(receive, send)
    else:
        await _say_ok(send)


async def discard(scope: Scope, receive: Receive, send: Send) -> None:
    """Reads a body to its end and throws it away."""
    if scope["type"] == "lifespan":
        await _live(receive, send)
        return
    while (await receive()).get("more_body"):
        pass
    await _say_ok(send)


class Wanted(BaseModel):
    model: str
    prompt: str
    image: str | None = None


class Accepted(BaseModel):
    id: str
    object: str
    created: int
    model: str
    status: str
    video_url: str
    error: str | None = None


typed = FastAPI()


@typed.get("/")
async def health() -> dict[str, str]:
    return {"status": "ok"}


@typed.post("/v1/videos/generations")
async def create(wanted: Wanted) -> Accepted:
    """What anybody would write for the broker's create route, only that it stores nothing."""
    return Accepted(
        id="job_123abc",
        object="videos.generation",
        created=1675389721,
        model=wanted.model,
        status="pending",
        video_url=f"http://{HOST}/videos/job_123abc.mp4",
    )


async def film(request: Request) -> FileResponse:
    if request.url.path == "/":
        return FileResponse(__file__)
    return FileResponse(os.environ["BENCH_FILM"], media_type="video/mp4")


files = Starlette(routes=[Route("/", film), Route("/videos/{name}", film)])

APPS: dict[str, Any] = {"bare": bare, "discard": discard, "typed": typed, "files": files}


async def _say_ok(send: Send) -> None:
    headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(OK))]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": OK})


async def _live(receive: Receive, send: Send) -> None:
    for stage in ("startup", "shutdown"):
        await receive()
        await send({"type": f"lifespan.{stage}.complete"})


if __name__ == "__main__":
    uvicorn.run(
        APPS[sys.argv[1]],
        host=HOST,
        port=int(sys.argv[2]),
        loop="uvloop",
        http="httptools",
        access_log=False,
        # Between its turns a side rests longer than the five seconds that are the rule.
        timeout_keep_alive=60,
        log_level="warning",
    )
