"""What an operator does: look at jobs, delete them, remove logs, tell workers what to do."""

from collections.abc import Callable
from pathlib import Path

import httpx
import pytest

from tests.support.server import BrokerProcess
from tests.support.worker import ScriptedWorker


def create(client: httpx.Client, count: int) -> list[str]:
    answers = [
        client.post("/v1/videos/generations", json={"prompt": f"job {n}"}) for n in range(count)
    ]
    return [answer.json()["id"] for answer in answers]


@pytest.fixture(autouse=True)
def _clean(client: httpx.Client) -> None:
    for job in client.get("/jobs", params={"status": "processing"}).json()["data"]:
        client.delete(f"/jobs/{job['id']}")
    client.delete("/jobs")


def test_pages_of_jobs_go_from_new_to_old(client: httpx.Client) -> None:
    ids = create(client, 5)

    seen, cursor = [], None
    while True:
        params = {"limit": 2, "status": "pending"} | ({"cursor": cursor} if cursor else {})
        page = client.get("/jobs", params=params).json()
        seen += [job["id"] for job in page["data"]]
        cursor = page["next_cursor"]
        if not page["has_more"]:
            break

    assert seen == ids[::-1]
    assert cursor is None


def test_a_list_shows_no_image_and_no_whole_prompt(client: httpx.Client) -> None:
    client.post("/v1/videos/generations", json={"prompt": "x" * 5000})

    (job,) = client.get("/jobs").json()["data"]

    assert len(job["prompt_preview"]) == 200
    assert "image" not in job


def test_filters_choose_by_state_and_kind(client: httpx.Client, worker: ScriptedWorker) -> None:
    create(client, 2)
    held = worker.take()

    def ids(**params: str) -> list[str]:
        return [job["id"] for job in client.get("/jobs", params=params).json()["data"]]

    assert ids(status="processing") == [held["job_id"]]
    assert len(ids(status="pending")) == 1
    assert len(ids(kind="video")) == 2
    assert ids(kind="chat") == []


def test_deleting_jobs_spares_those_that_a_worker_holds(
    client: httpx.Client, worker: ScriptedWorker, new_film: Callable[[], bytes]
) -> None:
    create(client, 3)
    done = worker.take()
    worker.upload(done, new_film())
    held = worker.take()

    counted = client.delete("/jobs", params={"dry_run": True}).json()
    only_done = client.delete("/jobs", params={"status": "completed"}).json()
    rest = client.delete("/jobs").json()

    assert counted == {"deleted": 2, "dry_run": True}
    assert only_done == {"deleted": 1, "dry_run": False}
    assert rest == {"deleted": 1, "dry_run": False}
    assert client.get(f"/videos/{done['job_id']}.mp4").status_code == 404
    assert [job["id"] for job in client.get("/jobs").json()["data"]] == [held["job_id"]]
    assert worker.upload(held, new_film()).status_code == 200


def test_deleting_one_job_cancels_it_first_and_then_removes_it(
    client: httpx.Client,
    broker: BrokerProcess,
    worker: ScriptedWorker,
    new_film: Callable[[], bytes],
) -> None:
    (first,) = create(client, 1)
    worker.upload(worker.take(), new_film())
    film = broker.folder / "videos" / f"{first}.mp4"
    assert film.exists()

    (second,) = create(client, 1)
    outcomes = [client.delete(f"/jobs/{job}").json()["outcome"] for job in (first, second, second)]

    assert outcomes == ["deleted", "cancelled", "deleted"]
    assert not film.exists()
    assert client.delete(f"/jobs/{second}").status_code == 404


def test_attempts_tell_what_happened(
    client: httpx.Client, worker: ScriptedWorker, new_film: Callable[[], bytes]
) -> None:
    (job_id,) = create(client, 1)
    worker.release(worker.take())
    worker.upload(worker.take(), new_film())

    attempts = client.get(f"/jobs/{job_id}").json()["attempts"]

    assert [(a["number"], a["outcome"]) for a in attempts] == [(1, "released"), (2, "completed")]
    assert attempts[0]["detail"] == "closing"


def test_a_worker_hears_what_it_is_told_on_its_next_call(
    client: httpx.Client, worker: ScriptedWorker, new_film: Callable[[], bytes]
) -> None:
    welcome = worker.http.post(
        "/extension/hello", json={"name": "Ann's Chrome", "kinds": ["video"], "version": "1.2"}
    ).json()
    create(client, 1)
    job = worker.take()
    path = f"/workers/{welcome['worker_id']}/directives"

    told = client.post(path, json={"directive": "pause"})

    assert told.json() == {"worker_id": "tester", "directive": "pause"}
    assert worker.beat(job).json()["directives"] == ["pause"]
    assert worker.beat(job).json()["directives"] == []
    create(client, 1)
    assert worker.poll(wait=0) is None
    client.post(path, json={"directive": "resume"})
    resumed = worker.take()
    assert resumed["directives"] == ["resume"]
    assert client.post(path, json={"directive": "dance"}).status_code == 400
    assert client.post("/workers/nobody/directives", json={"directive": "pause"}).status_code == 404
    for held in (job, resumed):
        worker.upload(held, new_film())


def test_a_directive_given_between_two_polls_is_told_by_the_next_at_once(
    client: httpx.Client, worker: ScriptedWorker
) -> None:
    worker.http.post("/extension/hello", json={"kinds": ["video"]})
    client.post("/workers/tester/directives", json={"directive": "pause"})

    told = worker.http.get("/extension/poll", params={"mode": "video", "wait": 20}, timeout=5)

    assert (told.status_code, told.headers["X-Broker-Directives"]) == (204, "pause")
    client.post("/workers/tester/directives", json={"directive": "resume"})


def test_a_worker_in_trouble_is_set_aside_until_it_says_hello(
    client: httpx.Client, worker: ScriptedWorker, new_film: Callable[[], bytes]
) -> None:
    (job_id,) = create(client, 1)
    worker.error(worker.take(), "nobody is signed in", code="not_logged_in")

    refused = worker.http.get("/extension/poll?mode=video&wait=0")
    shown = client.get(f"/jobs/{job_id}").json()
    (seen,) = [w for w in client.get("/").json()["workers"] if w["id"] == "tester"]
    worker.http.post("/extension/hello", json={"kinds": ["video"]})
    job = worker.take()

    assert refused.status_code == 204
    assert refused.headers["x-broker-skipped"] == "video=not_logged_in"
    assert seen["aside"] == {"video": "not_logged_in"}
    assert (shown["status"], shown["waiting_reason"]) == ("pending", "not_logged_in")
    assert job["job_id"] == job_id
    worker.upload(job, new_film())


def test_hello_tells_which_leases_are_over(
    client: httpx.Client, worker: ScriptedWorker, new_film: Callable[[], bytes]
) -> None:
    create(client, 2)
    kept, lost = worker.take(), worker.take()
    client.delete(f"/jobs/{lost['job_id']}")

    held = [{name: job[name] for name in ("job_id", "lease_token")} for job in (kept, lost)]
    welcome = worker.http.post("/extension/hello", json={"kinds": ["video"], "held": held}).json()

    assert welcome["lost"] == [lost["job_id"]]
    worker.upload(kept, new_film())


def test_a_browser_that_comes_back_with_nothing_gets_its_job_to_recover_at_once(
    client: httpx.Client, worker: ScriptedWorker, new_film: Callable[[], bytes]
) -> None:
    create(client, 1)
    lost = worker.take()
    worker.beat(lost, phase="submitted", evidence={"post_id": "p"})
    hello = {"kinds": ["video"]}

    worker.http.post("/extension/hello", json=hello)
    assert worker.beat(lost).status_code == 200, "nothing was said of leases"
    welcome = worker.http.post("/extension/hello", json=hello | {"held": []}).json()
    again = worker.take()

    assert welcome["lost"] == []
    assert worker.beat(lost).json()["error"]["code"] == "lease_lost"
    assert (again["job_id"], again["action"]) == (lost["job_id"], "recover")
    assert again["evidence"] == {"post_id": "p"}
    assert worker.upload(again, new_film()).status_code == 200


def test_what_a_worker_says_of_itself_is_shown(
    client: httpx.Client, worker: ScriptedWorker
) -> None:
    said = {
        "name": "Ann's Chrome",
        "kinds": ["video", "image"],
        "page_state": "selector_missing",
        "page_detail": "imagine.submit was not found.",
        "pack_version": "2026.1",
        "capabilities": {"durations": [6, 10]},
        "quota": {"videos_left": 3},
    }
    worker.http.post("/extension/hello", json=said)

    (shown,) = [each for each in client.get("/workers").json()["data"] if each["id"] == "tester"]

    assert {name: shown[name] for name in said} == said
    assert set(shown["aside"].values()) == {"selector_missing"}
    for path in ("/", "/health"):
        workers = client.get(path).json()["workers"]
        assert [each["page_detail"] for each in workers if each["id"] == "tester"]
    for field, size in (("page_detail", 301), ("pack_version", 41)):
        answer = worker.http.post("/extension/hello", json={field: "x" * size})
        assert (answer.status_code, answer.json()["error"]["param"]) == (400, field)
    worker.http.post("/extension/hello", json={"kinds": ["video"]})


def test_jobs_are_counted_by_kind_too(client: httpx.Client) -> None:
    create(client, 2)

    health = client.get("/health", headers={"Accept": "text/html"}).json()

    assert health["jobs_by_kind"]["video"]["pending"] == health["jobs"]["pending"] == 2
    assert set(health["jobs_by_kind"]) == {"video", "image", "chat"}


def test_the_page_pack_is_handed_out_and_a_worker_told_to_fetch_it(tmp_path: Path) -> None:
    pack = tmp_path / "pack.json"
    with BrokerProcess(tmp_path, pack_file=pack) as broker, ScriptedWorker(broker) as worker:
        hello, get = {"kinds": ["video"]}, worker.http.get
        assert get("/extension/pack").json()["error"]["code"] == "not_found"
        assert worker.http.post("/extension/hello", json=hello).json()["pack_version"] is None

        pack.write_text('{"version": "7", "rungs": []}')
        first = get("/extension/pack")
        assert (first.text, first.headers["cache-control"]) == (pack.read_text(), "no-store")
        assert first.headers["content-type"] == "application/json"
        tag = {"If-None-Match": first.headers["etag"]}
        assert get("/extension/pack", headers=tag).status_code == 304
        assert worker.http.post("/extension/hello", json=hello).json()["pack_version"] == "7"

        pack.write_text('{"version": "8", "rungs": ["more"]}')
        assert get("/extension/pack", headers=tag).json()["version"] == "8"
        worker.http.post("/workers/tester/directives", json={"directive": "update_pack"})
        told = worker.http.post("/extension/hello", json=hello).json()
        assert (told["pack_version"], told["directives"]) == ("8", ["update_pack"])

        pack.write_text('{"version": 8}')
        broken = get("/extension/pack")
        assert (broken.status_code, broken.json()["error"]["code"]) == (503, "pack_unusable")
        assert worker.http.post("/extension/hello", json=hello).json()["pack_version"] is None


def test_logs_are_removed_and_the_broker_writes_on(
    client: httpx.Client, broker: BrokerProcess
) -> None:
    create(client, 1)
    broker.stop()
    broker.start()
    assert list((broker.folder / "logs").glob("requests_*.jsonl"))

    removed = client.delete("/api/logs").json()["removed_files"]

    assert removed >= 1
    create(client, 1)
    broker.stop()
    assert list((broker.folder / "logs").glob("requests_*.jsonl"))
    broker.start()


def test_a_browser_gets_the_dashboard_and_a_program_the_facts(client: httpx.Client) -> None:
    page = client.get("/", headers={"Accept": "text/html"})
    facts = client.get("/").json()

    assert page.headers["content-type"].startswith("text/html")
    assert "script-src 'self'" in page.headers["content-security-policy"]
    assert client.get("/dashboard/app.js").headers["content-type"].startswith("text/javascript")
    assert client.head("/dashboard/app.js").status_code == 200
    assert client.get("/dashboard/%2e%2e/%2e%2e/app.py").status_code == 404
    assert facts["status"] == "ok"
    assert facts["version"]


def test_an_old_film_is_pruned_without_any_request(
    tmp_path: Path, new_film: Callable[[], bytes]
) -> None:
    with (
        BrokerProcess(tmp_path, max_video_age_days=0.00001, prune_seconds=0.3) as broker,
        broker.client() as client,
        ScriptedWorker(broker) as worker,
    ):
        (job_id,) = create(client, 1)
        worker.upload(worker.take(), new_film())
        film = tmp_path / "videos" / f"{job_id}.mp4"
        while film.exists():
            worker.poll("chat", wait=0.2)

        gone = client.get(f"/videos/{job_id}.mp4")
        job = client.get(f"/v1/videos/generations/{job_id}").json()

    assert (gone.status_code, gone.json()["error"]["code"]) == (410, "gone")
    assert job["status"] == "completed"
