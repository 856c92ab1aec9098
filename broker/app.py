"""The composition root: the one file that sees everything. Builds the parts, starts them, stops them."""

import asyncio
import os
import signal
import sys
import traceback
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, NamedTuple

from fastapi import APIRouter

from broker import __version__, chores
from broker.api.admin.jobs import JobDoor
from broker.api.admin.keys import KeyDoor
from broker.api.admin.logs import LogDoor
from broker.api.admin.pairings import PairingsDoor
from broker.api.admin.webhooks import WebhookDoor
from broker.api.admin.workers import WorkerDoor
from broker.api.deps import Deps
from broker.api.extension.acts import ActDoor
from broker.api.extension.pack import PackDoor
from broker.api.extension.pairing import PairingDoor
from broker.api.extension.polls import PollDoor
from broker.api.extension.uploads import UploadDoor
from broker.api.films import FilmDoor
from broker.api.gatekeeper import Gatekeeper
from broker.api.guard import Guard
from broker.api.health import HealthDoor
from broker.api.lean import Receive, RouteTable, Send
from broker.api.links import Links
from broker.api.openai.chat.routes import ChatDoor
from broker.api.openai.images.routes import ImageDoor
from broker.api.openai.models import ModelDoor
from broker.api.openai.responses.routes import ResponseDoor
from broker.api.openai.videos.routes import VideoDoor
from broker.api.table import ORDINARY_ROUTES
from broker.api.web import web_of
from broker.clock import SystemClock
from broker.config import Settings
from broker.dashboard import STATIC
from broker.errors import StartRefused
from broker.hooks.post import Post
from broker.hooks.secret import secret_of
from broker.hooks.sender import Sender
from broker.jobs import JobKind
from broker.keyring import KeyRing, chosen_key
from broker.keys import Scope
from broker.keywatch import KeyWatch
from broker.log import LogWriter, ProgramLog, RequestLog
from broker.media.disk import DiskMedia
from broker.media.reader import Images
from broker.notifier import News, Notifier
from broker.pairing_desk import PairingDesk
from broker.queue import JobQueue
from broker.scheduler.runner import Runner
from broker.secret_file import key_secret
from broker.store.sqlite.store import SqliteStore
from broker.sweeper import Sweeper
from broker.webhooks import read_secret
from broker.workers import Roster

MIB = 1024 * 1024


_LEAN_DOORS = (
    VideoDoor,
    ImageDoor,
    ChatDoor,
    ResponseDoor,
    ModelDoor,
    PollDoor,
    PackDoor,
    ActDoor,
    UploadDoor,
    PairingDoor,
    FilmDoor,
)


class Parts(NamedTuple):
    """A running broker, taken apart; tests look inside through this."""

    settings: Settings
    clock: SystemClock
    store: SqliteStore
    media: DiskMedia
    notifier: Notifier
    roster: Roster
    queue: JobQueue
    sweeper: Sweeper
    keywatch: KeyWatch
    sender: Sender
    runner: Runner
    log: ProgramLog
    request_log: RequestLog
    gatekeeper: Gatekeeper
    guard: Guard


class Application:
    """The ASGI application. Nothing is opened before it is started."""

    def __init__(self, settings: Settings | None = None) -> None:
        self._settings = settings
        self._guard: Guard | None = None
        #: Who may call, once it has started.
        self.gatekeeper: Gatekeeper | None = None
        #: Why it did not start or had to stop; the program's exit status follows from it.
        self.exit_code: int | None = None
        #: What stops the server when the store has failed.
        self.stop_server: Callable[[], None] = _terminate

    async def __call__(self, scope: Any, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._live(receive, send)
        elif self._guard is not None:
            await self._guard(scope, receive, send)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[Parts]:
        """A broker from start to stop. Raises a `StartRefused` that says why it cannot start."""
        settings = self._settings or Settings.from_env(os.environ)
        for folder in (settings.video_storage_path, settings.log_path):
            _make_folder(folder)
        clock = SystemClock()
        log = ProgramLog(settings.log_path, clock.wall)
        async with SqliteStore(settings.db_path, self._fatal(log)) as store:
            media = DiskMedia(
                settings.video_storage_path,
                max_upload_bytes=int(settings.max_upload_mib * MIB),
                min_free_bytes=int(settings.min_free_disk_mib * MIB),
            )
            try:
                ring, secret = await _ring_of(settings, clock, store)
                parts = self._build(settings, clock, log, store, media, ring, secret)
                async with _started(parts):
                    self._guard, self.gatekeeper = parts.guard, parts.gatekeeper
                    yield parts
            finally:
                self._guard = None
                await media.close()

    def _build(
        self,
        settings: Settings,
        clock: SystemClock,
        log: ProgramLog,
        store: SqliteStore,
        media: DiskMedia,
        ring: KeyRing,
        secret: bytes,
    ) -> Parts:
        notifier, roster = Notifier(_poll_places(settings)), Roster()
        queue = JobQueue(store, notifier, roster, clock, settings.timers)
        request_log = RequestLog(settings.log_path, settings.log_payloads)
        notifier.listen(lambda news: _note_end(request_log, clock, news))
        sweeper = _sweeper(settings, queue, store, media, notifier, clock, log)
        queue.expire_overdue = sweeper.expire_overdue
        gatekeeper = Gatekeeper(
            ring, clock, settings, lambda address: log.warning("wrong_keys", address=address)
        )
        links = Links(lambda: gatekeeper.is_required, settings, clock, secret)
        deps = Deps(
            queue,
            store,
            media,
            Images(can_fetch=settings.image_fetch),
            notifier,
            roster,
            settings,
            clock,
            log,
            request_log,
            store.outbox,
            ring,
            links,
            PairingDesk(ring, clock, lambda: gatekeeper.is_required),
        )
        keywatch = KeyWatch(ring, notifier, lambda event, what: log.info(event, what=what))
        runner = Runner(store, media, clock, settings, log)
        sender = _sender(settings, clock, log, store, links)
        notifier.listen(sender.hear)
        return Parts(
            settings,
            clock,
            store,
            media,
            notifier,
            roster,
            queue,
            sweeper,
            keywatch,
            sender,
            runner,
            log,
            request_log,
            gatekeeper,
            _guard(deps, gatekeeper),
        )

    def _fatal(self, log: ProgramLog) -> Callable[[BaseException], None]:
        def stop(error: BaseException) -> None:
            log.error("store_failed", error=repr(error))
            self.exit_code = 5
            self.stop_server()

        return stop

    async def _live(self, receive: Receive, send: Send) -> None:
        """The ASGI lifespan: a start that is refused says why in one line, and the server ends."""
        await receive()
        running = self.running()
        try:
            await running.__aenter__()
        except StartRefused as error:
            self.exit_code = error.exit_code
            print(f"error: {error.message}", file=sys.stderr, flush=True)
            await send({"type": "lifespan.startup.failed", "message": ""})
            return
        except Exception:
            self.exit_code = 1
            traceback.print_exc()
            await send({"type": "lifespan.startup.failed", "message": ""})
            return
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await running.__aexit__(None, None, None)
        await send({"type": "lifespan.shutdown.complete"})


async def _ring_of(
    settings: Settings, clock: SystemClock, store: SqliteStore
) -> tuple[KeyRing, bytes]:
    """The keys in force, and what they are hashed with. Raises `BadSetting` where there must be some."""
    secret = key_secret(settings)
    given = {
        Scope.CLIENT: settings.client_keys,
        Scope.WORKER: settings.worker_keys,
        Scope.ADMIN: settings.admin_keys,
    }
    chosen = [chosen_key(scope, text, secret) for scope in given for text in given[scope]]
    ring = KeyRing(store.keys, clock, secret, chosen)
    await ring.load()
    settings.check_keys(has_keys=ring.has_live_keys)
    return ring, secret


def _sweeper(
    settings: Settings,
    queue: JobQueue,
    store: SqliteStore,
    media: DiskMedia,
    notifier: Notifier,
    clock: SystemClock,
    log: ProgramLog,
) -> Sweeper:
    return Sweeper(
        queue,
        store,
        media,
        notifier,
        clock,
        log,
        sweep_seconds=settings.sweep_seconds,
        min_free_bytes=int(settings.min_free_disk_mib * MIB),
    )


def _guard(deps: Deps, gatekeeper: Gatekeeper) -> Guard:
    """What stands in front of all routes."""
    lean = [route for door in _LEAN_DOORS for route in door(deps).routes()]
    web = web_of(_ordinary_routers(deps), lean)
    table = RouteTable([*lean, *ORDINARY_ROUTES])
    return Guard(web, table, deps.settings, deps.clock, deps.log, deps.request_log, gatekeeper)


def _sender(
    settings: Settings, clock: SystemClock, log: ProgramLog, store: SqliteStore, links: Links
) -> Sender:
    post = Post(may_be_private=settings.webhook_allow_private)
    key = read_secret(secret_of(settings))
    base_url = settings.public_base_url or settings.own_url
    return Sender(
        store.outbox, store, clock, log, post, key, lambda path: base_url + links.signed(path)
    )


def _ordinary_routers(deps: Deps) -> list[APIRouter]:
    doors = (
        HealthDoor(deps, STATIC),
        JobDoor(deps),
        WorkerDoor(deps),
        WebhookDoor(deps),
        LogDoor(deps),
        KeyDoor(deps),
        PairingsDoor(deps),
    )
    return [door.router() for door in doors]


@asynccontextmanager
async def _started(parts: Parts) -> AsyncIterator[None]:
    """Everything that runs in the background, started in order and stopped in the opposite one."""
    adopted = await chores.adopt_films(parts.queue, parts.store, parts.media, parts.clock)
    held = await chores.grant_grace(parts.queue, parts.store)
    parts.log.info("broker_started", version=__version__, adopted_films=adopted, live_leases=held)
    writer = LogWriter(parts.request_log, parts.log)
    writer.start()
    await parts.sweeper.sweep()
    parts.sweeper.start()
    parts.keywatch.start()
    parts.runner.start()
    parts.sender.start()
    restore = _drain_on_signal(parts.notifier)
    try:
        yield
    finally:
        restore()
        parts.notifier.drain()
        await parts.sender.stop()
        await parts.runner.stop()
        await parts.keywatch.stop()
        await parts.sweeper.stop()
        parts.log.info("broker_stopped")
        await writer.stop()


def _note_end(log: RequestLog, clock: SystemClock, news: News) -> None:
    """The request log's second line of a job: what became of it."""
    job, result = news.job, news.result
    if not job.state.is_final:
        return
    ended_at = job.finished_at or clock.now()
    facts: dict[str, Any] = {"duration": round(ended_at - job.created_at, 3)}
    if result is not None and job.kind == JobKind.VIDEO:
        facts["video_size"] = result.size_bytes
    if result is not None and job.kind == JobKind.IMAGE:
        facts |= {"images": len(result.pictures), "image_size": result.size_bytes}
    if job.error_code is not None:
        facts["error_code"] = job.error_code
    log.response(clock.wall(), job.id, job.state, **facts)


def _poll_places(settings: Settings) -> int:
    """How many polls may wait: each holds a connection, so no more than the process may open, less a share."""
    try:
        import resource
    except ImportError:
        return settings.max_parked_polls
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return min(settings.max_parked_polls, max(16, soft * 3 // 4))


def _make_folder(folder: Path) -> None:
    """Creates a folder and proves that it can be written. Raises `StartRefused`."""
    probe = folder / f".probe-{os.getpid()}"
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise StartRefused(f"{folder} cannot be written: {error.strerror}.") from error


def _drain_on_signal(notifier: Notifier) -> Callable[[], None]:
    """Begins to drain as soon as the process is told to stop, before the server waits for its connections."""
    loop = asyncio.get_running_loop()
    earlier: dict[int, Any] = {}

    def drain(number: int, frame: Any) -> None:
        loop.call_soon_threadsafe(notifier.drain)
        if callable(earlier[number]):
            earlier[number](number, frame)

    try:
        for number in (signal.SIGTERM, signal.SIGINT):
            earlier[number] = signal.getsignal(number)
            signal.signal(number, drain)
    except ValueError:
        return lambda: None  # Not the main thread: whoever runs us drains by stopping.

    def restore() -> None:
        for number, handler in earlier.items():
            if signal.getsignal(number) is drain:
                signal.signal(number, handler)

    return restore


def _terminate() -> None:
    signal.raise_signal(signal.SIGTERM)
