"""See the workers, and tell them what to do."""

from fastapi import APIRouter

from broker.api.admin.wire import GiveDirective, Told, WorkerList
from broker.api.deps import Deps
from broker.api.present import shown_workers
from broker.errors import NotFound
from broker.ids import WorkerId


class WorkerDoor:
    def __init__(self, deps: Deps) -> None:
        self._roster = deps.roster
        self._notifier = deps.notifier
        self._clock = deps.clock

    def router(self) -> APIRouter:
        router = APIRouter()
        router.add_api_route("/workers", self.list, methods=["GET"])
        router.add_api_route("/workers/{worker_id}/directives", self.direct, methods=["POST"])
        return router

    async def list(self) -> WorkerList:
        """List the workers that have been heard of lately"""
        return WorkerList(data=shown_workers(self._roster, self._clock.now()))

    async def direct(self, worker_id: str, given: GiveDirective) -> Told:
        """Tell a worker to pause, resume, drain, reload its page, …"""
        if not self._roster.tell(WorkerId(worker_id), given.directive):
            raise NotFound("There is no such worker.")
        self._notifier.end_polls(lambda worker: worker == WorkerId(worker_id))
        return Told(worker_id=worker_id, directive=given.directive)
