"""The demo's browser: the machine's own Chromium with the extension in it, started and ended with all that it started.

Knows where Chromium and the extension are, and how a copy of the extension is made for another broker. What happens
in the browser is the extension's affair.
"""

import asyncio
import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NoReturn

from broker.demo.server_process import ROOT

EXTENSION = ROOT / "extension"
DEFAULT_BROKER = "http://127.0.0.1:8000"
#: Names a person or a test's set-up may have it under. Google Chrome no longer loads extensions from its command line.
NAMES = ("chromium", "chromium-browser", "ungoogled-chromium")
PLACES = {
    "darwin": ("/Applications/Chromium.app/Contents/MacOS/Chromium",),
    "win32": (
        r"%LOCALAPPDATA%\Chromium\Application\chrome.exe",
        r"%PROGRAMFILES%\Chromium\Application\chrome.exe",
    ),
}
STOP_SECONDS = 10.0
LOG_LINES_SHOWN = 10


class BrowserFailed(Exception):
    """The browser did not start, or ended by itself; the message says what can be done."""


class ChromiumMissing(BrowserFailed):
    """There is no Chromium on this machine."""

    def __init__(self) -> None:
        super().__init__(
            "This needs Chromium, and there is none on this machine. On Debian: sudo apt-get install chromium. "
            "Elsewhere: https://www.chromium.org/getting-involved/download-chromium/. If it is installed in an "
            "unusual place, put its path into the environment variable CHROMIUM. Google Chrome will not do: it no "
            "longer loads extensions from the command line."
        )


def find_chromium(environment: Mapping[str, str] = os.environ, platform: str = sys.platform) -> str:
    """The program's path. Raises `ChromiumMissing`."""
    if told := environment.get("CHROMIUM"):
        names: Sequence[str] = (told,)
    else:
        names = (*NAMES, *(os.path.expandvars(place) for place in PLACES.get(platform, ())))
    found = next((path for path in map(shutil.which, names) if path), None)
    if found is None:
        raise ChromiumMissing()
    return found


def has_screen(environment: Mapping[str, str], platform: str = sys.platform) -> bool:
    """Whether a window would be seen by somebody."""
    return platform in ("darwin", "win32") or any(
        environment.get(name) for name in ("DISPLAY", "WAYLAND_DISPLAY")
    )


def sandbox_flags() -> list[str]:
    """Chromium refuses to run as root unless its sandbox is off."""
    return ["--no-sandbox"] if os.name == "posix" and os.geteuid() == 0 else []


def command_line(
    profile: Path, extension: Path, flags: Sequence[str] = (), *, is_headless: bool
) -> list[str]:
    """Starts Chromium as a person's would run: no debugger, no automation, nothing but the extension added."""
    return [
        find_chromium(),
        f"--user-data-dir={profile}",
        f"--load-extension={extension}",
        "--lang=en-US",
        "--no-first-run",
        "--no-default-browser-check",
        "--disable-component-update",
        "--disable-sync",
        # A new profile must not ask for the key ring of the person at the desk.
        "--password-store=basic",
        "--use-mock-keychain",
        *(["--headless=new"] if is_headless else []),
        *sandbox_flags(),
        *flags,
    ]


def extension_copy(
    folder: Path,
    *,
    without_observer: bool = False,
    broker_url: str | None = None,
    pack_limits: Mapping[str, float] | None = None,
) -> Path:
    """A changed copy of the extension, by default an exact one; its id is the same, for that is in the manifest.

    `without_observer` leaves out what runs in the page's own world. `broker_url` is where it looks for a broker
    before anybody has told it. `pack_limits` replaces time limits of the page pack by their names.
    """
    copy = Path(shutil.copytree(EXTENSION, folder))
    if without_observer:
        _edit_json(copy / "manifest.json", _without_observer)
    if broker_url is not None:
        _set_default_broker(copy / "shared" / "settings.js", broker_url)
    if pack_limits is not None:
        _edit_json(copy / "sites" / "grok.json", lambda pack: _set_limits(pack, pack_limits))
    return copy


def _edit_json(path: Path, edit: Any) -> None:
    content = json.loads(path.read_text(encoding="utf-8"))
    edit(content)
    path.write_text(json.dumps(content, ensure_ascii=False, indent=2), encoding="utf-8")


def _without_observer(manifest: dict[str, Any]) -> None:
    scripts = manifest["content_scripts"]
    manifest["content_scripts"] = [script for script in scripts if script.get("world") != "MAIN"]


def _set_limits(pack: dict[str, Any], limits: Mapping[str, float]) -> None:
    unknown = limits.keys() - pack["limits"].keys()
    if unknown:
        raise ValueError(f"the page pack has no limits {sorted(unknown)}")
    pack["limits"].update(limits)


def _set_default_broker(path: Path, url: str) -> None:
    text = path.read_text(encoding="utf-8")
    before = f'brokerUrl: "{DEFAULT_BROKER}"'
    if text.count(before) != 1:
        raise ValueError(f"{path} must hold {before} once")
    path.write_text(text.replace(before, f'brokerUrl: "{url}"'), encoding="utf-8")


class Chromium:
    """`async with` starts it with a page; leaving ends it and all that it started."""

    def __init__(self, command: Sequence[str], log: Path, page: str) -> None:
        self._command = [*command, page]
        self._log = log
        self._process: asyncio.subprocess.Process | None = None

    async def __aenter__(self) -> "Chromium":
        await asyncio.to_thread(self._log.parent.mkdir, parents=True, exist_ok=True)
        with self._log.open("wb") as log:
            self._process = await asyncio.create_subprocess_exec(
                *self._command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                # A group of its own: Ctrl-C is not for it, and it can be ended with all its processes.
                start_new_session=os.name == "posix",
            )
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._process is not None
        if self._process.returncode is None:
            self._process.terminate()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._process.wait(), STOP_SECONDS)
        kill_group(self._process.pid)
        await self._process.wait()

    async def ended(self) -> NoReturn:
        """Waits until it ends by itself, and raises `BrowserFailed` then."""
        assert self._process is not None
        status = await self._process.wait()
        raise BrowserFailed(f"Chromium ended with status {status}.\n{self._last_lines()}")

    def _last_lines(self) -> str:
        try:
            lines = self._log.read_text(encoding="utf-8", errors="replace").splitlines()
        except OSError as error:
            return f"Its log {self._log} cannot be read: {error}"
        return "\n".join(lines[-LOG_LINES_SHOWN:])


def kill_group(leader: int) -> None:
    """Ends at once what is left of a process that leads a group, and all that it started."""
    if os.name == "posix":
        with contextlib.suppress(ProcessLookupError):
            os.killpg(leader, signal.SIGKILL)
