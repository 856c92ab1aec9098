"""What stands behind the broker in a demo: the demo worker, or Chromium with the extension before a stand-in site.

Each comes, works and goes. What is asked of it, and whether that came out as promised, is `rehearsal.py`'s.
"""

import asyncio
import os
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Protocol

import httpx

from broker.demo.browser import (
    DEFAULT_BROKER,
    EXTENSION,
    Chromium,
    command_line,
    extension_copy,
    find_chromium,
    has_screen,
)
from broker.demo.film import FilmFacts
from broker.demo.page import DemoPage
from broker.demo.site.stand_in import StandIn, Switches
from broker.demo.worker import DemoWorker

LOOK_SECONDS = 0.2
#: Slow enough for a person to watch.
STEP_SECONDS = 0.15


class Stage(Protocol):
    #: Whether it makes pictures too.
    draws: bool

    async def ready(self) -> str:
        """Returns when it takes jobs, and says in a sentence who it is."""

    async def ended(self) -> None:
        """Waits until it ends by itself, and raises then."""

    def is_own(self, film: Path, facts: FilmFacts, prompt: str, job_id: str) -> bool:
        """Whether this is the very film that was made for the job."""


class WorkerStage:
    draws = False

    def __init__(self, worker: DemoWorker) -> None:
        self._worker = worker

    async def ready(self) -> str:
        await self._worker.ready()
        return "The demo worker is here: it stands where the browser would, and needs no account."

    async def ended(self) -> None:
        await asyncio.Event().wait()  # it is a part of this very program

    def is_own(self, film: Path, facts: FilmFacts, prompt: str, job_id: str) -> bool:
        return facts.title == prompt and job_id in facts.comment


@asynccontextmanager
async def worker_stage(
    url: str, data: Path, word_seconds: float, least_film_seconds: float
) -> AsyncIterator[Stage]:
    worker = DemoWorker(
        url,
        page=DemoPage(data / "logs" / "demo" / "page"),
        word_seconds=word_seconds,
        least_film_seconds=least_film_seconds,
    )
    running = asyncio.ensure_future(worker.run())
    try:
        yield WorkerStage(worker)
    finally:
        running.cancel()
        await asyncio.wait({running})


class BrowserStage:
    draws = True

    def __init__(self, url: str, site: StandIn, chromium: Chromium) -> None:
        self._url = url
        self._site = site
        self._chromium = chromium

    async def ready(self) -> str:
        async with httpx.AsyncClient(base_url=self._url, trust_env=False) as http:
            while True:
                if await _has_worker(http):
                    return "The extension is here, at a stand-in for grok.com in a tab of its own."
                await asyncio.sleep(LOOK_SECONDS)

    async def ended(self) -> None:
        await self._chromium.ended()

    def is_own(self, film: Path, facts: FilmFacts, prompt: str, job_id: str) -> bool:
        return film.read_bytes() in self._site.films.values()


@asynccontextmanager
async def browser_stage(url: str, data: Path) -> AsyncIterator[Stage]:
    """Raises `ChromiumMissing`."""
    find_chromium()
    log = data / "logs" / "demo" / "chromium.log"
    is_headless = not has_screen(os.environ)
    with _props(url) as (site, extension, profile):
        command = command_line(profile, extension, site.chromium_flags, is_headless=is_headless)
        async with Chromium(command, log, f"{url}/") as chromium:
            yield BrowserStage(url, site, chromium)


@contextmanager
def _props(url: str) -> Iterator[tuple[StandIn, Path, Path]]:
    """The site, the extension and an empty profile, for as long as the block lasts."""
    with (
        tempfile.TemporaryDirectory(prefix="grok-broker-", ignore_cleanup_errors=True) as folder,
        StandIn(Switches(step_seconds=STEP_SECONDS)) as site,
    ):
        extension = EXTENSION
        if url != DEFAULT_BROKER:
            extension = extension_copy(Path(folder) / "extension", broker_url=url)
        yield site, extension, Path(folder) / "profile"


async def _has_worker(http: httpx.AsyncClient) -> bool:
    health = await http.get("/", headers={"Accept": "application/json"})
    return any(worker["page_state"] == "ready" for worker in health.json()["workers"])
