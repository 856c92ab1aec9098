"""Images are asked for, made, handed in together and fetched; and nothing paid for is lost when nobody waits."""

import base64
import hashlib
import itertools
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.support.images import png_of
from tests.support.meanwhile import Work, meanwhile
from tests.support.pictures import PNG
from tests.support.server import BrokerProcess
from tests.support.worker import ScriptedWorker

CREATE = "/v1/images/generations"
_sizes = itertools.count(100)


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[BrokerProcess]:
    folder = tmp_path_factory.mktemp("broker")
    with BrokerProcess(folder, image_wait_seconds=8, sweep_seconds=0.2) as process:
        yield process


@pytest.fixture(scope="module")
def hasty(tmp_path_factory: pytest.TempPathFactory) -> Iterator[BrokerProcess]:
    """One whose clients wait no longer than a second."""
    folder = tmp_path_factory.mktemp("hasty")
    with BrokerProcess(folder, image_wait_seconds=1, sweep_seconds=0.2) as process:
        yield process


def new_picture() -> bytes:
    """One that no job has left yet."""
    return png_of(next(_sizes), 64)


def makes(*pictures: bytes, seen: list[dict[str, Any]] | None = None) -> Work:
    def work(worker: ScriptedWorker) -> None:
        job = worker.take("image")
        if seen is not None:
            seen.append(job)
        answer = worker.upload_images(job, *pictures)
        assert answer.status_code == 200, answer.text

    return work


def made(client: httpx.Client, worker: ScriptedWorker, *pictures: bytes, **asked: Any) -> Any:
    with meanwhile(makes(*pictures), worker):
        answer = client.post(CREATE, json={"prompt": "A teapot"} | asked)
    assert answer.status_code == 200, answer.text
    return answer.json()


def test_images_come_back_as_urls_that_lead_to_them(
    client: httpx.Client, worker: ScriptedWorker
) -> None:
    pictures, seen = [new_picture() for _ in range(3)], []
    with meanwhile(makes(*pictures, seen=seen), worker):
        answer = client.post(CREATE, json={"prompt": "A teapot", "n": 3, "user": "somebody"})

    body = answer.json()
    (job,) = seen
    assert (job["job_type"], job["prompt"], job["request"]) == ("image", "A teapot", None)
    assert (job["image"], job["images"], job["options"]) == (None, [], {"n": 3})
    assert (body["id"], body["object"], body["model"]) == (
        job["job_id"],
        "images.generation",
        "grok",
    )
    assert [set(each) for each in body["data"]] == [{"url", "mime_type"}] * 3
    fetched = [client.get(each["url"]).content for each in body["data"]]
    assert fetched == pictures


def test_images_come_back_as_base64_when_that_is_asked_for(
    client: httpx.Client, worker: ScriptedWorker
) -> None:
    picture = new_picture()

    body = made(client, worker, picture, response_format="b64_json")

    encoded = base64.b64encode(picture).decode()
    assert body["data"] == [{"b64_json": encoded, "mime_type": "image/png"}]


@pytest.mark.parametrize(
    ("model", "key"),
    [
        ("gpt-image-1", "b64_json"),
        ("gpt-image-2-2026-04-21", "b64_json"),
        ("chatgpt-image-latest", "b64_json"),
        ("dall-e-3", "url"),
        ("grok-imagine-image-pro", "url"),
    ],
)
def test_a_client_that_does_not_say_how_gets_its_images_as_its_model_gives_them(
    client: httpx.Client, worker: ScriptedWorker, model: str, key: str
) -> None:
    body = made(client, worker, new_picture(), model=model)

    assert body["model"] == model
    assert set(body["data"][0]) == {key, "mime_type"}


def test_the_usage_is_whole_and_says_that_it_is_estimated(
    client: httpx.Client, worker: ScriptedWorker
) -> None:
    usage = made(client, worker, new_picture(), prompt="A teapot in the rain.")["usage"]

    assert usage == {
        "input_tokens": 6,
        "output_tokens": 0,
        "total_tokens": 6,
        "input_tokens_details": {"text_tokens": 6, "image_tokens": 0},
        "output_tokens_details": {"text_tokens": 0, "image_tokens": 0},
        "estimated": True,
    }


def test_what_is_made_beyond_the_number_asked_for_is_kept_with_the_job(
    client: httpx.Client, worker: ScriptedWorker
) -> None:
    pictures = [new_picture() for _ in range(4)]

    body = made(client, worker, *pictures, n=2)

    assert len(body["data"]) == 2
    job = client.get(f"/jobs/{body['id']}").json()
    assert [client.get(url).content for url in job["image_urls"]] == pictures
    assert job["image_size"] == sum(map(len, pictures))
    assert (job["kind"], job["video_url"], job["text"]) == ("image", None, None)


@pytest.mark.parametrize(
    ("asked", "options"),
    [
        ({}, {"n": 1}),
        ({"n": None, "size": None, "response_format": None}, {"n": 1}),
        ({"size": "auto"}, {"n": 1}),
        ({"size": "1024x1024"}, {"aspect": "1:1", "n": 1}),
        ({"size": "1792x1024"}, {"aspect": "16:9", "n": 1}),
        ({"size": "1024x1536", "n": 10}, {"aspect": "2:3", "n": 10}),
        ({"size": "1024x1024", "aspect_ratio": "9:16"}, {"aspect": "9:16", "n": 1}),
        ({"size": "1024x1024", "aspect_ratio": "auto"}, {"n": 1}),
        ({"aspect_ratio": "19.5:9"}, {"aspect": "19.5:9", "n": 1}),
        ({"size": "2048x1024"}, {"aspect": "2:1", "n": 1}),
        (
            # What asks for nothing that the page does not do by itself.
            {
                "quality": "standard",
                "resolution": "1k",
                "style": "vivid",
                "background": "opaque",
                "output_format": "webp",
                "output_compression": 100,
                "moderation": "auto",
                "input_fidelity": "low",
                "partial_images": 0,
                "frame_count": 1,
                "stream": False,
                "user": "somebody",
            },
            {"n": 1},
        ),
    ],
)
def test_what_is_asked_for_reaches_the_worker(
    client: httpx.Client, worker: ScriptedWorker, asked: dict[str, Any], options: dict[str, Any]
) -> None:
    seen: list[dict[str, Any]] = []
    with meanwhile(makes(new_picture(), seen=seen), worker):
        client.post(CREATE, json={"prompt": "A teapot", "model": "grok-imagine-image"} | asked)

    assert seen[0]["options"] == options


@pytest.mark.parametrize("path", [CREATE, "/v1/videos/generations"])
def test_several_input_images_reach_the_worker_in_their_order(
    client: httpx.Client,
    worker: ScriptedWorker,
    new_film: Callable[[], bytes],
    path: str,
) -> None:
    other = base64.b64encode(png_of(3, 3)).decode()
    images = [PNG, {"url": f"data:image/png;base64,{other}"}]
    seen: list[dict[str, Any]] = []

    def work(worker: ScriptedWorker) -> None:
        seen.append(job := worker.take("image" if path == CREATE else "video"))
        if path == CREATE:
            worker.upload_images(job, new_picture())
        else:
            worker.upload(job, new_film())

    with meanwhile(work, worker):
        assert client.post(path, json={"prompt": "Both", "image": images}).status_code == 200

    assert (seen[0]["image"], seen[0]["images"]) == (PNG, [PNG, other])


@pytest.mark.parametrize(
    ("asked", "param"),
    [
        ({"prompt": " "}, "prompt"),
        ({"n": 0}, "n"),
        ({"n": 11}, "n"),
        ({"size": "large"}, "size"),
        ({"size": "1x"}, "size"),
        ({"size": "5000x100"}, "size"),
        ({"aspect_ratio": "5:4"}, "aspect_ratio"),
        ({"response_format": "png"}, "response_format"),
        ({"model": "grok-4"}, "model"),
        ({"model": "grok-imagine-video"}, "model"),
        ({"aspect_ratio": "wide"}, "aspect_ratio"),
        ({"quality": "best"}, "quality"),
        ({"output_format": "bmp"}, "output_format"),
        ({"image": {"type": "image_url"}}, "image.url"),
        ({"image": [PNG] * 9}, "image"),
        ({"image": "not base64"}, None),
        ({"priority": 10}, "priority"),
    ],
)
def test_what_cannot_be_had_is_refused_by_name(
    client: httpx.Client, asked: dict[str, Any], param: str | None
) -> None:
    answer = client.post(CREATE, json={"prompt": "A teapot"} | asked)

    assert answer.status_code == 400
    assert answer.json()["error"]["param"] == param


@pytest.mark.parametrize(
    "asked",
    [
        {"stream": True},
        {"partial_images": 2},
        {"quality": "high"},
        {"quality": "low"},
        {"resolution": "2k"},
        {"style": "natural"},
        {"background": "transparent"},
        {"output_format": "svg"},
        {"output_compression": 50},
        {"moderation": "low"},
        {"input_fidelity": "high"},
        {"frame_count": 4},
        {"svg": {}},
        {"mask": {"url": PNG}},
        {"markup": PNG},
    ],
)
def test_what_the_page_cannot_be_asked_for_is_refused_and_not_dropped(
    client: httpx.Client, asked: dict[str, Any]
) -> None:
    answer = client.post(CREATE, json={"prompt": "A teapot"} | asked)

    error = answer.json()["error"]
    assert (answer.status_code, error["code"]) == (400, "unsupported_parameter")
    assert error["param"] == next(iter(asked))


def test_a_shape_that_no_page_offers_just_now_is_refused_before_anything_is_made(
    hasty: BrokerProcess,
) -> None:
    hello = {"kinds": ["image"], "capabilities": {"aspects": ["1:1", "3:2"], "max_images": 1}}
    with hasty.client() as client, ScriptedWorker(hasty, "square") as worker:
        worker.http.post("/extension/hello", json=hello)
        refused = [
            client.post(CREATE, json={"prompt": "A teapot"} | asked).json()["error"]
            for asked in ({"aspect_ratio": "16:9"}, {"size": "1792x1024"}, {"image": [PNG] * 2})
        ]
        offered = client.post(CREATE, json={"prompt": "A teapot", "size": "1536x1024"})

    assert [each["param"] for each in refused] == ["aspect_ratio", "size", "image"]
    assert refused[0]["message"] == "The page does not offer 16:9. It offers: 1:1, 3:2."
    assert offered.status_code == 504


def test_variations_are_told_not_to_be_there(client: httpx.Client) -> None:
    answer = client.post("/v1/images/variations", files={"image": ("1.png", new_picture())})

    assert answer.status_code == 404
    assert "/v1/images/edits" in answer.json()["error"]["message"]


def test_an_image_can_be_had_whole_in_parts_and_by_its_head(
    client: httpx.Client, worker: ScriptedWorker
) -> None:
    picture = new_picture()
    url = made(client, worker, picture)["data"][0]["url"]

    whole = client.get(url, headers={"Sec-Fetch-Site": "cross-site"})
    head = client.head(url)
    part = client.get(url, headers={"Range": "bytes=1-3"})
    again = client.get(url, headers={"If-None-Match": whole.headers["etag"]})

    assert (whole.status_code, whole.content) == (200, picture)
    assert whole.headers["content-type"] == head.headers["content-type"] == "image/png"
    assert whole.headers["etag"] == f'"{hashlib.sha256(picture).hexdigest()}"'
    assert whole.headers["x-content-type-options"] == "nosniff"
    assert "sandbox" in whole.headers["content-security-policy"]
    assert (head.content, head.headers["content-length"]) == (b"", str(len(picture)))
    assert (part.status_code, part.content) == (206, picture[1:4])
    assert (again.status_code, again.content) == (304, b"")


def test_only_the_names_of_what_is_there_lead_to_an_image(
    client: httpx.Client, worker: ScriptedWorker
) -> None:
    job_id = made(client, worker, new_picture())["id"]

    for name in (
        f"{job_id}.1.jpg",
        f"{job_id}.2.png",
        f"{job_id}.png",
        job_id,
        "job_0.1.png",
        f"..%2f{job_id}.1.png",
    ):
        assert client.get(f"/images/{name}").status_code == 404
    assert client.get(f"/images/{job_id.replace('job', 'video')}.1.png").status_code == 200
    assert client.get(f"/videos/{job_id}.mp4").status_code == 404
    assert client.get(f"/v1/videos/generations/{job_id}").status_code == 404


# The result door.


def test_images_that_will_not_do_are_refused_together_and_the_job_stays_open(
    client: httpx.Client, worker: ScriptedWorker, broker: BrokerProcess
) -> None:
    picture, seen = new_picture(), []

    def work(worker: ScriptedWorker) -> None:
        job = worker.take("image")
        for bad in (b"", b"<html>", picture[:-1], png_of(0, 1), png_of(99_999, 99_999), picture):
            answer = worker.upload_images(job, picture, bad)
            seen.append((answer.status_code, answer.json()["error"].get("gate_class")))
        assert client.get(f"/jobs/{job['job_id']}").json()["status"] == "processing"
        assert not list((broker.folder / "videos").glob(f"{job['job_id']}*"))
        assert worker.upload_images(job, picture).status_code == 200

    with meanwhile(work, worker):
        assert client.post(CREATE, json={"prompt": "A teapot"}).status_code == 200

    classes = ["empty", "not_image", "truncated", "implausible_size", "implausible_size"]
    assert seen == [(422, each) for each in [*classes, "repeated_file"]]


def test_the_same_images_twice_are_one_result_and_others_are_refused(
    client: httpx.Client, worker: ScriptedWorker
) -> None:
    first, second = new_picture(), new_picture()
    seen: list[dict[str, Any]] = []
    with meanwhile(makes(first, second, seen=seen), worker):
        client.post(CREATE, json={"prompt": "A teapot"})

    again = worker.upload_images(seen[0], first, second)
    other = worker.upload_images(seen[0], second, first)

    assert (again.status_code, again.json()["outcome"]) == (200, "repeated")
    assert (other.status_code, other.json()["error"]["code"]) == (409, "result_conflict")


def test_an_image_that_another_job_left_is_refused(
    client: httpx.Client, worker: ScriptedWorker
) -> None:
    picture = new_picture()
    made(client, worker, picture)

    def work(worker: ScriptedWorker) -> None:
        job = worker.take("image")
        answer = worker.upload_images(job, new_picture(), picture)
        assert (answer.status_code, answer.json()["error"]["gate_class"]) == (422, "repeated_file")
        worker.error(job, "nothing else", code="result_rejected")
        worker.error(worker.take("image"), "nothing else", code="result_rejected")

    with meanwhile(work, worker):
        answer = client.post(CREATE, json={"prompt": "A teapot"}, timeout=30)

    # The second look found the same, so the job has failed.
    assert (answer.status_code, answer.json()["error"]["code"]) == (502, "result_rejected")


def test_each_result_has_its_own_door(
    client: httpx.Client, worker: ScriptedWorker, new_film: Callable[[], bytes]
) -> None:
    picture, film = new_picture(), new_film()
    client.post("/v1/videos/generations", json={"prompt": "A film"})
    video = worker.take("video")

    def work(worker: ScriptedWorker) -> None:
        job = worker.take("image")
        answers = [
            worker.upload_form(job, film),
            worker.upload(job, film),
            worker.answer(job, "A teapot."),
            worker.upload_images(video, picture),
            worker.http.post(
                "/extension/complete",
                data={"job_id": job["job_id"]},
                files=[("image", ("1.png", picture)), ("video", ("1.mp4", film))],
            ),
            worker.http.post(
                "/extension/complete",
                data={"job_id": job["job_id"]},
                files=[("video", ("1.mp4", film)), ("image", ("1.png", picture))],
            ),
        ]
        assert [answer.status_code for answer in answers] == [400] * len(answers)
        assert worker.upload_images(job, *[new_picture() for _ in range(11)]).status_code == 413
        assert worker.upload_images(job, picture).status_code == 200

    with meanwhile(work, worker):
        assert client.post(CREATE, json={"prompt": "A teapot"}).status_code == 200
    assert worker.upload(video, film).status_code == 200


# Nobody waits any more.


def test_a_job_that_was_not_submitted_is_cancelled_when_the_wait_is_over(
    hasty: BrokerProcess,
) -> None:
    with hasty.client() as client, ScriptedWorker(hasty) as worker:
        assert worker.poll("image", 0) is None
        answer = client.post(CREATE, json={"prompt": "A teapot"})

        assert (answer.status_code, answer.json()["error"]["code"]) == (504, "timeout")
        assert answer.headers["x-should-retry"] == "false"
        (job,) = client.get("/jobs?kind=image&limit=1").json()["data"]
        # Its place in the queue ends at the same moment, and the broker's sweep may come first.
        assert job["error"]["code"] in ("client_wait_over", "expired")
        assert worker.poll("image", 0) is None


def test_a_client_is_told_when_there_is_nobody_who_could_make_its_images(tmp_path: Path) -> None:
    with BrokerProcess(tmp_path, image_wait_seconds=0.2) as broker, broker.client() as client:
        answer = client.post(CREATE, json={"prompt": "A teapot"})

    assert (answer.status_code, answer.json()["error"]["code"]) == (503, "no_worker")


def test_a_job_that_was_submitted_goes_on_and_its_client_is_told_where_to_look(
    hasty: BrokerProcess,
) -> None:
    picture = new_picture()
    held: list[dict[str, Any]] = []

    def submits(worker: ScriptedWorker) -> None:
        held.append(worker.take("image"))
        worker.beat(held[0], phase="submitted")

    with hasty.client() as client, ScriptedWorker(hasty) as worker:
        with meanwhile(submits, worker):
            answer = client.post(CREATE, json={"prompt": "A teapot"})
        error = answer.json()["error"]
        assert (answer.status_code, error["code"]) == (504, "timeout")
        assert error["job_id"] == held[0]["job_id"]
        assert error["job_id"] in error["message"]

        assert worker.upload_images(held[0], picture).json()["outcome"] == "published"

        job = client.get(error["result_url"]).json()
        assert job["status"] == "completed"
        assert [client.get(url).content for url in job["image_urls"]] == [picture]


def test_images_that_come_after_the_cancellation_are_kept_and_shown(
    client: httpx.Client, worker: ScriptedWorker, broker: BrokerProcess
) -> None:
    pictures = [new_picture(), new_picture()]
    held: list[dict[str, Any]] = []

    def work(worker: ScriptedWorker) -> None:
        held.append(job := worker.take("image"))
        worker.http.delete(f"/jobs/{job['job_id']}")
        answer = worker.upload_images(job, *pictures)
        assert (answer.status_code, answer.json()["outcome"]) == (202, "late")

    with meanwhile(work, worker):
        answer = client.post(CREATE, json={"prompt": "A teapot"})
    assert (answer.status_code, answer.json()["error"]["code"]) == (409, "cancelled")

    job_id = held[0]["job_id"]
    late = client.get(f"/jobs/{job_id}").json()["late_result"]
    assert [client.get(url).content for url in late["image_urls"]] == pictures
    assert late["video_url"] is None
    assert client.get(f"/jobs/{job_id}/late/3.png").status_code == 404
    assert client.get(f"/images/{job_id}.1.png").status_code == 404
    assert client.delete(f"/jobs/{job_id}").json()["outcome"] == "deleted"
    assert not list((broker.folder / "videos").glob(f"{job_id}*"))
    assert client.get(late["image_urls"][0]).status_code == 404


def test_refused_content_is_told_as_clients_know_it(
    client: httpx.Client, worker: ScriptedWorker
) -> None:
    def work(worker: ScriptedWorker) -> None:
        worker.error(worker.take("image"), "Not this.", code="moderated")

    with meanwhile(work, worker):
        answer = client.post(CREATE, json={"prompt": "A teapot"})

    assert answer.status_code == 400
    assert answer.json()["error"]["code"] == "content_policy_violation"


def test_a_limit_that_outlasts_the_wait_is_told_at_once(
    client: httpx.Client, worker: ScriptedWorker
) -> None:
    def work(worker: ScriptedWorker) -> None:
        worker.error(worker.take("image"), "Come back later.", code="rate_limited")
        worker.http.post("/extension/hello", json={"kinds": ["image"]})

    with meanwhile(work, worker):
        answer = client.post(CREATE, json={"prompt": "A teapot"})

    assert answer.status_code == 429
    assert answer.json()["error"]["code"] == "rate_limit_exceeded"
    assert answer.headers["retry-after"] == "60"
    assert int(answer.headers["x-ratelimit-reset-requests"].removesuffix("s")) > 600


# Through a kill and through time.


def test_images_that_were_put_in_place_before_a_kill_complete_their_job_at_the_next_start(
    tmp_path: Path,
) -> None:
    pictures = [new_picture(), new_picture()]
    held: list[dict[str, Any]] = []

    def submits(worker: ScriptedWorker) -> None:
        held.append(worker.take("image"))
        worker.beat(held[0], phase="uploading")

    with BrokerProcess(tmp_path, image_wait_seconds=1, sweep_seconds=0.2) as broker:
        with (
            broker.client() as client,
            ScriptedWorker(broker) as worker,
            meanwhile(submits, worker),
        ):
            client.post(CREATE, json={"prompt": "A teapot"})
        broker.kill()
        job_id = held[0]["job_id"]
        folder = tmp_path / "videos" / f"{job_id}.images"
        folder.mkdir()
        half = tmp_path / "videos" / ".incoming" / f"{'0' * 32}.part"
        half.mkdir()
        for number, picture in enumerate(pictures, 1):
            (folder / f"{number}.png").write_bytes(picture)
            (half / f"{number}.png").write_bytes(picture)
        broker.start()

        with broker.client() as client, ScriptedWorker(broker) as worker:
            job = client.get(f"/jobs/{job_id}").json()
            assert job["status"] == "completed"
            assert [client.get(url).content for url in job["image_urls"]] == pictures
            assert worker.upload_images(held[0], *pictures).json()["outcome"] == "repeated"
        assert not half.exists()


def test_old_images_are_pruned_and_say_so(tmp_path: Path) -> None:
    settings = {"max_video_age_days": 1e-6, "prune_seconds": 0.3}
    with (
        BrokerProcess(tmp_path, **settings) as broker,
        broker.client() as client,
        ScriptedWorker(broker) as worker,
    ):
        url = made(client, worker, new_picture())["data"][0]["url"]

        answer = client.get(url)
        while answer.status_code == 200:
            answer = client.get(url)

        assert (answer.status_code, answer.json()["error"]["code"]) == (410, "gone")
        jobs = client.get("/jobs?kind=image").json()["data"]
        while jobs[0]["image_urls"]:
            # The file goes first, its row is told a moment later.
            jobs = client.get("/jobs?kind=image").json()["data"]
        assert [job["status"] for job in jobs] == ["completed"]
        assert not list((tmp_path / "videos").glob("*.images"))
