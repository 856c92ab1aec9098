"""Whatever dies, in whatever phase: the site counts one submit for a job, and the result still arrives."""

import base64
import os
import signal
from collections.abc import Callable
from typing import Any

import pytest

from broker.demo.site.stand_in import Switches
from tests.e2e.conftest import OpenDesk
from tests.support.browser import SITE
from tests.support.e2e_desk import Desk
from tests.support.pictures import png

PROMPT = "A cat playing piano"
ANSWER = "One word, and another one, and so on to the end of it."


def kill_service_worker(desk: Desk) -> None:
    desk.browser.kill_service_worker()


def close_tab(desk: Desk) -> None:
    desk.browser.close_worker_tab()


def reload_tab(desk: Desk) -> None:
    desk.browser.page_of_worker().evaluate("location.reload()")


def kill_browser(desk: Desk) -> None:
    desk.browser.kill()
    desk.browser.start()


def kill_broker(desk: Desk) -> None:
    desk.broker.kill()
    desk.broker.start()


def wait_until_told(desk: Desk, job_id: str, point: str) -> None:
    """From the first progress on, the broker knows what the page has shown; a kill before that is `accepted`."""
    if point != "accepted":
        told = ("generating", "downloading")
        desk.wait_for_job(job_id, lambda job: job["phase"] in told)


KILLS: list[Callable[[Desk], None]] = [
    kill_service_worker,
    close_tab,
    reload_tab,
    kill_browser,
    kill_broker,
]
WITHOUT_RELOAD = [kill for kill in KILLS if kill is not reload_tab]
by_kill = pytest.mark.parametrize("kill", KILLS, ids=lambda kill: kill.__name__)


@by_kill
@pytest.mark.parametrize("point", ["accepted", "progress", "final", "media", "media_middle"])
def test_a_film_is_submitted_once_and_arrives(
    point: Any, kill: Callable[[Desk], None], desk: Desk
) -> None:
    desk.site.hold(point)
    job_id = desk.post_video(PROMPT)
    desk.site.wait_until_held(point)
    wait_until_told(desk, job_id, point)

    kill(desk)
    desk.site.release(point)

    desk.wait_for_job(job_id, "completed", 60)
    [submit] = desk.site.submits()
    assert desk.film(job_id) == desk.site.films[submit.post_id]


@pytest.mark.parametrize("kill", WITHOUT_RELOAD, ids=lambda kill: kill.__name__)
@pytest.mark.parametrize(
    ("transport", "point"),
    [("stream", "accepted"), ("socket", "progress"), ("stream", "final"), ("socket", "final")],
)
def test_a_chat_is_sent_once_and_its_answer_arrives(
    transport: Any, point: Any, kill: Callable[[Desk], None], open_desk: OpenDesk
) -> None:
    desk = open_desk(switches=Switches(chat_transport=transport, answer=ANSWER))
    desk.site.hold(point)
    job_id, call = desk.post_chat(PROMPT, stream=False)
    desk.site.wait_until_held(point)

    kill(desk)
    desk.site.release(point)

    assert desk.wait_for_job(job_id, "completed", 60)["text"] == ANSWER
    assert len(desk.site.submits()) == 1
    if kill is not kill_broker:
        call.answer()
        assert call.text == ANSWER


@by_kill
@pytest.mark.parametrize("point", ["accepted", "progress", "final"])
def test_pictures_are_submitted_once_and_arrive(
    point: Any, kill: Callable[[Desk], None], desk: Desk
) -> None:
    desk.site.hold(point)
    job_id, _ = desk.post_image(PROMPT, n=2)
    desk.site.wait_until_held(point)
    wait_until_told(desk, job_id, point)

    kill(desk)
    desk.site.release(point)

    job = desk.wait_for_job(job_id, "completed", 60)
    assert len(desk.site.submits()) == 1
    assert len(job["image_urls"]) >= 2


@pytest.mark.parametrize("kill", KILLS[:-1], ids=lambda kill: kill.__name__)
def test_a_film_that_was_being_handed_in_is_handed_in(
    kill: Callable[[Desk], None], desk: Desk
) -> None:
    desk.site.hold("media_middle")
    job_id = desk.post_video(PROMPT)
    desk.site.wait_until_held("media_middle")

    # A broker that stands still takes in nothing: the upload lasts as long as that.
    os.kill(desk.broker.pid, signal.SIGSTOP)
    try:
        desk.site.release("media_middle")
        desk.browser.wait_for_status(lambda status: status["job"]["phase"] == "uploading")
        kill(desk)
    finally:
        os.kill(desk.broker.pid, signal.SIGCONT)

    desk.wait_for_job(job_id, "completed", 60)
    [submit] = desk.site.submits()
    assert desk.film(job_id) == desk.site.films[submit.post_id]


@by_kill
def test_a_job_that_was_not_submitted_yet_is_begun_anew(
    kill: Callable[[Desk], None], open_desk: OpenDesk
) -> None:
    desk = open_desk(switches=Switches(missing={"imagine.editor"}))
    job_id = desk.post_video(PROMPT)
    desk.wait_for_phase(job_id, "preparing")

    desk.site.switches.missing = set()
    kill(desk)

    job = desk.wait_for_job(job_id, "completed", 60)
    assert len(desk.site.submits()) == 1
    assert job["attempts"][-1]["outcome"] == "completed"


def test_a_press_that_shows_nothing_is_unknown_and_not_repeated(open_desk: OpenDesk) -> None:
    switches = Switches(ignores_press=True)
    desk = open_desk(switches=switches, settings={"video_run_cap_seconds": 12})
    count_presses(desk)

    job_id = desk.post_video(PROMPT)
    job = desk.wait_for_job(job_id, "failed", 60)

    assert {attempt["failure"] for attempt in job["attempts"]} == {"submit_unknown"}
    assert presses(desk) == 1


def test_what_was_taken_without_a_sign_is_looked_for_and_not_pressed_again(
    open_desk: OpenDesk,
) -> None:
    desk = open_desk(switches=Switches(accepts_silently=True))
    count_presses(desk)

    job_id = desk.post_video(PROMPT)
    desk.wait_for_job(job_id, "completed", 60)

    [submit] = desk.site.submits()
    assert desk.film(job_id) == desk.site.films[submit.post_id]
    assert presses(desk) == 1


def count_presses(desk: Desk) -> None:
    """Has every page of the site count how often its submit button is pressed, with effect or without."""
    desk.browser.context.add_init_script(
        """addEventListener("click", ({ target }) => {
          if (!target.closest?.("button[type=submit]")) return;
          localStorage.presses = Number(localStorage.presses ?? 0) + 1;
        }, true);"""
    )


def presses(desk: Desk) -> int:
    return int(desk.browser.new_page(SITE).evaluate("localStorage.presses ?? 0"))


def test_a_beat_that_is_refused_means_no_press(desk: Desk) -> None:
    """The client cancels while the page is being filled in: the broker refuses, and nothing is submitted."""
    desk.site.switches.upload_seconds = 3600
    job_id = desk.post_video(PROMPT, image=base64.b64encode(png()).decode())
    desk.wait_for_phase(job_id, "preparing")

    desk.http.delete(f"/jobs/{job_id}")

    desk.browser.wait_for_status(lambda status: status["job"] is None)
    assert desk.site.submits() == []
