"""Remove the logs."""

import asyncio

from fastapi import APIRouter

from broker.api.admin.wire import LogsDeleted
from broker.api.deps import Deps
from broker.log import remove_logs


class LogDoor:
    def __init__(self, deps: Deps) -> None:
        self._settings = deps.settings
        self._log = deps.log

    def router(self) -> APIRouter:
        router = APIRouter()
        router.add_api_route("/api/logs", self.delete, methods=["DELETE"])
        return router

    async def delete(self) -> LogsDeleted:
        """Remove all log files; that they were removed is the first line of the next"""
        removed = await asyncio.to_thread(remove_logs, self._settings.log_path)
        self._log.info("logs_removed", files=removed)
        return LogsDeleted(removed_files=removed)
