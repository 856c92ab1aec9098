"""Is the broker alive, and what is it doing? JSON for programs, the dashboard for a browser."""

from collections import Counter
from pathlib import Path
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import FileResponse, JSONResponse, Response
from pydantic import BaseModel

from broker import __version__
from broker.api.deps import Deps
from broker.errors import NotFound

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


class WorkerShown(BaseModel):
    id: str
    name: str
    version: str
    kinds: list[str]
    page_state: str
    is_paused: bool
    aside: dict[str, str]
    last_seen_seconds: float


class Health(BaseModel):
    """How the broker is"""

    status: str
    version: str
    jobs: dict[str, int]
    waiting_polls: int
    workers: list[WorkerShown]
    disk_full: bool


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
        router.add_api_route("/", self.front, response_model=Health)
        router.add_api_route("/dashboard/{file_path:path}", self.dashboard, include_in_schema=False)
        return router

    async def front(self, request: Request) -> Any:
        """Health for programs; the dashboard for a browser"""
        if "text/html" in request.headers.get("accept", ""):
            return self._page("index.html")
        return JSONResponse((await self._health()).model_dump())

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

    async def _health(self) -> Health:
        jobs: Counter[str] = Counter()
        for (_, state), count in (await self._store.count()).items():
            jobs[state] += count
        return Health(
            status="draining" if self._notifier.is_draining else "ok",
            version=__version__,
            jobs=dict(jobs),
            waiting_polls=self._notifier.parked_count,
            workers=self._workers(),
            disk_full=self._queue.is_disk_full,
        )

    def _workers(self) -> list[WorkerShown]:
        now = self._clock.now()
        return [
            WorkerShown(
                id=worker.id,
                name=worker.hello.name if worker.hello else "",
                version=worker.hello.version if worker.hello else "",
                kinds=[str(kind) for kind in worker.kinds],
                page_state=worker.hello.page_state if worker.hello else "",
                is_paused=worker.is_paused,
                aside={str(kind): aside.reason for kind, aside in worker.aside.items()},
                last_seen_seconds=round(now - worker.last_seen_at, 1),
            )
            for worker in self._roster.present(now)
        ]
