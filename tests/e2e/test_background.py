"""Nobody looks: hidden tabs, long idleness, a broker or a machine that is away for a while, a film of half a gigabyte.

Most of it in a browser without a debugger, watched from the broker's side and the site's, because a debugger keeps a
service worker alive and a page visible.
"""

import hashlib
import os
import shutil
import signal
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from broker.demo.site.stand_in import StandIn, Switches
from tests.e2e.conftest import OpenDesk, Pair
from tests.support.browser import Memory, PlainBrowser
from tests.support.curtain import make_curtain, sights
from tests.support.e2e_desk import Clients, Desk, PlainDesk
from tests.support.e2e_waiting import Deadline, wait_until

PROMPT = "A cat playing piano"
#: Between two signs of life: a poll is held for 20 s, and a service worker that was ended is woken within 30 s.
MOST_SILENT_SECONDS = 30.0
HUGE_BYTES = 500 * 1024 * 1024
MOST_GROWTH_KIB = 100 * 1024


@pytest.fixture
def hidden_desk(chromium: str, pair: Pair, tmp_path: Path) -> Iterator[PlainDesk]:
    """A browser in which a tab stands in front of the site's."""
    with ExitStack() as stack:
        site = stack.enter_context(StandIn(Switches()))
        http = stack.enter_context(pair.broker.client())
        profile = stack.enter_context(
            tempfile.TemporaryDirectory(prefix="profile-", ignore_cleanup_errors=True)
        )
        both = f"--load-extension={pair.extension},{make_curtain(tmp_path / 'curtain')}"
        flags = [*site.chromium_flags, both]
        browser = PlainBrowser(Path(profile) / "profile", pair.extension, flags)
        desk = PlainDesk(pair.broker, site, http, browser)
        stack.callback(desk.leave)
        stack.enter_context(browser)
        yield desk


def longest_silence(worker_id: str, desk: PlainDesk, seconds: float) -> float:
    """Of a worker, as the broker has it; until a sign of life has come so many seconds from now."""
    started = time.monotonic()
    silences: list[float] = []

    def look() -> float:
        found = [
            worker["last_seen_seconds"] for worker in desk.workers() if worker["id"] == worker_id
        ]
        assert found, f"The broker has heard nothing for long: {silences}"
        silences.extend(found)
        return time.monotonic() - silences[-1] - started

    wait_until(look, lambda last_sign: last_sign >= seconds, seconds + 2 * MOST_SILENT_SECONDS)
    return max(silences)


def open_behind_the_curtain(desk: PlainDesk) -> int:
    """Opens the site's tab; returns how often it was seen until the other tab stood in front of it."""
    _, chat = desk.post_chat("Open the tab")
    chat.answer()
    wait_until(lambda: sights(desk.site), lambda seen: seen[-1] == "hidden", 20)
    return len(sights(desk.site))


def post_all_and_wait(desk: Clients) -> None:
    film = desk.post_video(PROMPT)
    desk.wait_for_job(film, "completed")
    _, pictures = desk.post_image("A red cat", n=2)
    assert len(pictures.answer()["data"]) == 2
    _, chat = desk.post_chat("Who are you?")
    chat.answer()
    assert chat.finish_reason == "stop"
    assert [submit.kind for submit in desk.site.submits()][-3:] == ["video", "image", "chat"]


def test_a_film_pictures_and_a_chat_are_made_in_a_tab_that_is_hidden_from_the_start(
    hidden_desk: PlainDesk,
) -> None:
    before = open_behind_the_curtain(hidden_desk)

    post_all_and_wait(hidden_desk)

    seen = sights(hidden_desk.site)[before:]
    assert seen.count("submit") == 3
    assert "visible" not in seen
    assert "hidden" in seen[: seen.index("submit")]


@pytest.mark.parametrize("seconds", [90, pytest.param(600, marks=pytest.mark.nightly)])
def test_after_long_idleness_behind_another_tab_jobs_are_done_as_ever(
    seconds: float, hidden_desk: PlainDesk
) -> None:
    own = hidden_desk.wait_for_worker()["id"]
    before = open_behind_the_curtain(hidden_desk)

    assert longest_silence(own, hidden_desk, seconds) < MOST_SILENT_SECONDS

    post_all_and_wait(hidden_desk)
    seen = sights(hidden_desk.site)[before:]
    assert "hidden" in seen
    assert "visible" not in seen


@pytest.mark.parametrize(
    ("state", "switches"),
    [
        ("needs_login", Switches(signed_in=False)),
        ("needs_human", Switches(cookie_banner=True)),
    ],
)
def test_a_worker_that_waits_for_its_person_goes_on_being_seen(
    state: str, switches: Switches, open_desk: OpenDesk
) -> None:
    desk = open_desk.plain(switches=switches)
    own = desk.wait_for_worker()["id"]
    desk.post_video(PROMPT)

    def waits() -> dict[str, Any]:
        return next(worker for worker in desk.workers() if worker["id"] == own)

    wait_until(waits, lambda worker: worker["page_state"] == state)
    assert longest_silence(own, desk, 10) < 10
    assert waits()["page_state"] == state
    assert desk.site.submits() == []


# The broker is away for a while.


def kill(desk: Clients) -> None:
    desk.broker.kill()


def stop(desk: Clients) -> None:
    desk.broker.stop()


by_end = pytest.mark.parametrize("end", [kill, stop], ids=lambda end: end.__name__)
End = Callable[[Clients], None]


@by_end
def test_a_broker_that_was_restarted_while_nothing_was_to_do_finds_its_worker_again(
    end: End, open_desk: OpenDesk
) -> None:
    desk = open_desk.plain()
    desk.wait_for_worker()

    end(desk)
    desk.broker.start()

    desk.wait_for_worker()
    desk.wait_for_job(desk.post_video(PROMPT), "completed")
    assert len(desk.site.submits()) == 1


@by_end
def test_a_broker_that_was_restarted_while_a_film_was_made_gets_the_film(
    end: End, open_desk: OpenDesk
) -> None:
    desk = open_desk.plain()
    job_id = begun_film(desk)

    end(desk)
    desk.site.release("progress")
    desk.broker.start()

    assert_made_once(desk, job_id)


def test_a_broker_that_did_not_answer_for_25_seconds_gets_the_film(open_desk: OpenDesk) -> None:
    desk = open_desk.plain()
    job_id = begun_film(desk)

    os.kill(desk.broker.pid, signal.SIGSTOP)
    desk.site.release("progress")
    see_no_second_submit(desk, 25)
    os.kill(desk.broker.pid, signal.SIGCONT)

    assert_made_once(desk, job_id)


# The machine sleeps.


def test_a_lid_that_was_closed_for_30_seconds_costs_nothing(open_desk: OpenDesk) -> None:
    desk = open_desk.plain()
    job_id = begun_film(desk)

    desk.browser.freeze()
    desk.site.release("progress")
    see_no_second_submit(desk, 30)
    desk.browser.thaw()

    job = assert_made_once(desk, job_id)
    assert [attempt["outcome"] for attempt in job["attempts"]] == ["completed"]


def test_a_lid_that_was_closed_for_longer_than_the_lease_leads_to_recovery(
    open_desk: OpenDesk,
) -> None:
    desk = open_desk.plain(settings={"beat_seconds": 5, "video_lease_seconds": 10})
    job_id = begun_film(desk)

    desk.browser.freeze()
    desk.site.release("progress")
    desk.wait_for_job(job_id, "pending")
    see_no_second_submit(desk, 15)
    desk.browser.thaw()

    job = assert_made_once(desk, job_id)
    assert job["attempts"][0]["outcome"] == "lost"


def begun_film(desk: Clients) -> str:
    """The job of a film that was submitted, and that the site holds at its first percent."""
    desk.site.hold("progress")
    job_id = desk.post_video(PROMPT)
    desk.site.wait_until_held("progress")
    desk.wait_for_phase(job_id, "generating")
    return job_id


def see_no_second_submit(desk: Clients, seconds: float) -> None:
    """Watches the site for so long."""
    over = Deadline(seconds)
    look = wait_until(
        lambda: (len(desk.site.submits()), over.is_over()),
        lambda seen: seen != (1, False),
        seconds + 5,
    )
    assert look == (1, True)


def assert_made_once(desk: Clients, job_id: str) -> dict[str, Any]:
    job = desk.wait_for_job(job_id, "completed", 60)
    [submit] = desk.site.submits()
    assert desk.film(job_id) == desk.site.films[submit.post_id]
    return job


# Size.


@pytest.fixture
def roomy_desk(open_desk: OpenDesk) -> Iterator[Desk]:
    """At a site whose films have 500 MiB; what the broker keeps of them is removed."""
    switches = Switches(film="huge", huge_bytes=HUGE_BYTES)
    desk = open_desk(switches=switches, settings={"max_upload_mib": 512})
    yield desk
    shutil.rmtree(desk.broker.folder / "videos")


def test_a_film_of_500_mib_arrives_whole_and_is_never_held_in_memory(roomy_desk: Desk) -> None:
    desk = roomy_desk
    desk.site.hold("media")
    job_id = desk.post_video(PROMPT)
    desk.site.wait_until_held("media")
    before = desk.browser.memory()
    samples = [before]

    def look() -> str:
        samples.append(desk.browser.memory())
        return str(desk.job(job_id)["status"])

    desk.site.release("media")
    wait_until(look, lambda status: status == "completed", 240)

    [submit] = desk.site.submits()
    assert sha256_at_broker(desk, job_id) == sha256_with_padding(desk.site.films[submit.post_id])
    assert len(samples) > 10
    peak = Memory(*map(max, zip(*samples, strict=True)))
    assert peak.extension - before.extension < MOST_GROWTH_KIB, (before, peak)
    assert peak.browser - before.browser < MOST_GROWTH_KIB, (before, peak)


def sha256_at_broker(desk: Desk, job_id: str) -> str:
    seen = hashlib.sha256()
    with desk.http.stream("GET", f"/videos/{job_id}.mp4") as answer:
        for piece in answer.iter_bytes(1 << 20):
            seen.update(piece)
    return seen.hexdigest()


def sha256_with_padding(film: bytes) -> str:
    """Of a film and the empty box that makes it huge."""
    seen = hashlib.sha256(film + HUGE_BYTES.to_bytes(4, "big") + b"free")
    empty = bytes(1 << 20)
    for start in range(8, HUGE_BYTES, len(empty)):
        seen.update(empty[: HUGE_BYTES - start])
    return seen.hexdigest()
