"""The broker of the demo: `server.py` as a child process with data of its own, started, watched and stopped.

Knows the server as anybody does: its command, its environment variables, its health page.
"""

import asyncio
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import httpx

#: The folder that holds `server.py`.
ROOT = Path(__file__).resolve().parents[2]
START_SECONDS = 30.0
STOP_SECONDS = 25.0
PORTS_TRIED = 50
LOG_LINES_SHOWN = 15
#: By itself, or by the very signal that asked for it; Windows spells the latter as STATUS_CONTROL_C_EXIT.
CLEAN_ENDS = (0, -signal.SIGTERM, 0xC000013A)


class ServerFailed(Exception):
    """The broker did not start, or ended by itself; the message holds its last lines."""


class ServerProcess:
    """`async with` starts it and waits until it is healthy; leaving stops it and waits until it has ended."""

    def __init__(self, port: int, data: Path = ROOT) -> None:
        self.url = f"http://127.0.0.1:{port}"
        self._port = port
        self._data = data
        self._log = data / "logs" / "demo" / "server.log"
        self._process: asyncio.subprocess.Process | None = None

    async def __aenter__(self) -> "ServerProcess":
        await asyncio.to_thread(self._log.parent.mkdir, parents=True, exist_ok=True)
        with self._log.open("wb") as log:
            self._process = await asyncio.create_subprocess_exec(
                sys.executable,
                str(ROOT / "server.py"),
                cwd=self._data,
                env=environment(os.environ, self._port, self._data),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                **_own_group(),
            )
        try:
            await self._healthy()
        except BaseException:
            await self.stop()
            raise
        return self

    async def __aexit__(self, kind: type[BaseException] | None, *_: object) -> None:
        status = await self.stop()
        if kind is None and status not in CLEAN_ENDS:
            raise ServerFailed(f"The broker stopped with status {status}.\n{self._last_lines()}")

    async def ended(self) -> None:
        """Waits until the server ends by itself, and raises `ServerFailed` then."""
        assert self._process is not None
        status = await self._process.wait()
        raise ServerFailed(f"The broker ended with status {status}.\n{self._last_lines()}")

    async def stop(self) -> int:
        """Asks it to end, makes it end if it does not, and returns its exit status."""
        assert self._process is not None
        if self._process.returncode is not None:
            return self._process.returncode
        _ask_to_end(self._process)
        try:
            return await asyncio.wait_for(self._process.wait(), STOP_SECONDS)
        except TimeoutError:
            self._process.kill()
            return await self._process.wait()

    async def _healthy(self) -> None:
        ending = asyncio.ensure_future(self.ended())
        try:
            async with asyncio.timeout(START_SECONDS):
                while not await _answers(self.url):
                    if ending.done():
                        await ending
                    await asyncio.sleep(0.1)
        except TimeoutError:
            raise ServerFailed(f"The broker does not answer.\n{self._last_lines()}") from None
        finally:
            ending.cancel()

    def _last_lines(self) -> str:
        try:
            lines = self._log.read_text(encoding="utf-8", errors="replace").splitlines()
        except OSError as error:
            return f"Its log {self._log} cannot be read: {error}"
        return "\n".join(lines[-LOG_LINES_SHOWN:])


def environment(inherited: Mapping[str, str], port: int, data: Path) -> dict[str, str]:
    """The child's settings: whatever the person has set, but its own data, port and address.

    Its own folders, too: a broker tidies what it finds in them, and another one may be running on the usual.
    """
    own = {
        "SERVER_HOST": "127.0.0.1",
        "SERVER_PORT": str(port),
        "DB_PATH": str(data / "demo.db"),
        "VIDEO_STORAGE_PATH": str(data / "videos" / "demo"),
        "LOG_PATH": str(data / "logs" / "demo"),
        "BACKUP_PATH": str(data / "backups" / "demo"),
        "PYTHONUNBUFFERED": "1",
    }
    kept = {name: value for name, value in inherited.items() if name != "PUBLIC_BASE_URL"}
    # The demo's few hundred kilobytes need no two gigabytes of reserve.
    return {"MIN_FREE_DISK_MIB": "64"} | kept | own


def free_port(wanted: int) -> int:
    """The wanted port, or the next one that nobody listens on. Raises `ServerFailed` where there is none."""
    for port in range(wanted, min(wanted + PORTS_TRIED, 65536)):
        if _is_free(port):
            return port
    raise ServerFailed(f"Port {wanted} and the {PORTS_TRIED} after it are all taken.")


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        if os.name == "posix":  # elsewhere this option lets two listen on one port
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True


async def _answers(url: str) -> bool:
    try:
        async with httpx.AsyncClient(trust_env=False) as http:
            health = await http.get(url, headers={"Accept": "application/json"}, timeout=2)
    except httpx.TransportError:
        return False
    return health.is_success


def _own_group() -> dict[str, Any]:
    """Out of reach of the terminal's Ctrl-C: the worker gives back what it holds before its broker goes."""
    if sys.platform == "win32":
        return {"creationflags": subprocess.CREATE_NEW_PROCESS_GROUP}
    return {"start_new_session": True}


def _ask_to_end(process: asyncio.subprocess.Process) -> None:
    if sys.platform == "win32":
        process.send_signal(signal.CTRL_BREAK_EVENT)
    else:
        process.terminate()
