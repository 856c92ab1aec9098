"""Only what is the job's own is handed in: new, whole, from its own post or conversation."""

from typing import Any

import pytest

from broker.demo.site.stand_in import Switches
from tests.e2e.conftest import OpenDesk
from tests.support.e2e_desk import Desk

PROMPT = "A cat playing piano"
GENERATIONS = ["february", "april", "autumn"]


@pytest.mark.parametrize("without_observer", [False, True], ids=["observed", "page_alone"])
@pytest.mark.parametrize("generation", GENERATIONS)
def test_other_peoples_films_beside_ones_own_are_not_taken(
    generation: Any, without_observer: bool, open_desk: OpenDesk
) -> None:
    switches = Switches(generation=generation, feed=True)
    desk = open_desk(switches=switches, without_observer=without_observer)

    job_id = desk.post_video(PROMPT)
    desk.wait_for_job(job_id, "completed")

    [submit] = desk.site.submits()
    assert desk.film(job_id) == desk.site.films[submit.post_id]


@pytest.mark.parametrize("without_observer", [False, True], ids=["observed", "page_alone"])
def test_other_peoples_pictures_beside_ones_own_are_not_taken(
    without_observer: bool, open_desk: OpenDesk
) -> None:
    desk = open_desk(switches=Switches(feed=True), without_observer=without_observer)

    job_id, call = desk.post_image(PROMPT, n=2)
    urls = [picture["url"] for picture in call.answer()["data"]]

    fetched = [name for name, details in cdn_paths(desk) if "share" in details]
    assert fetched == []
    assert len(urls) == 2


def cdn_paths(desk: Desk) -> list[tuple[str, str]]:
    """What the extension itself fetched from the site's media hosts."""
    events = [(event[0], event[1]) for event in desk.site.events if event[0] == "cdn"]
    return [(name, str(details)) for name, details in events if details.get("fetched")]


def test_each_of_two_jobs_with_one_prompt_gets_its_own_film(desk: Desk) -> None:
    first, second = desk.post_video(PROMPT), desk.post_video(PROMPT)

    desk.wait_for_job(first, "completed")
    desk.wait_for_job(second, "completed")

    films = [desk.site.films[submit.post_id] for submit in desk.site.submits()]
    assert [desk.film(first), desk.film(second)] == films
    assert films[0] != films[1]


@pytest.mark.parametrize(
    ("film", "words"),
    [("empty", "0 bytes"), ("placeholder", ""), ("previous", "repeated_file")],
)
def test_a_file_that_is_not_the_film_is_refused_by_name(
    film: Any, words: str, open_desk: OpenDesk
) -> None:
    desk = open_desk(settings={"video_run_cap_seconds": 30})
    first = desk.post_video("The one before")
    desk.wait_for_job(first, "completed")
    desk.site.switches.film = film

    job_id = desk.post_video(PROMPT)
    job = desk.wait_for_job(job_id, "failed", 60)

    assert job["error"]["code"] == "result_rejected"
    assert words in job["attempts"][0]["detail"]
    assert len(desk.site.submits(PROMPT)) == 1
    assert desk.http.get(f"/videos/{job_id}.mp4").status_code == 404


def test_a_file_that_becomes_the_film_is_taken_at_the_second_look(open_desk: OpenDesk) -> None:
    desk = open_desk(switches=Switches(film="placeholder"))

    job_id = desk.post_video(PROMPT)
    desk.wait_for_job(job_id, lambda job: job["waiting_reason"] == "recovering")
    desk.site.switches.film = "own"

    job = desk.wait_for_job(job_id, "completed", 60)
    assert job["attempts"][0]["failure"] == "result_rejected"
    assert len(desk.site.submits()) == 1


@pytest.mark.parametrize(("refusals", "missing"), [(2, 0), (0, 2)], ids=["403", "404"])
def test_media_that_are_refused_or_not_there_yet_are_asked_for_again(
    refusals: int, missing: int, open_desk: OpenDesk
) -> None:
    desk = open_desk(switches=Switches(cdn_refusals=refusals, cdn_missing=missing))

    job_id = desk.post_video(PROMPT)
    job = desk.wait_for_job(job_id, "completed")

    assert [attempt["outcome"] for attempt in job["attempts"]] == ["completed"]
    assert len(desk.site.submits()) == 1


def test_the_page_fetches_what_the_service_worker_is_refused(open_desk: OpenDesk) -> None:
    desk = open_desk(switches=Switches(cdn_refusals=3))

    job_id = desk.post_video(PROMPT)
    desk.wait_for_job(job_id, "completed")

    [submit] = desk.site.submits()
    assert desk.film(job_id) == desk.site.films[submit.post_id]


@pytest.mark.parametrize("generation", GENERATIONS)
def test_the_question_which_of_two_films_one_prefers_is_skipped(
    generation: Any, open_desk: OpenDesk
) -> None:
    desk = open_desk(switches=Switches(generation=generation, side_by_side=True))

    job_id = desk.post_video(PROMPT)
    desk.wait_for_job(job_id, "completed")

    assert len(desk.site.submits()) == 1
    assert desk.film(job_id)


def test_a_picture_that_is_moderated_is_left_out(open_desk: OpenDesk) -> None:
    desk = open_desk(switches=Switches(moderation=True, moderated_slots=2, image_count=4))

    job_id, call = desk.post_image(PROMPT, n=4)

    assert len(call.answer()["data"]) == 2
    assert desk.job(job_id)["status"] == "completed"
