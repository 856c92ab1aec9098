"""Huey on SQLite with fsync: threads that enqueue and threads that dequeue and execute, results stored.

Huey is a library, so its clients and workers are one process of their own, which may use every core:
`python -m bench.peers.huey_sqlite DATABASE CLIENTS WORKERS SECONDS` prints how many jobs a second it did.
"""

import asyncio
import importlib.util
import logging
import os
import sys
import tempfile
import threading
import time
from pathlib import Path
from time import perf_counter
from typing import Any

from bench.calls import PROMPT
from bench.server import CORES, ROOT, on_cores

WARM_UP_SECONDS = 0.3
#: How long a worker that found the queue empty waits before it looks again; Huey's own consumer waits 0.1 s.
LOOK_AGAIN_SECONDS = 0.001


def is_installed() -> bool:
    return importlib.util.find_spec("huey") is not None


class Peer:
    """A run of Huey on a database of its own each time it is measured."""

    def __init__(self, folder: Path, clients: int, workers: int) -> None:
        self._folder = folder
        self._threads = (str(clients), str(workers))

    async def jobs_per_second(self, seconds: float) -> float:
        with tempfile.TemporaryDirectory(dir=self._folder) as folder:
            command = [f"{folder}/huey.db", *self._threads, str(seconds)]
            with on_cores(CORES):
                process = await asyncio.create_subprocess_exec(
                    *(sys.executable, "-m", "bench.peers.huey_sqlite", *command),
                    cwd=ROOT,
                    stdout=asyncio.subprocess.PIPE,
                )
            printed, _ = await process.communicate()
        if process.returncode:
            raise RuntimeError(f"Huey ended with status {process.returncode}.")
        return float(printed)


class _Load:
    """Clients and workers in threads; every client has one job under way."""

    def __init__(self, database: str) -> None:
        from huey import SqliteHuey

        self._huey: Any = SqliteHuey(filename=database, fsync=True, results=True)
        self._answer = self._huey.task()(lambda prompt: "The light turns, and the rocks answer.")
        self._free = threading.Semaphore(0)
        self._counting = threading.Lock()
        self.is_over = False
        self.finished = 0

    def start(self, clients: int, workers: int) -> None:
        for work, count in ((self._produce, clients), (self._consume, workers)):
            for _ in range(count):
                threading.Thread(target=work, daemon=True).start()
        self._free.release(clients)

    def _produce(self) -> None:
        while not self.is_over:
            self._free.acquire()
            self._answer(PROMPT)

    def _consume(self) -> None:
        while not self.is_over:
            if task := self._huey.dequeue():
                self._huey.execute(task)
                with self._counting:
                    self.finished += 1
                self._free.release()
            else:
                time.sleep(LOOK_AGAIN_SECONDS)


def main(database: str, clients: str, workers: str, seconds: str) -> None:
    logging.disable(logging.CRITICAL)
    load = _Load(database)
    load.start(int(clients), int(workers))
    time.sleep(WARM_UP_SECONDS)
    before, started = load.finished, perf_counter()
    time.sleep(float(seconds))
    print((load.finished - before) / (perf_counter() - started), flush=True)
    load.is_over = True
    # The threads hold nothing worth a tidy end.
    os._exit(0)


if __name__ == "__main__":
    main(*sys.argv[1:])
