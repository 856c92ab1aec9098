"""The roster: which workers are here, what they can do, what they have been told.

Kept in memory: a worker that meets a broker which has forgotten it says hello again. Hands out nothing.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, NamedTuple

from broker.ids import WorkerId
from broker.jobs import JobKind

GONE_SECONDS = 90.0
#: More workers than this are not remembered; the one silent longest is forgotten first.
MAX_WORKERS = 20_000


class Directive(StrEnum):
    """What a worker is told on its next hello, poll or beat. It ignores those it does not know."""

    CANCEL = "cancel"
    PAUSE = "pause"
    RESUME = "resume"
    DRAIN = "drain"
    RELOAD_PAGE = "reload_page"
    REFRESH_CAPABILITIES = "refresh_capabilities"
    SELF_TEST = "self_test"
    UPDATE_PACK = "update_pack"


class Aside(NamedTuple):
    """Why a worker takes no job of a kind, and until when; None is until it says hello."""

    reason: str
    until: float | None


class Hello(NamedTuple):
    """What a worker says of itself."""

    name: str
    version: str
    kinds: Sequence[JobKind]
    slots: int = 1
    page_state: str = "ready"
    #: What a person should know of the page's state.
    page_detail: str = ""
    #: Of the page pack that it works with.
    pack_version: str = ""
    capabilities: Mapping[str, Any] = {}
    quota: Mapping[str, Any] = {}


@dataclass(slots=True)
class Worker:
    """One worker as the roster knows it now."""

    id: WorkerId
    first_seen_at: float
    last_seen_at: float
    hello: Hello | None = None
    kinds: Sequence[JobKind] = ()
    aside: dict[JobKind, Aside] = field(default_factory=dict)
    is_paused: bool = False
    told: list[Directive] = field(default_factory=list)


class Roster:
    def __init__(self) -> None:
        self._workers: dict[WorkerId, Worker] = {}

    def greet(self, worker_id: WorkerId, hello: Hello, now: float) -> Worker:
        """A worker says what it is. Whatever it was set aside for is forgotten: it has looked again."""
        worker = self.see(worker_id, hello.kinds, now)
        worker.hello = hello
        worker.aside.clear()
        if hello.page_state not in ("", "ready"):
            worker.aside.update({kind: Aside(hello.page_state, None) for kind in JobKind})
        return worker

    def see(self, worker_id: WorkerId, kinds: Sequence[JobKind], now: float) -> Worker:
        """Notes a sign of life; a worker that never said hello is known by its polls."""
        worker = self._workers.get(worker_id)
        if worker is None:
            worker = self._workers[worker_id] = Worker(worker_id, now, now)
            self._forget_surplus()
        worker.last_seen_at = now
        worker.kinds = kinds or worker.kinds
        return worker

    def find(self, worker_id: WorkerId) -> Worker | None:
        return self._workers.get(worker_id)

    def open_kinds(self, worker: Worker, kinds: Sequence[JobKind], now: float) -> list[JobKind]:
        """Those of `kinds` that this worker may be handed now."""
        if not worker.aside and not worker.is_paused:
            return list(kinds)
        skipped = self.skipped(worker, kinds, now)
        return [kind for kind in kinds if kind not in skipped]

    def skipped(self, worker: Worker, kinds: Sequence[JobKind], now: float) -> dict[JobKind, str]:
        """Why it gets no job of a kind."""
        if worker.is_paused:
            return dict.fromkeys(kinds, "paused")
        over = [kind for kind, aside in worker.aside.items() if aside.until and aside.until <= now]
        for kind in over:
            del worker.aside[kind]
        return {kind: worker.aside[kind].reason for kind in kinds if kind in worker.aside}

    def set_aside(
        self, worker_id: WorkerId, kind: JobKind, reason: str, until: float | None
    ) -> None:
        worker = self._workers.get(worker_id)
        if worker is not None:
            worker.aside[kind] = Aside(reason, until)

    def tell(self, worker_id: WorkerId, directive: Directive) -> bool:
        """Leaves a directive for a worker; False for a worker that is not known."""
        worker = self._workers.get(worker_id)
        if worker is None:
            return False
        if directive in (Directive.PAUSE, Directive.DRAIN):
            worker.is_paused = True
        elif directive == Directive.RESUME:
            worker.is_paused = False
        worker.told.append(directive)
        return True

    def has_directives(self, worker_id: WorkerId) -> bool:
        """Whether there is anything that this worker has not been told yet."""
        worker = self._workers.get(worker_id)
        return worker is not None and bool(worker.told)

    def take_directives(self, worker_id: WorkerId) -> list[Directive]:
        """What this worker has not been told yet; told by this call."""
        worker = self._workers.get(worker_id)
        if worker is None or not worker.told:
            return []
        told, worker.told = worker.told, []
        return told

    def present(self, now: float) -> list[Worker]:
        """The workers heard of lately."""
        since = now - GONE_SECONDS
        return [worker for worker in self._workers.values() if worker.last_seen_at >= since]

    def last_seen_at(self, kind: JobKind) -> float | None:
        """When a worker for this kind was last heard of."""
        return max(
            (w.last_seen_at for w in self._workers.values() if kind in w.kinds), default=None
        )

    def _forget_surplus(self) -> None:
        if len(self._workers) > MAX_WORKERS:
            silent_longest = min(self._workers.values(), key=lambda worker: worker.last_seen_at)
            del self._workers[silent_longest.id]
