"""Starts and stops the measured processes: a broker or a reference, pinned to the first core, the load to the last.

Every process it starts it also ends, whatever happens in between.
"""

import http.client
import os
import resource
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, NamedTuple

from bench.load import HOST

ROOT = Path(__file__).parent.parent
READY_WITHIN_SECONDS = 60.0
STOPPED_WITHIN_SECONDS = 25.0
SHOWN_BYTES = 4000

#: The cores this process may use. The server gets the first, the load the last.
CORES = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []


class Server(NamedTuple):
    """A running server."""

    port: int
    pid: int
    ready_seconds: float

    @property
    def rss_bytes(self) -> int:
        return self._memory("VmRSS")

    @property
    def peak_rss_bytes(self) -> int:
        """The most it ever had since `forget_peak`."""
        return self._memory("VmHWM")

    def forget_peak(self) -> None:
        Path(f"/proc/{self.pid}/clear_refs").write_text("5")

    def _memory(self, field: str) -> int:
        for line in Path(f"/proc/{self.pid}/status").read_text().splitlines():
            if line.startswith(f"{field}:"):
                return int(line.split()[1]) * 1024
        raise RuntimeError(f"{field} is not shown by this kernel.")


@contextmanager
def broker(folder: Path, **environment: str) -> Iterator[Server]:
    """The broker as anybody starts it, with its data in `folder`, which may hold data already."""
    folder.mkdir(parents=True, exist_ok=True)
    port = free_port()
    settings = {
        "SERVER_HOST": HOST,
        "SERVER_PORT": str(port),
        "DB_PATH": str(folder / "jobs.db"),
        "VIDEO_STORAGE_PATH": str(folder / "videos"),
        "LOG_PATH": str(folder / "logs"),
        "MIN_FREE_DISK_MIB": "0",
        **environment,
    }
    with running([sys.executable, "server.py"], port, settings) as server:
        yield server


@contextmanager
def reference(name: str, **environment: str) -> Iterator[Server]:
    """One of the apps in `references.py`."""
    port = free_port()
    command = [sys.executable, "-m", "bench.references", name, str(port)]
    with running(command, port, environment) as server:
        yield server


@contextmanager
def running(command: Sequence[str], port: int, environment: Mapping[str, str]) -> Iterator[Server]:
    """A process that answers HTTP at `port`, ready when it does."""
    started = time.perf_counter()
    with pinned_process(command, environment) as process:
        _wait_until_healthy(process, port)
        yield Server(port, process.pid, time.perf_counter() - started)


@contextmanager
def pinned_process(
    command: Sequence[str], environment: Mapping[str, str] | None = None
) -> Iterator["subprocess.Popen[bytes]"]:
    """A process on the server's core. Ended on leaving: asked first, then killed.

    What it printed is shown only if something went wrong meanwhile.
    """
    with tempfile.TemporaryFile() as printed:
        with on_cores(CORES[:1]):
            process = _started(command, environment or {}, printed)
        try:
            yield process
        except BaseException:
            printed.seek(0)
            sys.stderr.write(printed.read()[-SHOWN_BYTES:].decode(errors="replace"))
            raise
        finally:
            _stop(process)


@contextmanager
def on_cores(cores: Sequence[int]) -> Iterator[None]:
    """Keeps this thread, and what it starts meanwhile, on these cores. Does nothing where there is only one."""
    if len(CORES) < 2:
        yield
        return
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, cores)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])


def polls_allowed(polls: int) -> dict[str, str]:
    """The broker's setting that lets so many polls wait, and some more that are only just gone."""
    return {"MAX_PARKED_POLLS": str(polls + 500)}


def files_allowed(connections: int) -> bool:
    """Lets this process, and those it starts, have so many connections. False if the machine forbids it.

    A half more than that, because a broker keeps a share of its files for other things.
    """
    wanted = connections * 3 // 2 + 500
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < wanted:
        return False
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    return True


def _started(
    command: Sequence[str], environment: Mapping[str, str], printed: IO[bytes]
) -> "subprocess.Popen[bytes]":
    together = {**os.environ, **environment}
    return subprocess.Popen(command, cwd=ROOT, env=together, stdout=printed, stderr=printed)


def _stop(process: "subprocess.Popen[bytes]") -> None:
    process.terminate()
    try:
        process.wait(STOPPED_WITHIN_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _wait_until_healthy(process: "subprocess.Popen[bytes]", port: int) -> None:
    deadline = time.monotonic() + READY_WITHIN_SECONDS
    while not _is_healthy(port):
        if process.poll() is not None:
            raise RuntimeError(
                f"The server ended with status {process.returncode} before it was ready."
            )
        if time.monotonic() > deadline:
            raise RuntimeError(f"The server was not ready within {READY_WITHIN_SECONDS:.0f} s.")
        time.sleep(0.005)


def _is_healthy(port: int) -> bool:
    connection = http.client.HTTPConnection(HOST, port, timeout=5)
    try:
        connection.request("GET", "/", headers={"Accept": "application/json"})
        return connection.getresponse().status == 200
    except OSError:
        return False
    finally:
        connection.close()
