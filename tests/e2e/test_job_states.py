"""States of one job or one kind of job: each has its effect on the job, and the next one is done all the same."""

import base64
import re
import time
from typing import Any

import pytest

from broker.demo.site.stand_in import RateLimit, Switches
from tests.e2e.conftest import OpenDesk
from tests.support.browser import GrokBrowser
from tests.support.e2e_desk import Desk
from tests.support.pictures import png

PROMPT = "A cat playing piano"
IMAGE = base64.b64encode(png(64, 48)).decode()
ANSWER = "One word, and another one, and so on to the end of it."


def past_codes(browser: GrokBrowser) -> list[str]:
    """The codes of the last ten jobs as the popup shows them, newest first."""
    popup = browser.popup()
    codes = popup.eval_on_selector_all("#past details", "(all) => all.map((one) => one.innerText)")
    popup.close()
    return [str(code) for code in codes]


# States of one kind of job: the others go on.


@pytest.mark.parametrize("told_by", ["header", "body", "words"])
def test_a_rate_limit_is_waited_for(told_by: Any, open_desk: OpenDesk) -> None:
    limit = RateLimit(reset_seconds=120, kinds={"video"}, told_by=told_by)
    desk = open_desk(switches=Switches(rate_limit=limit))

    job_id = desk.post_video(PROMPT)
    waiting = desk.wait_for_job(job_id, lambda job: job["waiting_reason"] is not None)

    assert (waiting["status"], waiting["waiting_reason"]) == ("pending", "rate_limited")
    assert 100 < waiting["retry_at"] - time.time() < 160
    assert "rate_limited" in waiting["attempts"][0]["failure"]
    status = desk.browser.wait_for_status(lambda status: status["kinds"]["video"]["waitsUntil"])
    assert 100 < status["kinds"]["video"]["waitsUntil"] / 1000 - time.time() < 130
    assert status["kinds"]["video"]["note"].startswith("rate_limited")
    assert status["page"]["state"] == "ready"

    # Another kind is not held up.
    _, chat = desk.post_chat(PROMPT)
    chat.answer()
    assert chat.finish_reason == "stop"


def test_a_rate_limit_that_is_over_lets_the_job_through(open_desk: OpenDesk) -> None:
    limit = RateLimit(reset_seconds=1, kinds={"video"}, told_by="body")
    desk = open_desk(switches=Switches(rate_limit=limit))

    job_id = desk.post_video(PROMPT)
    desk.wait_for_job(job_id, lambda job: job["waiting_reason"] == "rate_limited")
    desk.site.switches.rate_limit = None

    desk.wait_for_job(job_id, "completed", 60)
    assert desk.browser.status()["kinds"]["video"]["waitsUntil"] is None
    assert len(desk.site.submits()) == 1


def test_a_rate_limit_without_an_end_is_given_the_packs_own(open_desk: OpenDesk) -> None:
    desk = open_desk(switches=Switches(rate_limit=RateLimit(kinds={"video"})))

    job_id = desk.post_video(PROMPT)
    waiting = desk.wait_for_job(job_id, lambda job: job["waiting_reason"] is not None)

    assert waiting["waiting_reason"] == "rate_limited"
    assert 800 < waiting["retry_at"] - time.time() < 960


def test_a_paywall_closes_one_kind_for_a_while(open_desk: OpenDesk) -> None:
    desk = open_desk(switches=Switches(paywall=True))

    job_id = desk.post_video(PROMPT)
    waiting = desk.wait_for_job(job_id, lambda job: job["waiting_reason"] is not None)

    assert (waiting["status"], waiting["waiting_reason"]) == ("pending", "paywall")
    status = desk.browser.wait_for_status(lambda status: status["kinds"]["video"]["waitsUntil"])
    assert status["kinds"]["video"]["note"].startswith("paywalled")
    assert desk.site.submits() == []

    desk.site.switches.paywall = False
    desk.wait_for_job(job_id, "completed", 60)
    assert len(desk.site.submits()) == 1


# States of one job: the next one is done.


def next_job_is_done(desk: Desk) -> None:
    job_id = desk.post_video("The next one")
    desk.wait_for_job(job_id, "completed", 60)
    assert len(desk.site.submits("The next one")) == 1


def test_pictures_that_are_all_moderated_fail(open_desk: OpenDesk) -> None:
    desk = open_desk(switches=Switches(moderation=True, moderated_slots=4, image_count=4))

    job_id, _ = desk.post_image(PROMPT, n=2)

    assert desk.wait_for_job(job_id, "failed")["error"]["code"] == "moderated"
    assert len(desk.site.submits()) == 1


def test_what_the_site_moderates_is_not_tried_again(open_desk: OpenDesk) -> None:
    desk = open_desk(switches=Switches(moderation=True))

    job_id = desk.post_video(PROMPT)
    job = desk.wait_for_job(job_id, "failed")

    assert job["error"]["code"] == "moderated"
    assert len(desk.site.submits()) == 1
    assert "moderated" in past_codes(desk.browser)[0].lower()
    desk.site.switches.moderation = False
    next_job_is_done(desk)


def test_a_moderated_chat_says_so_to_its_client(open_desk: OpenDesk) -> None:
    desk = open_desk(switches=Switches(moderation=True))

    _, call = desk.post_chat(PROMPT, stream=False)
    call.answer()

    assert call.finish_reason == "content_filter"
    assert len(desk.site.submits()) == 1


def test_an_option_that_does_not_stay_set_is_not_submitted(open_desk: OpenDesk) -> None:
    desk = open_desk(switches=Switches(radios_ignore_clicks=True))

    job_id = desk.post_video(PROMPT)
    job = desk.wait_for_job(job_id, "failed")

    assert job["error"]["code"] == "option_not_set"
    assert "mode" in job["error"]["message"]
    assert desk.site.submits() == []
    assert re.search("option", past_codes(desk.browser)[0], re.IGNORECASE)
    desk.site.switches.radios_ignore_clicks = False
    next_job_is_done(desk)


def test_a_mode_that_attaching_flips_back_is_set_again(open_desk: OpenDesk) -> None:
    desk = open_desk(switches=Switches(flip_to_image=True))

    job_id = desk.post_video(PROMPT, image=IMAGE)
    desk.wait_for_job(job_id, "completed")

    [submit] = desk.site.submits()
    assert (submit.kind, submit.options["mode"]) == ("video", "Video")


def test_an_option_that_the_page_does_not_offer_is_refused_by_name(desk: Desk) -> None:
    job_id = desk.post_video(PROMPT, duration=7)
    job = desk.wait_for_job(job_id, "failed")

    assert job["error"]["code"] == "option_refused"
    assert "duration 7" in job["error"]["message"]
    assert "10s" in job["error"]["message"]
    assert desk.site.submits() == []


def test_a_film_that_stalls_is_looked_for_until_the_run_cap(open_desk: OpenDesk) -> None:
    switches = Switches(stalled=True)
    desk = open_desk(switches=switches, settings={"video_run_cap_seconds": 25})

    job_id = desk.post_video(PROMPT)
    job = desk.wait_for_job(job_id, "failed", 60)

    assert job["error"]["code"] in ("no_progress", "result_lost")
    assert job["attempts"][0]["failure"] == "no_progress"
    assert len(desk.site.submits()) == 1
    desk.site.switches.stalled = False
    next_job_is_done(desk)


def test_a_film_that_stalls_and_goes_on_arrives(open_desk: OpenDesk) -> None:
    desk = open_desk(pack_limits={"stalled_seconds": 2})
    desk.site.hold("progress")

    job_id = desk.post_video(PROMPT)
    desk.wait_for_job(job_id, lambda job: job["waiting_reason"] == "recovering")
    desk.site.release("progress")

    job = desk.wait_for_job(job_id, "completed", 60)
    assert job["attempts"][0]["failure"] == "no_progress"
    assert len(desk.site.submits()) == 1


@pytest.mark.parametrize("transport", ["stream", "socket"])
def test_an_answer_that_is_cut_off_is_incomplete_and_keeps_its_part(
    transport: Any, open_desk: OpenDesk
) -> None:
    desk = open_desk(switches=Switches(cut_off=True, chat_transport=transport, answer=ANSWER))

    job_id, call = desk.post_chat(PROMPT)
    job = desk.wait_for_job(job_id, "failed")

    assert job["error"]["code"] == "incomplete"
    assert ANSWER.startswith(call.text)
    assert call.text
    assert len(desk.site.submits()) == 1
    desk.site.switches.cut_off = False
    next_job_is_done(desk)


@pytest.mark.parametrize("language", ["ko", "tr", "zh", "es"])
def test_a_page_in_another_language_is_worked_all_the_same(
    language: Any, open_desk: OpenDesk
) -> None:
    desk = open_desk(switches=Switches(language=language, answer=ANSWER))

    video = desk.post_video(PROMPT, duration=10, aspect_ratio="16:9", resolution="720p")
    _, chat = desk.post_chat(PROMPT)
    chat.answer()
    desk.wait_for_job(video, "completed")

    assert chat.text == ANSWER
    submit = next(submit for submit in desk.site.submits() if submit.kind == "video")
    assert submit.options["duration"].startswith("10")
    assert submit.options["aspect"] == "16:9"
