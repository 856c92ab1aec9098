"""Popup and options: what a person sees and sets there is what the worker and the broker do."""

import contextlib
import http.server
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from broker.demo.site.stand_in import Switches
from tests.e2e.conftest import OpenDesk
from tests.support.e2e_desk import Desk
from tests.support.e2e_waiting import wait_until

PROMPT = "A cat playing piano"


def steps_of(desk: Desk, url: str | None = None) -> dict[str, Any]:
    """Step → whether it passed, for those that were tried."""
    answer = desk.browser.command("test_connection", **({"brokerUrl": url} if url else {}))
    return {step["name"]: step["ok"] for step in answer["steps"]} | {"all": answer["ok"]}


def own_worker(desk: Desk) -> dict[str, Any]:
    """This browser as the operator sees it, as soon as it has said hello; the broker remembers others for a while."""

    def own() -> list[dict[str, Any]]:
        worker_id = desk.browser.stored().get("workerId")
        workers = desk.http.get("/workers").json()["data"]
        return [worker for worker in workers if worker["id"] == worker_id]

    return wait_until(own, lambda found: found != [])[0]


@contextlib.contextmanager
def another_server() -> Iterator[str]:
    """Something that answers and is no broker."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = b'{"hello": "world"}'
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def test_the_connection_test_passes_where_all_is_well(desk: Desk) -> None:
    assert steps_of(desk) == {
        name: True
        for name in ("address", "permission", "reach", "identity", "hello", "page", "all")
    }


@pytest.mark.parametrize(
    ("url", "failed"),
    [
        ("http://", "address"),
        ("ftp://127.0.0.1", "address"),
        ("http://broker.example:8000", "permission"),
        ("http://127.0.0.1:9", "reach"),
    ],
)
def test_the_connection_test_names_the_step_that_failed(url: str, failed: str, desk: Desk) -> None:
    steps = steps_of(desk, url)

    assert steps.pop(failed) is False
    assert steps.pop("all") is False
    assert all(steps.values())


def test_the_connection_test_knows_a_broker_from_something_else(desk: Desk) -> None:
    with another_server() as url:
        steps = steps_of(desk, url)

    assert (steps["reach"], steps["identity"]) == (True, False)
    assert "hello" not in steps


def test_the_connection_test_says_that_nobody_is_signed_in(open_desk: OpenDesk) -> None:
    desk = open_desk(switches=Switches(signed_in=False), pack_limits={"recheck_seconds": 600})
    desk.post_video(PROMPT)
    desk.browser.wait_for_status(lambda status: status["page"]["state"] == "needs_login")

    steps = steps_of(desk)

    assert (steps["hello"], steps["page"]) == (True, False)


def test_the_options_page_shows_each_step(desk: Desk) -> None:
    options = desk.browser.options()
    options.click("#test")

    states = wait_until(
        lambda: options.eval_on_selector_all(
            "#steps li", "(all) => all.map((li) => li.dataset.state)"
        ),
        lambda states: set(states) == {"pass"},
        10,
    )
    assert len(states) == 6


def test_a_kind_that_is_switched_off_is_left_to_others(desk: Desk) -> None:
    popup = desk.browser.popup()
    popup.uncheck("#kinds input[name=video]")
    wait_until(lambda: own_worker(desk)["kinds"], lambda kinds: "video" not in kinds)

    video = desk.post_video(PROMPT)
    _, chat = desk.post_chat(PROMPT)
    chat.answer()

    assert desk.job(video)["status"] == "pending"
    popup.check("#kinds input[name=video]")
    desk.wait_for_job(video, "completed")


def test_the_person_pauses_and_resumes(desk: Desk) -> None:
    popup = desk.browser.popup()
    popup.click("#pause")
    desk.browser.wait_for_status(lambda status: status["pausedBy"] == "person")
    wait_until(lambda: own_worker(desk)["page_state"], lambda state: state == "paused")

    job_id = desk.post_video(PROMPT)
    desk.browser.kill_service_worker()
    assert desk.job(job_id)["status"] == "pending"

    popup.click("#pause")
    desk.wait_for_job(job_id, "completed")


def test_the_operator_pauses_and_resumes(desk: Desk) -> None:
    worker_id = own_worker(desk)["id"]
    desk.http.post(f"/workers/{worker_id}/directives", json={"directive": "pause"})
    desk.browser.wait_for_status(lambda status: status["pausedBy"] == "broker")

    job_id = desk.post_video(PROMPT)
    assert desk.job(job_id)["status"] == "pending"

    desk.http.post(f"/workers/{worker_id}/directives", json={"directive": "resume"})
    desk.wait_for_job(job_id, "completed")
    desk.browser.wait_for_status(lambda status: status["pausedBy"] is None)


def test_a_broker_that_was_restarted_has_forgotten_its_pause(desk: Desk) -> None:
    worker_id = own_worker(desk)["id"]
    desk.http.post(f"/workers/{worker_id}/directives", json={"directive": "pause"})
    desk.browser.wait_for_status(lambda status: status["pausedBy"] == "broker")

    desk.broker.stop()
    desk.broker.start()

    job_id = desk.post_video(PROMPT)
    desk.wait_for_job(job_id, "completed")


def test_the_operator_asks_for_a_self_test(open_desk: OpenDesk) -> None:
    desk = open_desk(switches=Switches(missing={"imagine.submit"}))
    worker_id = own_worker(desk)["id"]

    desk.http.post(f"/workers/{worker_id}/directives", json={"directive": "self_test"})

    worker = wait_until(
        lambda: own_worker(desk), lambda worker: worker["page_state"] == "selector_missing"
    )
    assert worker["page_detail"] == "imagine.submit"
    assert desk.site.submits() == []


def test_the_broker_is_told_what_the_page_offers(desk: Desk) -> None:
    desk.wait_for_job(desk.post_video(PROMPT), "completed")

    worker = wait_until(
        lambda: own_worker(desk), lambda worker: "durations" in worker["capabilities"]
    )

    assert worker["capabilities"] == {
        "operations": [],
        "durations": [6, 10, 15],
        "resolutions": ["480p", "720p"],
    }
    assert worker["quota"]


def test_the_shapes_of_a_film_are_told_once_a_job_has_seen_them(desk: Desk) -> None:
    desk.wait_for_job(desk.post_video(PROMPT, aspect_ratio="16:9"), "completed")

    worker = wait_until(
        lambda: own_worker(desk), lambda worker: "aspects" in worker["capabilities"]
    )

    assert "16:9" in worker["capabilities"]["aspects"]
    assert worker["capabilities"]["durations"] == [6, 10, 15]


def test_the_popup_shows_the_last_ten_jobs_without_their_prompts(desk: Desk) -> None:
    for number in range(11):
        _, call = desk.post_chat(f"Secret word {number}")
        call.answer()
    popup = desk.browser.popup()

    past = wait_until(lambda: popup.locator("#past details").count(), lambda count: count >= 10, 10)

    assert past == 10
    assert "Secret" not in popup.content()
    assert "Secret" not in str(desk.browser.stored())


def test_what_the_person_has_chosen_outlives_the_browser(desk: Desk) -> None:
    own_worker(desk)
    desk.browser.save_settings(name="My desk")
    before = desk.browser.stored()

    desk.browser.kill()
    desk.browser.start()

    assert desk.browser.stored()["workerId"] == before["workerId"]
    assert wait_until(lambda: own_worker(desk)["name"], lambda name: name == "My desk")
