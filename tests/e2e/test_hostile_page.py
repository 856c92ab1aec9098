"""Whatever the site's page says, or another extension: ours does its own jobs, goes nowhere else, tells nothing."""

import hashlib
import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Playwright
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from broker.demo.site.cdn import Cdn
from broker.demo.site.stand_in import Switches
from tests.e2e.conftest import LIMITS, OpenDesk, Pair
from tests.support.browser import SITE
from tests.support.e2e_desk import Desk
from tests.support.forged import (
    EVERYTHING,
    FIRST_SCRIPT,
    FORGED,
    GO_ON_LYING,
    LIE,
    OBSERVED,
    OTHER_EXTENSION,
    PROMPT,
    STRANGERS_WAYS,
    WRITE_DOWN,
)
from tests.support.hostile import Canary, ScriptsWorld, edit_manifest, open_stage

ANSWER = "The one true answer, word for word."
#: Longer than a download may take here, shorter than anybody waits.
RATE = {"download_tries": 5, "download_pause_seconds": 0.05}
#: Chromium keeps a site's page from this machine's servers only of late; the extension must not lean on that.
WITHOUT_LOCAL_CHECKS = "--disable-features=LocalNetworkAccessChecks"


@pytest.fixture
def open_changed(
    pair: Pair, playwright: Playwright, chromium: str, tmp_path: Path
) -> Iterator[Any]:
    """A desk whose browser has a changed copy of the extension, or another one beside it."""
    with ExitStack() as stack:

        def open_(**wanted: Any) -> Desk:
            given = {"broker_url": pair.broker.url, "limits": LIMITS} | wanted
            stage = open_stage(stack, playwright, tmp_path, **given)
            client = stack.enter_context(pair.broker.client())
            desk = Desk(pair.broker, stage.site, client, stage.browser)
            stack.callback(desk.leave)
            return desk

        yield open_


# T25: the page forges messages.


def test_no_forged_message_is_taken(open_desk: OpenDesk) -> None:
    assert len(FORGED) > 200
    switches = Switches(answer=ANSWER, forged_messages=2, forged=FORGED)
    desk = open_desk(switches=switches)
    settings = desk.browser.stored().get("settings")
    before = {job["id"] for job in desk.jobs()}
    desk.site.hold("progress")

    chat, call = desk.post_chat(PROMPT)
    desk.site.wait_until_held("progress")
    desk.browser.page_of_worker().evaluate(GO_ON_LYING, FORGED)
    desk.site.release("progress")
    call.answer()
    film = desk.post_video("A cat playing piano")
    desk.wait_for_job(film, "completed")

    assert call.text == ANSWER
    assert desk.film(film) == desk.site.films[desk.site.submits()[1].post_id]
    assert [(submit.kind, submit.prompt) for submit in desk.site.submits()] == [
        ("chat", PROMPT),
        ("video", "A cat playing piano"),
    ]
    assert {job["id"] for job in desk.jobs()} - before == {chat, film}
    assert [len(desk.job(job)["attempts"]) for job in (chat, film)] == [1, 1]
    status = desk.browser.status()
    assert (status["page"]["state"], status["pausedBy"]) == ("ready", None)
    assert desk.browser.stored().get("settings") == settings
    assert LIE not in json.dumps(desk.browser.stored()) + json.dumps(desk.browser.stored("session"))
    assert sum(event.name == "forged" for event in desk.site.events) >= 2


@pytest.mark.parametrize("first", ["observer", "loader"])
def test_the_pages_first_script_cannot_learn_the_name_of_the_channel(
    first: str, open_changed: Callable[..., Desk]
) -> None:
    """Whichever of our two scripts Chromium runs first."""

    def add_first_script(copy: Path) -> None:
        script = FIRST_SCRIPT.replace("LIES", json.dumps([{"id": 1, **said} for said in OBSERVED]))
        (copy / "page" / "first.js").write_text(script, encoding="utf-8")
        edit_manifest(copy, lambda manifest: put_last(manifest, "page/first.js", first))

    desk = open_changed(switches=Switches(answer=ANSWER), change=add_first_script)

    _, call = desk.post_chat(PROMPT)
    call.answer()

    heard = desk.browser.page_of_worker().evaluate("window.heard")
    assert [name for name in heard["names"] if name != "loader"] == []
    assert "grok-broker:loader null" not in heard["crossed"]
    assert any(PROMPT in text for text in heard["crossed"])
    assert not any("grok-broker:" in text for text in heard["crossed"])
    assert call.text == ANSWER


def put_last(manifest: dict[str, Any], script: str, first: str) -> None:
    observer, loader = manifest["content_scripts"]
    own = [observer, loader] if first == "observer" else [loader, observer]
    manifest["content_scripts"] = [*own, {**observer, "js": [script]}]


def test_the_lease_token_is_neither_in_the_page_nor_in_the_page_script(
    open_changed: Callable[..., Desk],
) -> None:
    def write_down(copy: Path) -> None:
        loader = copy / "page" / "loader.js"
        loader.write_text(WRITE_DOWN + loader.read_text(encoding="utf-8"), encoding="utf-8")

    desk = open_changed(switches=Switches(answer=ANSWER), change=write_down)
    desk.site.hold("final")
    _, call = desk.post_chat(PROMPT)
    desk.site.wait_until_held("final")

    token = desk.browser.stored("session")["work"]["token"]
    page = desk.browser.page_of_worker()
    world = ScriptsWorld(page)
    desk.site.release("final")
    call.answer()

    crossed = world.evaluate("() => crossed")
    assert any(PROMPT in text and '"do":"run"' in text for text in crossed)
    assert any('"event":"answer"' in text for text in crossed)
    assert len(token) > 16
    assert token not in json.dumps(crossed)
    assert token not in page.evaluate(EVERYTHING)


# T28: what the extension keeps.

TRY = "() => %s.then(() => 'done', (error) => 'refused: ' + error.message)"


@pytest.mark.parametrize("area", ["local", "session"])
def test_a_page_script_cannot_read_or_write_what_the_extension_keeps(area: str, desk: Desk) -> None:
    desk.site.hold("progress")
    desk.post_chat(PROMPT)
    desk.site.wait_until_held("progress")
    world = ScriptsWorld(desk.browser.page_of_worker())
    before = desk.browser.stored(area)
    assert before

    for deed in ("get()", "get('work')", "set({ work: null })", "remove('work')", "clear()"):
        told = world.evaluate(TRY % f"chrome.storage.{area}.{deed}")
        assert told.startswith("refused: "), (deed, told)
    assert desk.browser.stored(area).keys() == before.keys()
    assert desk.browser.page_of_worker().evaluate("typeof chrome.storage") == "undefined"


# T18: the page names something as the film that is none of the site's.


def test_nothing_but_the_sites_own_media_is_ever_fetched(
    monkeypatch: pytest.MonkeyPatch, open_changed: Callable[..., Desk]
) -> None:
    monkeypatch.setattr(Cdn, "moved", moved_for_every_page)
    with Canary() as canary:
        hosts = {"192.168.1.1": canary.port}
        desk = open_changed(limits=LIMITS | RATE, hosts=hosts, more_flags=[WITHOUT_LOCAL_CHECKS])
        for address in named_by(canary):
            desk.site.switches.media_address = address
            job = desk.post_video(f"A film at {address}")
            seen = desk.wait_for_job(job, lambda job: len(failures(job)) > 0)

            assert set(failures(seen)) <= {"result_rejected", "download_failed"}, seen
            assert canary.hits == [], address
            assert len(desk.site.submits(f"A film at {address}")) == 1
            desk.http.delete(f"/jobs/{job}")

        desk.site.switches.media_address = None
        job = desk.post_video("A cat playing piano")
        desk.wait_for_job(job, "completed")
        assert canary.hits == []


async def moved_for_every_page(_: Cdn, request: Request) -> Response:
    """A redirect that the site's page may follow as far as it likes."""
    allowed = {"Access-Control-Allow-Origin": SITE[:-1], "Access-Control-Allow-Credentials": "true"}
    return RedirectResponse(request.query_params["to"], 302, allowed)


def test_a_film_that_is_none_of_the_sites_is_looked_for_once_more_and_then_refused(
    desk: Desk,
) -> None:
    desk.site.switches.media_address = "http://127.0.0.1/film.mp4"
    job = desk.post_video("A cat playing piano")

    ended = desk.wait_for_job(job, "failed")
    assert failures(ended) == ["result_rejected", "result_rejected"]
    assert "127.0.0.1" in ended["attempts"][0]["detail"]
    assert len(desk.site.submits()) == 1


def failures(job: dict[str, Any]) -> list[str]:
    return [attempt["failure"] for attempt in job["attempts"] if attempt["failure"]]


def named_by(canary: Canary) -> list[str]:
    here = f"127.0.0.1:{canary.port}"
    return [
        f"http://{here}/film.mp4",
        f"http://localhost:{canary.port}/film.mp4",
        "http://192.168.1.1/",
        "file:///etc/passwd",
        f"https://assets.grok.com/moved?to=http://{here}/film.mp4",
        f"https://assets.grok.com@{here}/film.mp4",
        f"//{here}/film.mp4",
        "data:video/mp4;base64,AAAAGGZ0eXBtcDQyAAAAAG1wNDJpc29t",
        "blob:https://x.ai/4f0f2c1e-0000-4000-8000-000000000000",
        "http://[::1",
    ]


# T26: another extension.


def test_another_extension_gets_no_answer(
    tmp_path: Path, open_changed: Callable[..., Desk]
) -> None:
    other = tmp_path / "other"
    other.mkdir()
    (other / "manifest.json").write_text(json.dumps(OTHER_EXTENSION), encoding="utf-8")
    (other / "other.html").write_text("<!doctype html><title>Other</title>", encoding="utf-8")
    desk = open_changed(switches=Switches(answer=ANSWER), beside=other)
    desk.wait_for_worker()
    before = desk.browser.status()
    ours = desk.browser.extension_id

    page = desk.browser.new_page(f"chrome-extension://{id_of(other)}/other.html")
    urls = [
        desk.browser.extension_url(path)
        for path in ("manifest.json", "sites/grok.json", "page/main.js")
    ]
    said = page.evaluate(STRANGERS_WAYS, [ours, urls])

    assert len(said) == 11
    assert [answer for answer in said if not answer.startswith("error: ")] == []
    assert desk.browser.status()["pausedBy"] is before["pausedBy"] is None
    assert "settings" not in desk.browser.stored()
    _, call = desk.post_chat(PROMPT)
    call.answer()
    assert call.text == ANSWER


def id_of(unpacked: Path) -> str:
    """Chromium makes it of the folder where no key is given."""
    digest = hashlib.sha256(str(unpacked).encode()).hexdigest()
    return "".join(chr(ord("a") + int(digit, 16)) for digit in digest[:32])
