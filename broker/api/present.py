"""The workers that are here, as an operator sees them."""

from typing import Any

from pydantic import BaseModel

from broker.workers import Hello, Roster, Worker


class WorkerShown(BaseModel):
    """A worker that has been heard of lately"""

    id: str
    name: str
    version: str
    kinds: list[str]
    page_state: str
    page_detail: str
    pack_version: str
    #: What its page offers, and what it tells of its limits: as the worker put it.
    capabilities: dict[str, Any]
    quota: dict[str, Any]
    is_paused: bool
    #: Kind → why it is handed no job of it.
    aside: dict[str, str]
    last_seen_seconds: float


def shown_workers(roster: Roster, now: float) -> list[WorkerShown]:
    return [_shown(worker, now) for worker in roster.present(now)]


def _shown(worker: Worker, now: float) -> WorkerShown:
    said = worker.hello or Hello("", "", (), page_state="")
    return WorkerShown(
        id=worker.id,
        name=said.name,
        version=said.version,
        kinds=[str(kind) for kind in worker.kinds],
        page_state=said.page_state,
        page_detail=said.page_detail,
        pack_version=said.pack_version,
        capabilities=dict(said.capabilities),
        quota=dict(said.quota),
        is_paused=worker.is_paused,
        aside={str(kind): aside.reason for kind, aside in worker.aside.items()},
        last_seen_seconds=round(now - worker.last_seen_at, 1),
    )
