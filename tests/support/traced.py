"""A broker under strace: what it tells the system is written down, or made to fail. Linux only."""

import shutil
import subprocess
import sys
import threading
from functools import cache
from pathlib import Path
from typing import Any

from run import apt_install
from tests.support.server import ROOT, BrokerProcess


@cache
def missing_strace() -> str | None:
    """Why nothing can be traced here; None where it can. strace is installed where that may be done."""
    if not sys.platform.startswith("linux"):
        return "there is strace on Linux alone"
    if shutil.which("strace") is None and not apt_install("strace"):
        return "strace is not on this machine and could not be installed: apt-get install strace"
    command = ["strace", "-q", "-o", "/dev/null", "true"]
    tried = subprocess.run(command, capture_output=True, text=True)
    if tried.returncode == 0:
        return None
    return (
        f"strace may not trace here; a container needs --cap-add=SYS_PTRACE: {tried.stderr.strip()}"
    )


class TracedBroker(BrokerProcess):
    """`kill`, `wait` and `pid` are the broker's own: strace runs beside it."""

    def __init__(self, folder: Path, *options: str, **settings: Any) -> None:
        super().__init__(folder, **settings)
        self._options = options

    def launch(self) -> None:
        self._ready.clear()
        self._lines.clear()
        strace = ["strace", "-D", "-f", "--seccomp-bpf", "-q", *self._options]
        self._process = subprocess.Popen(
            [*strace, sys.executable, str(ROOT / "server.py")],
            cwd=self.folder,
            env=self._environment(),
            stderr=subprocess.PIPE,
            text=True,
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()


def failing(call: str, error: str, number: int) -> list[str]:
    """The options that make each thread's `number`-th call of this name fail."""
    inject = f"inject={call}:error={error}:when={number}"
    return ["-e", f"trace={call}", "-e", inject, "-o", "/dev/null"]


def slow(call: str, milliseconds: int) -> list[str]:
    """The options that make every call of this name take so much longer."""
    inject = f"inject={call}:delay_exit={milliseconds * 1000}"
    return ["-e", f"trace={call}", "-e", inject, "-o", "/dev/null"]
