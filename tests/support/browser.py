"""A Chromium with the extension in it: one that a test looks into, and one that nobody looks into.

Starts, watches and ends browsers. What a test wants from broker, site and browser together is `e2e_desk.py`.
"""

import json
import os
import signal
import subprocess
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from playwright.sync_api import BrowserContext, Error, Page, Playwright, Worker

from broker.demo.browser import command_line, find_chromium, kill_group, sandbox_flags
from tests.support.e2e_waiting import Deadline

SITE = "https://grok.com/"
SEND_MESSAGE = "(message) => chrome.runtime.sendMessage(message)"
#: Told a status as text, resolves to the next one that differs, or to null when the time is over.
NEXT_STATUS = """([seen, milliseconds]) => new Promise((resolve) => {
  const end = (text) => {
    chrome.storage.session.onChanged.removeListener(look);
    resolve(text);
  };
  const look = async () => {
    const { status } = await chrome.storage.session.get("status");
    const text = JSON.stringify(status ?? null);
    if (text !== seen) end(text);
  };
  chrome.storage.session.onChanged.addListener(look);
  setTimeout(end, milliseconds, null);
  look();
})"""


class Memory(NamedTuple):
    """What is resident now, in KiB."""

    extension: int
    browser: int


class GrokBrowser:
    """Driven by Playwright, with a profile that outlives it: `kill` and `start` again as often as a test likes.

    A debugger is attached, so the service worker does not die of idleness and no page counts as hidden: what is
    about those wants a `PlainBrowser`.
    """

    def __init__(
        self, playwright: Playwright, profile: Path, extension: Path, flags: Sequence[str] = ()
    ) -> None:
        self.profile = profile
        self.extension = extension
        #: Whatever pages and the service worker wrote to the console or threw, in order.
        self.console: list[str] = []
        self._playwright = playwright
        self._flags = flags
        self._context: BrowserContext | None = None
        self._watch: Page | None = None
        self._own: list[Page] = []

    def __enter__(self) -> "GrokBrowser":
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self) -> None:
        """Returns when the extension's service worker runs."""
        extension = str(self.extension)
        self._context = self._playwright.chromium.launch_persistent_context(
            str(self.profile),
            executable_path=find_chromium(),
            headless=True,
            chromium_sandbox=not sandbox_flags(),
            no_viewport=True,
            args=[
                f"--disable-extensions-except={extension}",
                f"--load-extension={extension}",
                "--lang=en-US",
                "--disable-gpu",
                *self._flags,
            ],
        )
        self._context.on("console", lambda said: self._note(said.type, said.text))
        self._context.on("weberror", lambda thrown: self._note("thrown", str(thrown.error)))
        self.service_worker()
        # Any file of the extension's is a page of the extension's: this one runs nothing of its own.
        self._watch = self._open(self.extension_url("manifest.json"), self.context.pages[0])

    def stop(self) -> None:
        """Closes it as a person would."""
        if self._context is not None:
            self._context.close()
        self._forget()

    def kill(self) -> None:
        """kill -9 for the browser and every process of its."""
        leader = self._leader()
        with self.context.expect_event("close"):
            kill_group(leader)
        self._forget()

    def _forget(self) -> None:
        self._context = None
        self._watch = None
        self._own.clear()

    def _note(self, kind: str, text: str) -> None:
        self.console.append(f"{kind}: {text}")

    @property
    def context(self) -> BrowserContext:
        assert self._context is not None, "The browser does not run."
        return self._context

    # The extension.

    def service_worker(self) -> Worker:
        """Its handle stays good when the worker is stopped and comes back."""
        found = next((w for w in self.context.service_workers if is_extension(w.url)), None)
        return found or self.context.wait_for_event("serviceworker", timeout=10_000)

    @property
    def extension_id(self) -> str:
        return self.service_worker().url.split("/")[2]

    def extension_url(self, path: str) -> str:
        return f"chrome-extension://{self.extension_id}/{path}"

    def kill_service_worker(self) -> None:
        """Stops it as Chromium does when it has been idle; returns when it has stopped."""
        session = self.context.new_cdp_session(self.watch)
        seen: list[str] = []
        session.on(
            "ServiceWorker.workerVersionUpdated",
            lambda event: seen.extend(version["runningStatus"] for version in event["versions"]),
        )
        session.send("ServiceWorker.enable")
        session.send("ServiceWorker.stopAllWorkers")
        deadline = Deadline(10)
        while "stopped" not in seen:
            assert not deadline.is_over(), f"The service worker does not stop: {seen}"
            self.watch.evaluate("0")  # each call lets an event in
        session.detach()

    def command(self, name: str, **fields: Any) -> dict[str, Any]:
        """Tells the background something, as popup and options do, and returns its answer."""
        message = {"command": name, **fields}
        deadline = Deadline(10)
        while True:
            try:
                return dict(self.watch.evaluate(SEND_MESSAGE, message))
            except Error as error:
                # For a moment after its service worker has died, Chromium knows nobody to wake.
                if "Receiving end does not exist" not in error.message or deadline.is_over():
                    raise

    def save_settings(self, **changes: Any) -> None:
        """Changes what the person has chosen, as the options page does."""
        stored = self.watch.evaluate("() => chrome.storage.local.get('settings')")
        answer = self.command("save_settings", settings=stored.get("settings", {}) | changes)
        assert answer["ok"], answer

    def stored(self, area: str = "local") -> dict[str, Any]:
        """All that the extension keeps in one of its storage areas."""
        return dict(self.watch.evaluate("(area) => chrome.storage[area].get()", area))

    def status(self) -> dict[str, Any]:
        """What the background tells its popup; empty before it has said anything."""
        return dict(self.stored("session").get("status") or {})

    def wait_for_status(
        self, is_so: Callable[[dict[str, Any]], bool], timeout: float = 20.0
    ) -> dict[str, Any]:
        """The first status from now on that is so; none is missed that lasts. Raises `AssertionError`."""
        seen: str | None = None
        deadline = Deadline(timeout)
        while True:
            latest = self.watch.evaluate(NEXT_STATUS, [seen, deadline.left() * 1000])
            assert latest is not None, f"The status did not become so in {timeout} s: {seen}"
            seen = latest
            status = json.loads(latest)
            if status is not None and is_so(status):
                return dict(status)

    # Pages.

    @property
    def watch(self) -> Page:
        """A silent page of the extension's, for looking into its storage."""
        assert self._watch is not None, "The browser does not run."
        return self._watch

    def pages(self) -> list[Page]:
        return [page for page in self.context.pages if page is not self._watch]

    def popup(self) -> Page:
        """The popup in a tab: Chromium opens a real one for a person's click only."""
        return self.new_page(self.extension_url(self._manifest()["action"]["default_popup"]))

    def options(self) -> Page:
        return self.new_page(self.extension_url(self._manifest()["options_ui"]["page"]))

    def new_page(self, url: str) -> Page:
        """A tab of the person's; it is never taken for the extension's own."""
        page = self.context.new_page()
        self._own.append(page)
        return self._open(url, page)

    def pages_of_worker(self) -> list[Page]:
        """The tabs that the extension has opened for itself at the site, or is about to."""
        foreign = [page for page in self.pages() if page not in self._own]
        return [page for page in foreign if not is_extension(page.url)]

    def page_of_worker(self, timeout: float = 20.0) -> Page:
        """The tab that the extension works in, as soon as it is at the site."""
        deadline = Deadline(timeout)
        while not (found := self.pages_of_worker()):
            self.context.wait_for_event("page", timeout=deadline.left() * 1000)
        found[-1].wait_for_url(f"{SITE}**", timeout=deadline.left() * 1000, wait_until="commit")
        return found[-1]

    def close_worker_tab(self) -> None:
        """As a person does who clicks the wrong cross."""
        for page in self.pages_of_worker():
            page.close()

    def screenshot(self, folder: Path) -> list[Path]:
        """A picture of every page."""
        taken = [folder / f"page-{number}.png" for number in range(len(self.pages()))]
        for path, page in zip(taken, self.pages(), strict=True):
            page.screenshot(path=path)
        return taken

    @staticmethod
    def _open(url: str, page: Page) -> Page:
        page.goto(url)
        return page

    def _manifest(self) -> Mapping[str, Any]:
        return dict(json.loads((self.extension / "manifest.json").read_text(encoding="utf-8")))

    # Processes.

    def memory(self) -> Memory:
        """Of the extension's process, where its service worker lives, and of the browser's, where its blobs do."""
        leader = self._leader()
        of_extension = [
            pid
            for pid, words in processes().items()
            if " --extension-process " in words and os.getpgid(pid) == leader
        ]
        return Memory(sum(map(resident_kib, of_extension)), resident_kib(leader))

    def _leader(self) -> int:
        """The browser's own process, which leads the group of all that it started."""
        option = f" --user-data-dir={self.profile} "
        found = [
            pid for pid, words in processes().items() if option in words and " --type=" not in words
        ]
        assert len(found) == 1, f"{len(found)} browsers have the profile {self.profile}"
        return found[0]


class PlainBrowser:
    """As a person's: no debugger, so its service worker may die and its pages may be throttled.

    It can only be watched from outside, at the broker and at the site.
    """

    def __init__(
        self, profile: Path, extension: Path, flags: Sequence[str] = (), page: str = "about:blank"
    ) -> None:
        self.log = profile.with_suffix(".log")
        self._command = [*command_line(profile, extension, flags, is_headless=True), page]
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> "PlainBrowser":
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._process is not None:
            self.kill()

    def start(self) -> None:
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                self._command, stdout=log, stderr=subprocess.STDOUT, start_new_session=True
            )

    def kill(self) -> None:
        """kill -9 for the browser and every process of its."""
        assert self._process is not None
        kill_group(self._process.pid)
        self._process.wait(10)
        self._process = None

    def freeze(self) -> None:
        """As when the machine's lid is closed, until `thaw`."""
        self._signal(signal.SIGSTOP)

    def thaw(self) -> None:
        self._signal(signal.SIGCONT)

    def _signal(self, number: signal.Signals) -> None:
        assert self._process is not None
        os.killpg(self._process.pid, number)


def is_extension(url: str) -> bool:
    return url.startswith("chrome-extension://")


def processes() -> dict[int, str]:
    """Every process of this machine with the words it was started by, a space around each."""
    found = {}
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            words = (folder / "cmdline").read_text(errors="replace").replace("\0", " ")
        except OSError:  # ended meanwhile
            continue
        found[int(folder.name)] = f" {words} "
    return found


def resident_kib(pid: int) -> int:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS:"))
