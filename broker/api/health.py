"""Is the broker alive, and what is it doing? JSON for programs, the dashboard for a browser."""

from collections import Counter
from pathlib import Path
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request
from fastapi.responses import FileResponse, JSONResponse, Response
from pydantic import BaseModel

from broker import __version__
from broker.api.calling import caller_of_request
from broker.api.deps import Deps
from broker.api.present import WorkerShown, shown_workers
from broker.errors import NotFound
from broker.jobs import JobKind
from broker.keys import Caller

Calling = Annotated[Caller, Depends(caller_of_request)]
_DASHBOARD_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob:; media-src 'self'; "
    "connect-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'self'; "
    "require-trusted-types-for 'script'"
)
#: Said outright: what a machine makes of a file's ending is its own affair, and browsers refuse a wrong one.
_TYPES = {
    ".js": "text/javascript",
    ".css": "text/css",
    ".html": "text/html",
    ".svg": "image/svg+xml",
}


class Health(BaseModel):
    """How the broker is"""

    status: str
    version: str
    #: By state, and by kind and state.
    jobs: dict[str, int]
    jobs_by_kind: dict[str, dict[str, int]]
    waiting_polls: int
    workers: list[WorkerShown]
    disk_full: bool


class Alive(BaseModel):
    """All that a stranger is told"""

    status: str


class HealthDoor:
    def __init__(self, deps: Deps, dashboard: Path) -> None:
        self._queue = deps.queue
        self._store = deps.store
        self._notifier = deps.notifier
        self._roster = deps.roster
        self._clock = deps.clock
        self._dashboard = dashboard

    def router(self) -> APIRouter:
        router = APIRouter()
        router.add_api_route("/", self.front, response_model=Health | Alive)
        router.add_api_route("/health", self.health)
        router.add_api_route("/dashboard/{file_path:path}", self.dashboard, include_in_schema=False)
        return router

    async def front(self, request: Request, caller: Calling) -> Any:
        """Health for programs; the dashboard for a browser"""
        if "text/html" in request.headers.get("accept", ""):
            return self._page("index.html")
        return JSONResponse((await self.health(caller)).model_dump())

    async def dashboard(self, file_path: str) -> Response:
        return self._page(file_path)

    def _page(self, file_path: str) -> Response:
        path = (self._dashboard / file_path).resolve()
        if not path.is_relative_to(self._dashboard.resolve()) or not path.is_file():
            raise NotFound(f"There is no {file_path} here.")
        return FileResponse(
            path,
            media_type=_TYPES.get(path.suffix),
            headers={"content-security-policy": _DASHBOARD_POLICY, "cache-control": "no-cache"},
        )

    async def health(self, caller: Calling) -> Health | Alive:
        """Health; to a stranger no more than that it is there"""
        status = "draining" if self._notifier.is_draining else "ok"
        if caller.only_owner is not None:
            return Alive(status=status)
        jobs: Counter[str] = Counter()
        by_kind: dict[str, dict[str, int]] = {kind: {} for kind in JobKind}
        for (kind, state), count in (await self._store.count()).items():
            jobs[state] += count
            by_kind[kind][state] = count
        return Health(
            status=status,
            version=__version__,
            jobs=dict(jobs),
            jobs_by_kind=by_kind,
            waiting_polls=self._notifier.parked_count,
            workers=shown_workers(self._roster, self._clock.now()),
            disk_full=self._queue.is_disk_full,
        )
