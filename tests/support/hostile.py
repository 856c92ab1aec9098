"""Whoever means harm to the extension: a local server that must never be called, a broker that lies, another extension.

Gives tests what they attack with and where they look; what has to hold is the tests' to say.
"""

import itertools
import json
import queue
import shutil
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Self
from urllib.parse import urlsplit

from playwright.sync_api import Page, Playwright

from broker.demo.browser import extension_copy
from broker.demo.site.stand_in import StandIn, Switches
from tests.support.browser import GrokBrowser
from tests.support.e2e_waiting import wait_until

Change = Callable[[Path], None]
POLL_SECONDS = 0.2


class _Server:
    """An HTTP server on this machine, in a thread of its own, for as long as the context lasts."""

    def __init__(self) -> None:
        owner = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                owner.handle(self)

            do_POST = do_PUT = do_OPTIONS = do_GET

            def log_message(self, *_: Any) -> None:
                pass

        self._http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._http.daemon_threads = True
        self.port: int = self._http.server_address[1]
        self.url = f"http://127.0.0.1:{self.port}"

    def __enter__(self) -> Self:
        threading.Thread(target=self._http.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._http.shutdown()
        self._http.server_close()

    def handle(self, request: BaseHTTPRequestHandler) -> None:
        raise NotImplementedError


def _answer(request: BaseHTTPRequestHandler, status: int, body: bytes, **headers: str) -> None:
    request.send_response(status)
    for name, value in headers.items():
        request.send_header(name.replace("_", "-"), value)
    request.send_header("Content-Length", str(len(body)))
    request.end_headers()
    request.wfile.write(body)


class Canary(_Server):
    """Something on this machine or its network that nobody from outside may reach; writes down who does."""

    def __init__(self) -> None:
        super().__init__()
        self.hits: list[str] = []

    def handle(self, request: BaseHTTPRequestHandler) -> None:
        request.rfile.read(int(request.headers.get("Content-Length") or 0))
        self.hits.append(f"{request.command} {request.path} {request.headers.get('Origin')}")
        allowed = {"Access_Control_Allow_Origin": request.headers.get("Origin") or "*"}
        film = b"\0\0\0\x18ftypmp42" + b"x" * 4096
        _answer(request, 200, film, Access_Control_Allow_Credentials="true", **allowed)


class LyingBroker(_Server):
    """Says to whatever worker calls what a test wants said, and writes down what it is told."""

    def __init__(self) -> None:
        super().__init__()
        self.welcome: dict[str, Any] = {"worker_id": "w", "beat_seconds": 1, "poll_wait_seconds": 1}
        self.directives: list[Any] = []
        #: The bytes of the page pack; None where there is none.
        self.pack: bytes | None = None
        #: Where every call is sent on to.
        self.leads_to: str | None = None
        self.calls: list[tuple[str, Any]] = []
        self._jobs: queue.Queue[Any] = queue.Queue()
        self._attempts = itertools.count(1)
        self._ended = threading.Condition()
        self._ends: list[tuple[str, Any]] = []

    def hand_out(self, **job: Any) -> None:
        usual: dict[str, Any] = {
            "job_id": "job_" + "e4" * 16,
            "job_type": "video",
            "prompt": "A cat",
            "image": None,
            "images": [],
            "request": None,
            "lease_token": "lt_of_the_liar",
            "attempt": next(self._attempts),
            "lease_seconds": 150,
            "action": "submit",
            "options": None,
            "evidence": None,
            "directives": [],
        }
        self._jobs.put(usual | job)

    def wait_for_end(self, seconds: float = 40.0) -> tuple[str, Any]:
        """How the worker ended the job that was handed out: the call, and what came with it."""
        with self._ended:
            self._ended.wait_for(lambda: self._ends, seconds)
            assert self._ends, f"The job did not end in {seconds:g} s: {self.calls[-5:]}"
            return self._ends.pop(0)

    def count(self, call: str) -> int:
        return sum(name == call for name, _ in self.calls)

    def wait_for_more(self, call: str, seconds: float = 20.0) -> None:
        """The worker calls again, twice: what it was told before has been taken in."""
        seen = self.count(call)
        wait_until(lambda: self.count(call), lambda count: count >= seen + 2, seconds)

    def handle(self, request: BaseHTTPRequestHandler) -> None:
        call = urlsplit(request.path).path.removeprefix("/extension/").split("/")[0]
        body = request.rfile.read(int(request.headers.get("Content-Length") or 0))
        told = _told(request, body)
        self.calls.append((call, told))
        if self.leads_to is not None:
            _answer(request, 307, b"", Location=self.leads_to)
        elif call == "poll":
            self._hand(request)
        elif call == "pack":
            _answer(request, 200 if self.pack is not None else 404, self.pack or b"{}")
        else:
            _answer(request, 200, json.dumps(self._saying(call)).encode())
        if call in ("error", "result", "complete", "release"):
            with self._ended:
                self._ends.append((call, told))
                self._ended.notify_all()

    def _hand(self, request: BaseHTTPRequestHandler) -> None:
        try:
            job = self._jobs.get(timeout=POLL_SECONDS)
        except queue.Empty:
            said = ",".join(map(str, self.directives))
            return _answer(request, 204, b"", X_Broker_Directives=said)
        return _answer(request, 200, json.dumps(job).encode())

    def _saying(self, call: str) -> dict[str, Any]:
        said = {
            "hello": self.welcome,
            "beat": {"lease_expires_at": 0, "cancel": False},
            "chunks": {"stored_seq": 1_000_000},
        }
        return said.get(call, {}) | {"directives": self.directives}


def _told(request: BaseHTTPRequestHandler, body: bytes) -> Any:
    if request.headers.get("Content-Type") == "application/json":
        return json.loads(body)
    return body


class ScriptsWorld:
    """Where the extension's own scripts run in a page of the site, apart from the page's; seen through the debugger."""

    def __init__(self, page: Page) -> None:
        self._session = page.context.new_cdp_session(page)
        worlds: list[dict[str, Any]] = []
        self._session.on(
            "Runtime.executionContextCreated", lambda event: worlds.append(event["context"])
        )
        self._session.send("Runtime.enable")
        own = [world for world in worlds if world["origin"].startswith("chrome-extension://")]
        assert len(own) == 1, worlds
        self._context = own[0]["id"]

    def evaluate(self, function: str, argument: Any = None) -> Any:
        """What a function, told one argument, comes to. Raises `AssertionError` with what it throws."""
        answer = self._session.send(
            "Runtime.evaluate",
            {
                "expression": f"({function})({json.dumps(argument)})",
                "contextId": self._context,
                "awaitPromise": True,
                "returnByValue": True,
            },
        )
        assert "exceptionDetails" not in answer, answer["exceptionDetails"]
        return answer["result"].get("value")


@dataclass
class Stage:
    """A site and a browser whose extension, or whose company, a test has made."""

    site: StandIn
    browser: GrokBrowser

    def pages_loaded(self) -> Sequence[str]:
        return [event.details["path"] for event in self.site.events if event.name == "page"]

    def visits(self) -> Sequence[str]:
        """Every address that a tab of the browser is at."""
        return [page.url for page in self.browser.pages()]


def open_stage(
    stack: ExitStack,
    playwright: Playwright,
    folder: Path,
    *,
    broker_url: str,
    switches: Switches | None = None,
    limits: Mapping[str, float] | None = None,
    change: Change | None = None,
    beside: Path | None = None,
    hosts: Mapping[str, int] | None = None,
    more_flags: Sequence[str] = (),
) -> Stage:
    """Opens all until the stack is left.

    `change` is let at the extension's copy; `beside` is one more extension; `hosts` are names or numbers that lead to
    a port of this machine.
    """
    copy = extension_copy(folder / "extension", broker_url=broker_url, pack_limits=limits)
    if change is not None:
        change(copy)
    site = stack.enter_context(StandIn(switches or Switches()))
    found = "".join(f"MAP {host} 127.0.0.1:{port}, " for host, port in (hosts or {}).items())
    flags = [flag.replace("MAP *", f"{found}MAP *") for flag in site.chromium_flags]
    flags += more_flags
    if beside is not None:
        flags += [
            f"--{flag}={copy},{beside}" for flag in ("disable-extensions-except", "load-extension")
        ]
    profile = folder / "profile"
    stack.callback(shutil.rmtree, profile, ignore_errors=True)
    browser = GrokBrowser(playwright, profile, copy, flags)
    stack.enter_context(browser)
    return Stage(site, browser)


def edit_manifest(copy: Path, edit: Callable[[dict[str, Any]], None]) -> None:
    path = copy / "manifest.json"
    manifest = json.loads(path.read_text(encoding="utf-8"))
    edit(manifest)
    path.write_text(json.dumps(manifest), encoding="utf-8")
