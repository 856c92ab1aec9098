"""A real broker: `python server.py` as a process of its own, in a folder of its own."""

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import httpx

ROOT = Path(__file__).parents[2]
START_SECONDS = 30.0


class BrokerProcess:
    """`with BrokerProcess(folder) as broker:`; `kill` and `start` again as often as a test likes."""

    def __init__(self, folder: Path, **settings: Any) -> None:
        self.folder = folder
        self._settings = {name.upper(): str(value) for name, value in settings.items()}
        self._port = int(settings.get("server_port", 0))
        self._process: subprocess.Popen[str] | None = None
        self._lines: list[str] = []
        self._reader: threading.Thread | None = None
        self._ready = threading.Event()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._port}"

    @property
    def port(self) -> int:
        return self._port

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    @property
    def output(self) -> str:
        return "".join(self._lines)

    def __enter__(self) -> "BrokerProcess":
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._process is not None and self._process.poll() is None:
            self.stop()

    def start(self) -> None:
        """Returns when it can be called."""
        self.launch()
        if not self._ready.wait(START_SECONDS) or "is ready at" not in self.output:
            self._process and self._process.kill()
            raise AssertionError(f"The broker did not start:\n{self.output}")

    def launch(self) -> None:
        """Starts the process and does not wait."""
        self._ready.clear()
        self._lines.clear()
        self._process = subprocess.Popen(
            [sys.executable, str(ROOT / "server.py")],
            cwd=self.folder,
            env=self._environment(),
            stderr=subprocess.PIPE,
            text=True,
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _environment(self) -> Mapping[str, str]:
        # The same port again after a restart, as clients expect.
        own = {"SERVER_PORT": str(self._port), "MIN_FREE_DISK_MIB": "0", **self._settings}
        return {**os.environ, **own}

    def _read(self) -> None:
        assert self._process is not None
        assert self._process.stderr is not None
        for line in self._process.stderr:
            self._lines.append(line)
            if "is ready at" in line:
                self._port = int(line.rsplit(":", 1)[1])
                self._ready.set()
        self._process.stderr.close()
        self._ready.set()

    def kill(self) -> None:
        """kill -9."""
        assert self._process is not None
        self._process.kill()
        self.wait()

    def terminate(self) -> None:
        assert self._process is not None
        self._process.send_signal(signal.SIGTERM)

    def stop(self) -> int:
        self.terminate()
        return self.wait()

    def wait(self, limit_seconds: float = 30.0) -> int:
        """The exit status."""
        assert self._process is not None
        assert self._reader is not None
        status = self._process.wait(limit_seconds)
        self._reader.join(limit_seconds)
        return status

    def client(self, **options: Any) -> httpx.Client:
        return httpx.Client(base_url=self.url, timeout=30.0, trust_env=False, **options)
