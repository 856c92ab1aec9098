"""Each state of the page: brought about by its cause, named to the person and the broker, gone with its cause."""

import base64
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from broker.demo.browser import EXTENSION
from broker.demo.site.stand_in import Switches
from tests.e2e.conftest import OpenDesk
from tests.support.browser import GrokBrowser
from tests.support.e2e_desk import Desk
from tests.support.e2e_waiting import wait_until
from tests.support.pictures import png

PROMPT = "A cat playing piano"
IMAGE = base64.b64encode(png(64, 48)).decode()
ANSWER = "One word, and another one, and so on to the end of it."


def stands(state: str) -> Callable[[dict[str, Any]], bool]:
    return lambda status: status["page"]["state"] == state


def broker_hears(desk: Desk, state: str) -> dict[str, Any]:
    """The worker as the operator sees it, once it stands so."""
    worker_id = desk.browser.stored()["workerId"]

    def own() -> dict[str, Any]:
        workers = desk.http.get("/workers").json()["data"]
        return next(worker for worker in workers if worker["id"] == worker_id)

    return wait_until(own, lambda worker: worker["page_state"] == state)


def popup_says(browser: GrokBrowser, place: str, text: str) -> None:
    popup = browser.popup()
    wait_until(lambda: popup.inner_text(place), lambda shown: text in shown, 10)
    popup.close()


def test_nobody_signed_in(open_desk: OpenDesk) -> None:
    desk = open_desk(switches=Switches(signed_in=False))

    job_id = desk.post_video(PROMPT)
    waiting = desk.wait_for_job(job_id, lambda job: job["waiting_reason"] is not None)

    assert (waiting["status"], waiting["waiting_reason"]) == ("pending", "not_logged_in")
    desk.browser.wait_for_status(stands("needs_login"))
    broker_hears(desk, "needs_login")
    popup_says(desk.browser, "#page", "sign")
    assert desk.site.submits() == []

    desk.site.switches.signed_in = True
    desk.wait_for_job(job_id, "completed")
    desk.browser.wait_for_status(stands("ready"))
    assert len(desk.site.submits()) == 1


def test_a_human_check_is_left_to_the_person(open_desk: OpenDesk) -> None:
    desk = open_desk(switches=Switches(human_check=True))

    job_id = desk.post_video(PROMPT)
    waiting = desk.wait_for_job(job_id, lambda job: job["waiting_reason"] is not None)

    assert (waiting["status"], waiting["waiting_reason"]) == ("pending", "challenge_required")
    desk.browser.wait_for_status(stands("needs_human"))
    broker_hears(desk, "needs_human")
    popup_says(desk.browser, "#page", "human")
    loads = len([event for event in desk.site.events if event[0] == "page"])

    # The person does it; the site then loads its page again.
    desk.site.switches.human_check = False
    assert len([event for event in desk.site.events if event[0] == "page"]) == loads
    desk.browser.page_of_worker().reload()
    desk.wait_for_job(job_id, "completed")
    assert len(desk.site.submits()) == 1


@pytest.mark.parametrize("question", ["cookie_banner", "age_dialog"])
def test_a_question_to_the_person_is_not_answered_for_them(
    question: str, open_desk: OpenDesk
) -> None:
    desk = open_desk(switches=Switches(**{question: True}))

    job_id = desk.post_video(PROMPT)
    desk.wait_for_job(job_id, lambda job: job["waiting_reason"] == "challenge_required")
    desk.browser.wait_for_status(stands("needs_human"))
    assert desk.site.submits() == []

    setattr(desk.site.switches, question, False)
    page = desk.browser.page_of_worker()
    page.evaluate(
        "document.querySelector('[data-cookie-banner], [data-analytics-name=age_verification]').remove()"
    )
    desk.wait_for_job(job_id, "completed")


@pytest.mark.parametrize(
    ("kind", "purpose"),
    [
        ("chat", "chat.editor"),
        ("chat", "chat.submit"),
        ("video", "imagine.editor"),
        ("video", "imagine.submit"),
        ("video", "imagine.mode"),
        ("image", "imagine.editor"),
    ],
)
def test_a_missing_element_is_named_and_nothing_is_submitted(
    kind: str, purpose: str, open_desk: OpenDesk
) -> None:
    desk = open_desk(switches=Switches(missing={purpose}))

    if kind == "video":
        job_id = desk.post_video(PROMPT)
    else:
        job_id, _ = getattr(desk, f"post_{kind}")(PROMPT)
    waiting = desk.wait_for_job(job_id, lambda job: job["waiting_reason"] is not None)

    assert waiting["waiting_reason"] == "ui_changed"
    assert waiting["attempts"][0]["detail"].startswith(purpose)
    desk.browser.wait_for_status(
        lambda status: stands("selector_missing")(status) and purpose in status["pack"]["missing"]
    )
    assert purpose in broker_hears(desk, "selector_missing")["page_detail"]
    popup_says(desk.browser, "#page", purpose)

    desk.site.switches.missing = set()
    desk.wait_for_job(job_id, "completed")
    assert len(desk.site.submits()) == 1


def test_a_missing_file_input_is_named(open_desk: OpenDesk) -> None:
    desk = open_desk(switches=Switches(missing={"imagine.files"}))

    job_id = desk.post_video(PROMPT, image=IMAGE)
    waiting = desk.wait_for_job(job_id, lambda job: job["waiting_reason"] is not None)

    assert waiting["attempts"][0]["detail"].startswith("imagine.files")
    assert desk.site.submits() == []


@pytest.mark.parametrize("generation", ["february", "april", "autumn"])
def test_the_self_test_finds_all_of_it(generation: Any, open_desk: OpenDesk) -> None:
    desk = open_desk(switches=Switches(generation=generation))

    findings = desk.browser.command("self_test")

    assert findings == {"ok": True, "missing": [], "detail": ""}
    assert desk.site.submits() == []


@pytest.mark.parametrize(
    "purpose", ["chat.editor", "chat.submit", "imagine.editor", "imagine.submit", "imagine.mode"]
)
def test_the_self_test_names_what_is_missing_and_submits_nothing(
    purpose: str, open_desk: OpenDesk
) -> None:
    desk = open_desk(switches=Switches(missing={purpose}))

    findings = desk.browser.command("self_test")

    assert purpose in findings["missing"]
    assert not findings["ok"]
    assert all(name.split(".")[0] == purpose.split(".")[0] for name in findings["missing"])
    assert desk.site.submits() == []


def test_a_repaired_pack_from_the_broker_is_enough(open_desk: OpenDesk, tmp_path: Path) -> None:
    """The site renames an element; the pack is mended at the broker; nobody installs anything."""
    repaired = tmp_path / "repaired.json"
    shutil.copy(EXTENSION / "sites" / "grok.json", repaired)
    desk = open_desk(settings={"pack_file": repaired})
    bundled = desk.browser.extension / "sites" / "grok.json"
    pack = json.loads(bundled.read_text(encoding="utf-8"))
    limits = pack["limits"]
    pack["purposes"]["imagine.mode"]["rungs"] = [{"css": "[data-renamed]"}]
    bundled.write_text(json.dumps(pack), encoding="utf-8")

    job_id = desk.post_video(PROMPT)
    desk.browser.wait_for_status(stands("selector_missing"))
    assert desk.site.submits() == []

    mended = json.loads(repaired.read_text(encoding="utf-8"))
    repaired.write_text(
        json.dumps(mended | {"version": "2099.1.1", "limits": limits}), encoding="utf-8"
    )
    worker_id = desk.browser.stored()["workerId"]
    desk.http.post(f"/workers/{worker_id}/directives", json={"directive": "update_pack"})

    desk.wait_for_job(job_id, "completed")
    pack_shown = desk.browser.status()["pack"]
    assert (pack_shown["version"], pack_shown["source"]) == ("2099.1.1", "broker")
    assert len(desk.site.submits()) == 1


def test_a_pack_that_is_not_newer_is_not_fetched(open_desk: OpenDesk, tmp_path: Path) -> None:
    older = tmp_path / "older.json"
    pack = json.loads((EXTENSION / "sites" / "grok.json").read_text(encoding="utf-8"))
    older.write_text(json.dumps(pack | {"version": "2020.1.1"}), encoding="utf-8")
    desk = open_desk(settings={"pack_file": older})
    desk.browser.service_worker().evaluate(
        """() => {
          const { fetch } = self;
          self.packs = 0;
          self.fetch = (address, ...rest) => {
            self.packs += String(address).endsWith("/extension/pack");
            return fetch(address, ...rest);
          };
        }"""
    )

    desk.browser.save_settings(name="Says hello again")
    desk.wait_for_job(desk.post_video(PROMPT), "completed")

    assert desk.browser.service_worker().evaluate("self.packs") == 0
    assert desk.browser.status()["pack"]["source"] == "bundled"


@pytest.mark.parametrize("kind", ["video", "chat"])
def test_a_stale_page_is_loaded_again_and_the_prompt_submitted_once(
    kind: str, open_desk: OpenDesk
) -> None:
    desk = open_desk(switches=Switches(page_stale=True, page_stale_heals=True))

    job_id = desk.post_video(PROMPT) if kind == "video" else desk.post_chat(PROMPT)[0]
    job = desk.wait_for_job(job_id, "completed", 60)

    assert job["attempts"][0]["failure"] == "page_stale"
    assert len(desk.site.submits()) == 1
