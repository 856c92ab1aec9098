"""Does something to a database in a process of its own, which dies by kill -9 just before its n-th step.

A step of a start is a statement; a step of a restore, a file that is renamed.
"""

import os
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]


def dies_at(step: int, deed: str, *paths: Path) -> bool:
    """False if the deed was done before it came to that step."""
    ran = subprocess.run(
        [sys.executable, "-m", "tests.support.killed", str(step), deed, *map(str, paths)],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert ran.returncode in (0, -signal.SIGKILL), ran.stderr
    return ran.returncode != 0


class _Steps:
    def __init__(self, last: int) -> None:
        self._left = last

    def take(self, *_: object) -> None:
        self._left -= 1
        if not self._left:
            os.kill(os.getpid(), signal.SIGKILL)

    def before(self, deed: Callable[..., Any]) -> Callable[..., Any]:
        def counted(*args: Any, **options: Any) -> Any:
            self.take()
            return deed(*args, **options)

        return counted


def _start(steps: _Steps, path: Path) -> None:
    from broker.store.sqlite.connection import open_writer

    connect = sqlite3.connect

    def traced(*args: Any, **options: Any) -> sqlite3.Connection:
        db = connect(*args, **options)
        db.set_trace_callback(steps.take)
        return db

    sqlite3.connect = traced  # type: ignore[assignment]
    db = open_writer(path)
    # All is done, and nobody has been told.
    steps.take()
    db.close()


def _restore(steps: _Steps, copy: Path, path: Path) -> None:
    from broker.store.sqlite.copies import put_back

    os.rename, os.replace = steps.before(os.rename), steps.before(os.replace)
    put_back(copy, path, "2026-11-20T120000Z")


if __name__ == "__main__":
    _, last, deed, *paths = sys.argv
    {"start": _start, "restore": _restore}[deed](_Steps(int(last)), *map(Path, paths))
