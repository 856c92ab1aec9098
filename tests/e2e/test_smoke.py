"""The browser, the extension in it and the stand-in site are there, whole, and cut off from everything else."""

import re

import pytest

from broker.demo.browser import EXTENSION
from tests.e2e.conftest import OpenDesk
from tests.support.browser import SITE
from tests.support.e2e_desk import Desk

#: What the manifest's `key` comes to; the broker lets this origin in by default.
EXTENSION_ID = "cbbjidhpddkbmnhlnldimfkcageanjdb"


def test_the_service_worker_starts_under_the_pinned_id(desk: Desk) -> None:
    worker = desk.browser.service_worker()

    assert worker.evaluate("chrome.runtime.id") == EXTENSION_ID
    assert desk.browser.extension_id == EXTENSION_ID


def test_the_site_is_a_secure_page_under_its_own_name(desk: Desk) -> None:
    page = desk.browser.new_page(SITE)

    assert page.evaluate("location.origin") == "https://grok.com"
    assert page.evaluate("isSecureContext") is True


def test_no_other_host_can_be_reached(desk: Desk) -> None:
    page = desk.browser.new_page(SITE)
    failed = desk.browser.service_worker().evaluate(
        "() => fetch('https://example.com/').then(() => 'reached', (error) => error.name)"
    )

    with pytest.raises(Exception, match="ERR_NAME_NOT_RESOLVED"):
        page.goto("https://example.com/")
    assert failed == "TypeError"


@pytest.mark.parametrize("name", ["popup", "options"])
def test_the_extensions_own_pages_open_without_a_complaint(name: str, desk: Desk) -> None:
    page = getattr(desk.browser, name)()

    assert page.inner_text("body").strip()
    assert [line for line in desk.browser.console if re.match("error|warning|thrown", line)] == []


def test_the_extension_finds_its_broker_without_being_told(desk: Desk) -> None:
    worker = desk.wait_for_worker()

    assert set(worker["kinds"]) == {"video", "image", "chat"}
    assert worker["id"] == desk.browser.stored()["workerId"]


def test_the_extension_has_a_tab_of_its_own_beside_the_persons(desk: Desk) -> None:
    persons = desk.browser.new_page(SITE)

    desk.browser.command("open_grok")

    page = desk.browser.page_of_worker()
    assert page is not persons
    assert page.url == SITE
    desk.browser.close_worker_tab()
    assert desk.browser.pages_of_worker() == []
    assert not persons.is_closed()


def test_a_killed_browser_comes_back_with_what_it_knew(desk: Desk) -> None:
    desk.wait_for_worker()
    desk.browser.service_worker().evaluate("() => chrome.storage.local.set({ kept: 'this' })")

    desk.browser.kill()
    desk.browser.start()

    assert desk.browser.stored()["kept"] == "this"
    desk.browser.wait_for_status(lambda status: status["connection"]["state"] == "connected")


def test_a_killed_service_worker_comes_back(desk: Desk) -> None:
    desk.browser.service_worker().evaluate("() => { globalThis.isOld = true; }")

    desk.browser.kill_service_worker()

    desk.browser.command("open_grok")
    assert desk.browser.service_worker().evaluate("globalThis.isOld === undefined")


def test_what_the_extension_and_its_browser_hold_in_memory_can_be_read(desk: Desk) -> None:
    desk.wait_for_worker()

    memory = desk.browser.memory()

    assert 10_000 < memory.extension < 1_000_000
    assert 10_000 < memory.browser < 1_000_000


def test_a_browser_that_nobody_looks_into_does_a_job(open_desk: OpenDesk) -> None:
    desk = open_desk.plain()

    job, call = desk.post_chat("Say something")

    assert desk.site.wait_for_submit("Say something").kind == "chat"
    call.answer()
    assert desk.wait_for_job(job, "completed")["text"] == call.text


def test_nothing_of_the_extension_needs_a_build() -> None:
    """What is loaded is what is reviewed."""
    assert {path.suffix for path in EXTENSION.rglob("*") if path.is_file()} <= {
        ".js",
        ".json",
        ".html",
        ".css",
        ".png",
        ".md",
    }
