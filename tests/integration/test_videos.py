"""A video job from create to download, with everything that can go wrong on the way."""

import hashlib
from collections.abc import Callable

import httpx
import pytest

from tests.support.pictures import PNG
from tests.support.server import BrokerProcess
from tests.support.worker import ScriptedWorker

NewFilm = Callable[[], bytes]


def create(client: httpx.Client, prompt: str = "a cat", **fields: object) -> dict[str, object]:
    answer = client.post("/v1/videos/generations", json={"prompt": prompt, **fields})
    assert answer.status_code == 200, answer.text
    job: dict[str, object] = answer.json()
    return job


def status(client: httpx.Client, job_id: object) -> dict[str, object]:
    answer = client.get(f"/v1/videos/generations/{job_id}")
    assert answer.status_code == 200
    job: dict[str, object] = answer.json()
    return job


def code_of(answer: httpx.Response) -> str:
    body = answer.json()
    assert set(body["error"]) >= {"message", "type", "param", "code"}
    assert body["detail"] == body["error"]["message"]
    code: str = body["error"]["code"]
    return code


@pytest.fixture
def finished(client: httpx.Client, worker: ScriptedWorker, new_film: NewFilm) -> tuple[str, bytes]:
    job = create(client)
    film = new_film()
    assert worker.upload(worker.take(), film).status_code == 200
    return str(job["id"]), film


def test_a_video_goes_from_prompt_to_film(
    client: httpx.Client, worker: ScriptedWorker, new_film: NewFilm
) -> None:
    created = create(client, "a sunset", duration=6, aspect_ratio="16:9")
    job = worker.take()
    assert (job["job_id"], job["prompt"], job["action"]) == (created["id"], "a sunset", "submit")
    assert job["options"] == {"duration_seconds": 6, "aspect": "16:9"}

    worker.beat(job, phase="submitted", evidence={"post_id": "p1"})
    worker.beat(job, phase="generating", progress=40)
    running = status(client, created["id"])
    film = new_film()
    done = worker.upload(job, film, **{"X-Content-SHA256": hashlib.sha256(film).hexdigest()})

    assert (running["status"], running["progress"], running["phase"]) == (
        "processing",
        40,
        "generating",
    )
    assert done.json()["outcome"] == "published"
    ended = status(client, created["id"])
    assert (ended["status"], ended["progress"], ended["error"]) == ("completed", 100, None)
    assert client.get(str(ended["video_url"])).content == film


def test_every_spelling_of_an_id_names_the_job(client: httpx.Client) -> None:
    created = create(client)

    for spelling in (created["id"], created["request_id"], created["video_id"]):
        assert status(client, spelling)["id"] == created["id"]
    client.delete(f"/jobs/{created['id']}")


@pytest.mark.parametrize(
    "job_id", ["job_123abc", "nope", "job_" + "0" * 32, "..%5c..%5cetc", "%00"]
)
def test_an_unknown_job_is_a_404_in_the_seeds_words(client: httpx.Client, job_id: str) -> None:
    answer = client.get(f"/v1/videos/generations/{job_id}")

    assert answer.status_code == 404
    assert answer.json()["detail"] == "Job not found"
    assert code_of(answer) == "not_found"


def test_the_singular_path_answers_with_a_hint(client: httpx.Client) -> None:
    answer = client.post("/v1/video/generations", json={"prompt": "x"})

    assert answer.status_code == 404
    assert "/v1/videos/generations" in answer.json()["detail"]


def test_an_image_reaches_the_worker_as_base64(
    client: httpx.Client, worker: ScriptedWorker
) -> None:
    for image in (PNG, f"data:image/png;base64,{PNG}", {"url": f"data:image/png;base64,{PNG}"}):
        created = create(client, image=image)

        assert worker.take()["image"] == PNG
        client.delete(f"/jobs/{created['id']}")


def test_a_film_can_be_had_whole_in_parts_and_by_its_head(
    client: httpx.Client, finished: tuple[str, bytes]
) -> None:
    job_id, film = finished
    path = f"/videos/{job_id}.mp4"

    whole = client.get(path)
    assert whole.content == film
    assert whole.headers["content-type"] == "video/mp4"
    assert whole.headers["accept-ranges"] == "bytes"
    assert whole.headers["etag"] == f'"{hashlib.sha256(film).hexdigest()}"'
    assert whole.headers["x-content-type-options"] == "nosniff"
    assert f'filename="{job_id}.mp4"' in whole.headers["content-disposition"]

    head = client.head(path)
    assert (head.status_code, head.content) == (200, b"")
    assert head.headers["content-length"] == str(len(film))

    for asked, start, stop in (
        ("bytes=0-99", 0, 100),
        ("bytes=100-", 100, len(film)),
        ("bytes=-50", len(film) - 50, len(film)),
        (f"bytes=10-{10 * len(film)}", 10, len(film)),
    ):
        part = client.get(path, headers={"Range": asked})
        assert part.status_code == 206
        assert part.content == film[start:stop]
        assert part.headers["content-range"] == f"bytes {start}-{stop - 1}/{len(film)}"

    beyond = client.get(path, headers={"Range": f"bytes={len(film)}-"})
    assert beyond.status_code == 416
    assert beyond.headers["content-range"] == f"bytes */{len(film)}"
    assert client.get(path, headers={"Range": "lines=1-2"}).status_code == 200
    assert client.get(path, headers={"If-None-Match": whole.headers["etag"]}).status_code == 304
    other = {"Range": "bytes=0-9", "If-Range": '"other"'}
    assert client.get(path, headers=other).status_code == 200


def test_a_film_is_refused_by_name_until_it_is_there(
    client: httpx.Client, worker: ScriptedWorker
) -> None:
    created = create(client)

    early = client.get(f"/videos/{created['id']}.mp4")
    client.delete(f"/jobs/{created['id']}")
    never = client.get(f"/videos/{created['id']}.mp4")

    assert (early.status_code, code_of(early)) == (409, "video_not_ready")
    assert (never.status_code, code_of(never)) == (404, "not_found")
    assert client.get("/videos/job_123abc.mp4").status_code == 404
    assert client.get(f"/videos/{created['id']}.webm").status_code == 404


@pytest.mark.parametrize(
    ("content", "gate_class"),
    [
        (b"", "empty"),
        (b"<html>not a film</html>" * 100, "not_mp4"),
        (b"PK\x03\x04" + bytes(5000), "not_mp4"),
    ],
)
def test_junk_is_refused_by_its_class_and_the_job_stays_open(
    client: httpx.Client,
    worker: ScriptedWorker,
    new_film: NewFilm,
    content: bytes,
    gate_class: str,
) -> None:
    created = create(client)
    job = worker.take()

    refused = worker.upload(job, content)

    assert refused.status_code == 422
    assert refused.json()["error"]["gate_class"] == gate_class
    assert status(client, created["id"])["status"] == "processing"
    assert worker.upload(job, new_film()).status_code == 200


def test_a_truncated_film_is_refused_and_the_job_stays_open(
    client: httpx.Client, worker: ScriptedWorker, base_film: bytes, new_film: NewFilm
) -> None:
    created = create(client)
    job = worker.take()

    refused = worker.upload(job, base_film[: len(base_film) // 2])

    assert (refused.status_code, code_of(refused)) == (422, "result_rejected")
    assert status(client, created["id"])["status"] == "processing"
    assert worker.upload_form(job, new_film()).status_code == 200


def test_a_film_with_another_digest_than_announced_is_refused(
    client: httpx.Client, worker: ScriptedWorker, new_film: NewFilm
) -> None:
    create(client)
    job = worker.take()

    refused = worker.upload(job, new_film(), **{"X-Content-SHA256": "0" * 64})

    assert refused.json()["error"]["gate_class"] == "damaged"
    assert worker.upload(job, new_film()).status_code == 200


def test_another_jobs_film_is_refused(
    client: httpx.Client,
    worker: ScriptedWorker,
    finished: tuple[str, bytes],
    new_film: NewFilm,
) -> None:
    _, film = finished
    create(client)
    job = worker.take()

    refused = worker.upload(job, film)

    assert refused.json()["error"]["gate_class"] == "repeated_file"
    assert worker.upload(job, new_film()).status_code == 200


def test_the_same_film_twice_is_one_result_and_another_is_refused(
    client: httpx.Client, worker: ScriptedWorker, new_film: NewFilm
) -> None:
    created = create(client)
    job = worker.take()
    film = new_film()

    answers = [worker.upload(job, film), worker.upload(job, film), worker.upload(job, new_film())]

    assert [answer.status_code for answer in answers] == [200, 200, 409]
    assert [answer.json().get("outcome") for answer in answers[:2]] == ["published", "repeated"]
    assert code_of(answers[2]) == "result_conflict"
    assert client.get(f"/videos/{created['id']}.mp4").content == film


def test_a_film_that_comes_after_the_cancellation_is_kept_and_shown(
    client: httpx.Client, worker: ScriptedWorker, new_film: NewFilm
) -> None:
    created = create(client)
    job = worker.take()
    assert client.delete(f"/jobs/{created['id']}").json()["outcome"] == "cancelled"
    assert worker.beat(job).json()["cancel"] is True
    film = new_film()

    late = worker.upload(job, film)

    assert (late.status_code, late.json()["outcome"]) == (202, "late")
    seed = status(client, created["id"])
    assert (seed["status"], seed["error_code"]) == ("failed", "cancelled")
    shown = client.get(f"/jobs/{created['id']}").json()
    assert shown["status"] == "cancelled"
    assert client.get(shown["late_result"]["video_url"]).content == film
    assert client.get(f"/videos/{created['id']}.mp4").status_code == 404


def test_a_stale_lease_can_do_nothing(
    client: httpx.Client, worker: ScriptedWorker, new_film: NewFilm
) -> None:
    created = create(client)
    job = worker.take()
    stranger = {**job, "lease_token": "lt_" + "0" * 32}
    nobody = {**job, "lease_token": None}

    answers = [
        worker.beat(stranger),
        worker.error(stranger, "x"),
        worker.release(stranger),
        worker.upload(stranger, new_film()),
    ]

    assert [code_of(answer) for answer in answers] == ["lease_lost"] * 4
    assert [answer.status_code for answer in answers] == [409] * 4
    assert worker.beat(nobody).status_code == 400
    assert status(client, created["id"])["status"] == "processing"
    assert worker.upload(job, new_film()).status_code == 200


def test_a_released_job_goes_to_the_next_worker_uncounted(
    client: httpx.Client, worker: ScriptedWorker, broker: BrokerProcess, new_film: NewFilm
) -> None:
    created = create(client)
    first = worker.take()
    assert worker.release(first).json()["outcome"] == "pending"

    with ScriptedWorker(broker, "another") as another:
        second = another.take()
        another.beat(second, phase="submitted")
        refused = another.release(second)
        assert another.upload(second, new_film()).status_code == 200

    assert second["job_id"] == created["id"]
    assert second["attempt"] == 2
    assert code_of(refused) == "already_submitted"


def test_a_failed_job_is_tried_again_as_a_new_one(
    client: httpx.Client, worker: ScriptedWorker, new_film: NewFilm
) -> None:
    created = create(client, "once more", image=PNG)
    worker.error(worker.take(), "refused", code="moderated")

    again = client.post(f"/jobs/{created['id']}/retry").json()

    assert again["retry_of"] == created["id"]
    job = worker.take()
    assert (job["job_id"], job["prompt"], job["image"]) == (again["id"], "once more", PNG)
    assert worker.upload(job, new_film()).status_code == 200
    assert client.post(f"/jobs/{again['id']}/retry").status_code == 400


def test_a_rate_limit_is_a_wait_and_says_until_when(
    client: httpx.Client, worker: ScriptedWorker
) -> None:
    created = create(client)
    job = worker.take()
    retry_at = int(client.get(f"/jobs/{created['id']}").json()["created"]) + 600

    decided = worker.error(job, "limit", code="rate_limited", retry_at=retry_at)

    assert decided.json()["outcome"] == "pending"
    told = status(client, created["id"])
    assert (told["status"], told["waiting_reason"]) == ("pending", "rate_limited")
    assert retry_at <= int(str(told["retry_at"])) <= retry_at + 31
    assert worker.poll(wait=0) is None
    client.delete(f"/jobs/{created['id']}")
    worker.http.post("/extension/hello", json={"kinds": ["video"]})


def test_a_job_whose_image_was_lost_fails_instead_of_being_handed_out(
    broker: BrokerProcess, client: httpx.Client, worker: ScriptedWorker
) -> None:
    job_id = create(client, image=PNG)["id"]
    for kept in (broker.folder / "videos").rglob(f"*{job_id}*"):
        kept.unlink()

    assert worker.poll("video", wait=0) is None

    lost = status(client, job_id)
    assert (lost["status"], lost["error_code"]) == ("failed", "bad_input")
