"""A desk for each test: the module's broker, a stand-in site, and a browser with a profile that nobody has used."""

import tempfile
from collections.abc import Generator, Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Playwright, sync_playwright

from broker.demo.browser import ChromiumMissing, extension_copy, find_chromium
from broker.demo.site.stand_in import StandIn, Switches
from tests.support.browser import GrokBrowser, PlainBrowser
from tests.support.e2e_desk import Desk, PlainDesk
from tests.support.server import BrokerProcess

#: Long enough for a slow machine to do what it should, short enough to wait for what should not come.
LIMITS = {
    "element_seconds": 5,
    "accept_seconds": 5,
    "stalled_seconds": 6,
    "chat_stalled_seconds": 6,
    "recover_seconds": 8,
    "page_seconds": 15,
    "download_pause_seconds": 0.2,
    "recheck_seconds": 2,
    "paywall_seconds": 3,
    "rate_limit_seconds": 3,
}
_DESKS = pytest.StashKey[list[Desk | PlainDesk]]()


class Pair:
    """A broker and the extension's copy that knows it; the broker hands out that very copy's page pack."""

    def __init__(
        self,
        folder: Path,
        *,
        settings: Mapping[str, Any] | None = None,
        pack_limits: Mapping[str, float] | None = None,
        without_observer: bool = False,
    ) -> None:
        self.extension = folder / "extension"
        pack = self.extension / "sites" / "grok.json"
        (folder / "broker").mkdir(parents=True)
        own = {"sweep_seconds": 0.2, "pack_file": pack, **(settings or {})}
        self.broker = BrokerProcess(folder / "broker", **own)
        self._limits = LIMITS | dict(pack_limits or {})
        self._without_observer = without_observer

    def __enter__(self) -> "Pair":
        self.broker.start()
        extension_copy(
            self.extension,
            without_observer=self._without_observer,
            broker_url=self.broker.url,
            pack_limits=self._limits,
        )
        return self

    def __exit__(self, *_: object) -> None:
        self.broker.__exit__()


class OpenDesk:
    """Opens desks, usual ones and others; they end with the test."""

    def __init__(self, stack: ExitStack, request: pytest.FixtureRequest, folder: Path) -> None:
        self._stack = stack
        self._request = request
        self._folder = folder
        self._count = 0

    def __call__(self, *, switches: Switches | None = None, **pair: Any) -> Desk:
        """`pair`: what a `Pair` can be told; it makes a broker and a copy of the extension for this test alone."""
        own, site, profile = self._open(switches, pair)
        playwright: Playwright = self._request.getfixturevalue("playwright")
        browser = GrokBrowser(playwright, profile, own.extension, site.chromium_flags)
        desk = Desk(own.broker, site, self._client(own), browser)
        self._keep(desk)
        return desk

    def plain(self, *, switches: Switches | None = None, **pair: Any) -> PlainDesk:
        """One with a browser that nobody looks into."""
        own, site, profile = self._open(switches, pair)
        browser = PlainBrowser(profile, own.extension, site.chromium_flags)
        desk = PlainDesk(own.broker, site, self._client(own), browser)
        self._keep(desk)
        return desk

    def _keep(self, desk: Desk | PlainDesk) -> None:
        self._stack.callback(desk.leave)
        self._request.node.stash.setdefault(_DESKS, []).append(desk)
        self._stack.enter_context(desk.browser)

    def _open(
        self, switches: Switches | None, changes: Mapping[str, Any]
    ) -> tuple[Pair, StandIn, Path]:
        self._count += 1
        if changes:
            own = self._stack.enter_context(Pair(self._folder / f"pair-{self._count}", **changes))
        else:
            own = self._request.getfixturevalue("pair")
        site = self._stack.enter_context(StandIn(switches or Switches()))
        # Not in the test's folder: pytest keeps that, and a profile is large.
        profile = self._stack.enter_context(
            tempfile.TemporaryDirectory(prefix="profile-", ignore_cleanup_errors=True)
        )
        return own, site, Path(profile) / "profile"

    def _client(self, pair: Pair) -> Any:
        return self._stack.enter_context(pair.broker.client())


@pytest.fixture(scope="session")
def chromium() -> str:
    try:
        return find_chromium()
    except ChromiumMissing:
        pytest.skip("there is no Chromium on this machine")


@pytest.fixture(scope="module")
def playwright() -> Iterator[Playwright]:
    """For one module: while it is there, no other event loop can run in this thread."""
    with sync_playwright() as playwright:
        yield playwright


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    with Pair(tmp_path_factory.mktemp("pair")) as pair:
        yield pair


@pytest.fixture
def open_desk(chromium: str, request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[OpenDesk]:
    with ExitStack() as stack:
        yield OpenDesk(stack, request, tmp_path)


@pytest.fixture
def desk(open_desk: OpenDesk) -> Desk:
    """The usual one: the site as it is today, the extension as it ships."""
    return open_desk()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Writes down what the desks of a failed test look like, while they are still there."""
    report = yield
    if report.failed and call.when in ("setup", "call"):
        for number, desk in enumerate(item.stash.get(_DESKS, [])):
            place = Path(item.funcargs["tmp_path"]) / f"desk-{number}"  # type: ignore[attr-defined]
            place.mkdir(exist_ok=True)
            desk.write_down(place)
            report.sections.append(("browser test", f"What its desk looked like: {place}"))
    return report
