"""The pictures of docs/extension.md, taken anew from the real thing: each must show what the text says of it.

With `WRITE_PICTURES=1` in the environment they replace those in docs/pictures/; without, they are looked at and left.
"""

import os
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image
from playwright.sync_api import Page, expect

from broker.demo.site.stand_in import Switches
from tests.e2e.conftest import OpenDesk
from tests.support.e2e_desk import Desk

DOCUMENT = Path(__file__).parents[2] / "docs" / "extension.md"
PICTURES = DOCUMENT.with_name("pictures")
EXTENSION_ID = "cbbjidhpddkbmnhlnldimfkcageanjdb"
IS_WRITTEN = os.environ.get("WRITE_PICTURES") == "1"
#: The usual address stands in what is shown to people; otherwise any port will do.
PORT = 8000 if IS_WRITTEN else 0
MOST_BYTES = 150_000
POPUP_WIDTH = 380
#: Until there is something to see of the film, and the player no longer shows that it is loading.
PLAY_A_WHILE = """(film, seconds) => new Promise((resolve) => {
  film.addEventListener("timeupdate", () => film.currentTime > seconds && film.pause());
  film.addEventListener("pause", resolve, { once: true });
  void film.play();
})"""
TAKEN = {
    "install-1-extensions",
    "install-2-popup",
    "install-3-options",
    "install-4-working",
    "state-needs-login",
    "site-video",
}

#: Takes a page as it is now, so many pixels wide and high; a height of None is that of the page.
Take = Callable[[str, Page, int, int | None], None]


@pytest.fixture
def take(tmp_path: Path) -> Take:
    def take_it(name: str, page: Page, width: int, height: int | None) -> None:
        assert name in TAKEN
        page.set_viewport_size({"width": width, "height": height or 1})
        page.evaluate("scrollTo(0, 0)")
        path = tmp_path / f"{name}.png"
        page.screenshot(path=path, full_page=height is None, animations="disabled", scale="css")
        assert share_of_commonest_colour(path) < 0.97, f"{path} is nearly blank"
        make_small(path)
        assert path.stat().st_size < MOST_BYTES
        if IS_WRITTEN:
            PICTURES.mkdir(exist_ok=True)
            (PICTURES / path.name).write_bytes(path.read_bytes())

    return take_it


@pytest.fixture
def desk(open_desk: OpenDesk) -> Desk:
    return open_desk(settings={"server_port": PORT})


def share_of_commonest_colour(path: Path) -> float:
    with Image.open(path) as picture:
        colours = picture.convert("RGB").getcolors(picture.width * picture.height)
        assert colours
        return max(count for count, _ in colours) / (picture.width * picture.height)


def make_small(path: Path) -> None:
    with Image.open(path) as picture:
        picture.convert("RGB").save(path, optimize=True)


def test_the_extensions_page_shows_the_loaded_extension(desk: Desk, take: Take) -> None:
    page = desk.browser.new_page("chrome://extensions")
    page.get_by_role("switch", name="Developer mode").click()

    card = page.locator(f"extensions-item#{EXTENSION_ID}")
    expect(page.get_by_text("Load unpacked")).to_be_visible()
    expect(card).to_contain_text("Grok Broker")
    expect(card).to_contain_text(f"ID: {EXTENSION_ID}")
    take("install-1-extensions", page, 800, 413)


def test_the_popup_of_a_fresh_extension_is_connected(desk: Desk, take: Take) -> None:
    page = desk.browser.popup()

    expect(page.locator("#connection")).to_contain_text("Connected")
    expect(page.locator("#page")).to_contain_text("Not looked at yet")
    expect(page.locator("#pack")).to_contain_text("Page pack 2")
    take("install-2-popup", page, POPUP_WIDTH, None)


def test_the_options_show_a_connection_test_that_passed(desk: Desk, take: Take) -> None:
    desk.browser.command("open_grok")
    desk.browser.wait_for_status(lambda status: status["page"]["state"] == "ready")
    page = desk.browser.options()
    page.get_by_role("button", name="Test the connection").click()

    expect(page.locator("#verdict")).to_have_text("All six steps passed. Jobs can come.")
    expect(page.locator("#steps li[data-state=pass]")).to_have_count(6)
    take("install-3-options", page, 760, 1214)


def test_the_popup_shows_a_job_that_runs(desk: Desk, take: Take) -> None:
    _, chat = desk.post_chat("How do I tune a piano?")
    chat.answer()
    desk.site.hold("final")
    desk.post_video("A cat playing piano")
    desk.site.wait_until_held("final")
    page = desk.browser.popup()

    expect(page.locator("#job-kind")).to_have_text("Video")
    expect(page.locator("#job-phase")).to_have_text("Grok is working")
    expect(page.locator("#job-figure")).to_have_text("94 %")
    expect(page.locator("#past details")).to_have_count(1)
    expect(page.locator("#past")).to_contain_text("Completed")
    take("install-4-working", page, POPUP_WIDTH, None)


def test_the_popup_says_that_nobody_is_signed_in(open_desk: OpenDesk, take: Take) -> None:
    desk = open_desk(switches=Switches(signed_in=False), settings={"server_port": PORT})
    desk.browser.command("open_grok")
    desk.browser.wait_for_status(lambda status: status["page"]["state"] == "needs_login")
    page = desk.browser.popup()

    expect(page.locator("#page")).to_contain_text("Nobody is signed in")
    expect(page.locator("#page")).to_contain_text("Open Grok and sign in.")
    take("state-needs-login", page, POPUP_WIDTH, None)


def test_the_sites_page_shows_the_film_that_was_made(desk: Desk, take: Take) -> None:
    job = desk.post_video("A cat playing piano", aspect_ratio="16:9")
    desk.wait_for_job(job, "completed")
    page = desk.browser.page_of_worker()
    page.bring_to_front()

    expect(page.get_by_text("A cat playing piano").first).to_be_visible()
    film = page.locator("article video")
    expect(film).to_be_visible()
    expect(film).to_have_js_property("readyState", 4)
    film.evaluate(PLAY_A_WHILE, 1.0)
    take("site-video", page, 900, 680)


def test_the_document_shows_these_pictures_and_no_others() -> None:
    shown = re.findall(r"\]\(pictures/([\w-]+)\.png\)", DOCUMENT.read_text(encoding="utf-8"))

    assert sorted(shown) == sorted(TAKEN)
    assert {path.stem for path in PICTURES.iterdir()} == TAKEN
    assert all(path.stat().st_size < MOST_BYTES for path in PICTURES.iterdir())
