"""Videos as the clients of three APIs make, follow and fetch them; the requests are those that their SDKs send."""

import base64
import hashlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.support.meanwhile import meanwhile
from tests.support.pictures import PNG
from tests.support.server import BrokerProcess
from tests.support.worker import ScriptedWorker

NewFilm = Callable[[], bytes]
Form = list[tuple[str, Any]]

PICTURE = base64.b64decode(PNG)
DATA_URL = f"data:image/png;base64,{PNG}"
FIELDS = {
    *("id", "object", "model", "status", "progress", "created_at", "completed_at", "expires_at"),
    *("prompt", "size", "seconds", "remixed_from_video_id", "error"),
}
PAGE = {"durations": ["6s", "10s"], "resolutions": ["480p", "720p"], "operations": ["remix"]}


def posted(client: httpx.Client, path: str, **body: Any) -> dict[str, Any]:
    answer = client.post(path, json={"prompt": "a cat", **body})
    assert answer.status_code == 200, answer.text
    told: dict[str, Any] = answer.json()
    return told


def form(client: httpx.Client, path: str, *parts: tuple[str, Any]) -> httpx.Response:
    """A form as an SDK sends it: a part of bytes is a file."""
    files: Form = [
        (name, ("a.png", value, "image/png") if isinstance(value, bytes) else (None, value))
        for name, value in parts
    ]
    return client.post(path, files=files)


def refusal(answer: httpx.Response) -> tuple[int, str, str | None]:
    error = answer.json()["error"]
    assert answer.json()["detail"] == error["message"]
    return answer.status_code, error["code"], error["param"]


def film_url(video: dict[str, Any]) -> str:
    return f"http://localhost:8000/videos/{video['id']}.mp4"


@pytest.fixture
def worker(broker: BrokerProcess) -> Iterator[ScriptedWorker]:
    """One whose page is not known; what a test has left waiting is cleared away."""
    with ScriptedWorker(broker) as worker, broker.client() as client:
        worker.http.post("/extension/hello", json={"kinds": ["video"], "capabilities": {}})
        yield worker
        for job in client.get("/jobs").json()["data"]:
            if job["status"] in ("pending", "processing"):
                client.delete(f"/jobs/{job['id']}")


@pytest.fixture
def page(worker: ScriptedWorker) -> ScriptedWorker:
    """A worker that tells what its page offers."""
    worker.http.post("/extension/hello", json={"kinds": ["video"], "capabilities": PAGE})
    return worker


@pytest.fixture
def done(client: httpx.Client, worker: ScriptedWorker, new_film: NewFilm) -> dict[str, Any]:
    """A video that is there, as OpenAI's clients know it."""
    video = posted(client, "/v1/videos")
    job = worker.take()
    worker.beat(job, phase="submitted", evidence={"post_id": "p1"})
    assert worker.upload(job, new_film()).status_code == 200
    return video


# Which dialect.


def test_the_id_chooses_the_dialect_and_every_spelling_is_taken_on_every_path(
    client: httpx.Client, done: dict[str, Any]
) -> None:
    video_id, request_id = done["id"], done["request_id"]
    job_id = video_id.replace("video_", "job_")

    told = {
        spelling: client.get(f"/v1/videos/{spelling}")
        for spelling in (video_id, request_id, job_id)
    }
    assert {answer.status_code for answer in told.values()} == {200}
    assert set(told[video_id].json()) == {*FIELDS, "request_id"}
    assert told[request_id].json()["status"] == "done"
    assert told[job_id].json()["object"] == "videos.generation"
    for spelling in told:
        seed = client.get(f"/v1/videos/generations/{spelling}").json()
        assert (seed["object"], seed["id"]) == ("videos.generation", job_id)
        assert client.get(f"/v1/videos/{spelling}/content").headers["content-type"] == "video/mp4"
        assert posted(client, f"/v1/videos/{spelling}/remix")["remixed_from_video_id"] == video_id
        assert posted(client, "/v1/videos/edits", video={"id": spelling})["status"] == "queued"


@pytest.mark.parametrize("job_id", ["video_" + "0" * 32, "nope", "%00"])
def test_what_is_not_there_is_not_found_on_every_path(client: httpx.Client, job_id: str) -> None:
    answers = [
        client.get(f"/v1/videos/{job_id}"),
        client.get(f"/v1/videos/{job_id}/content"),
        client.delete(f"/v1/videos/{job_id}"),
        client.post(f"/v1/videos/{job_id}/remix", json={"prompt": "x"}),
        client.post("/v1/videos/edits", json={"prompt": "x", "video": {"id": job_id}}),
        client.get("/v1/videos", params={"after": job_id}),
    ]

    assert [refusal(answer)[:2] for answer in answers] == [(404, "not_found")] * 6


def test_a_chat_is_no_video(client: httpx.Client, broker: BrokerProcess) -> None:
    with ScriptedWorker(broker, "chatter") as chatter:

        def answer(chatter: ScriptedWorker) -> None:
            chatter.answer(chatter.take("chat"), "Hello.")

        with meanwhile(answer, chatter):
            body = {"messages": [{"role": "user", "content": "Hi"}]}
            assert client.post("/v1/chat/completions", json=body).status_code == 200
    job_id = client.get("/jobs?kind=chat").json()["data"][0]["id"]

    assert client.get(f"/v1/videos/{job_id}").status_code == 404
    assert client.delete(f"/v1/videos/{job_id}").status_code == 404
    assert job_id not in client.get("/v1/videos").text


# xAI's.


def test_xais_client_makes_follows_and_fetches_a_video(
    client: httpx.Client, worker: ScriptedWorker, new_film: NewFilm
) -> None:
    body = {
        "model": "grok-imagine-video",
        "prompt": "a cat",
        "duration": 6,
        "aspect_ratio": "16:9",
        "resolution": "720p",
        "user": "someone",
    }
    started = client.post(
        "/v1/videos/generations", json=body, headers={"idempotency-key": "aisdk_vid_1"}
    )
    path = f"/v1/videos/{started.json()['request_id']}"
    waiting = client.get(path)
    job = worker.take()
    worker.beat(job, phase="generating", progress=41)
    running = client.get(path)
    film = new_film()
    worker.upload(job, film)
    ended = client.get(path)

    options = {"duration_seconds": 6, "aspect": "16:9", "resolution": "720p"}
    assert job["options"] == options
    assert [waiting.status_code, running.status_code, ended.status_code] == [202, 202, 200]
    assert (waiting.json()["status"], waiting.json()["progress"]) == ("pending", 0)
    assert (running.json()["status"], running.json()["progress"]) == ("pending", 41)
    told = ended.json()
    assert (told["status"], told["progress"], told["model"]) == ("done", 100, body["model"])
    assert (told["video"]["duration"], told["video"]["respect_moderation"]) == (2, True)
    assert client.get(told["video"]["url"]).content == film


def test_an_image_and_images_to_refer_to_reach_the_worker(
    client: httpx.Client, worker: ScriptedWorker
) -> None:
    for fields in (
        {"image": {"url": DATA_URL}},
        {"image": {"image_url": DATA_URL}},
        {"image_url": DATA_URL},
        {"reference_images": [{"url": DATA_URL}, {"url": DATA_URL}]},
    ):
        posted(client, "/v1/videos/generations", **fields)
        assert worker.take()["image"] == PNG


def test_a_failed_and_a_cancelled_job_are_told_as_failed_with_200(
    client: httpx.Client, worker: ScriptedWorker
) -> None:
    refused, stopped = (posted(client, "/v1/videos/generations") for _ in range(2))
    worker.error(worker.take(), "no", code="moderated")
    client.delete(f"/jobs/{stopped['id']}")

    codes = {"content_policy_violation": refused, "cancelled": stopped}
    for code, job in codes.items():
        xai = client.get(f"/v1/videos/{job['request_id']}")
        openai = client.get(f"/v1/videos/{job['video_id']}")
        assert (xai.status_code, xai.json()["status"], xai.json()["progress"]) == (200, "failed", 0)
        assert (openai.status_code, openai.json()["status"]) == (200, "failed")
        assert xai.json()["error"] == openai.json()["error"]
        assert xai.json()["error"]["code"] == code


def test_a_pruned_film_has_expired(tmp_path: Path, new_film: NewFilm) -> None:
    settings = {"max_video_age_days": 1e-6, "prune_seconds": 0.3}
    with (
        BrokerProcess(tmp_path, **settings) as broker,
        broker.client() as client,
        ScriptedWorker(broker) as worker,
    ):
        job = posted(client, "/v1/videos/generations")
        worker.upload(worker.take(), new_film())

        told = client.get(f"/v1/videos/{job['request_id']}").json()
        while told["status"] == "done":
            told = client.get(f"/v1/videos/{job['request_id']}").json()

        assert (told["status"], "video" in told) == ("expired", False)
        content = f"/v1/videos/{job['video_id']}/content"
        assert [
            refusal(client.get(content, params={"variant": variant}))[:2]
            for variant in ("video", "thumbnail")
        ] == [(410, "gone")] * 2


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("last_frame", {"url": DATA_URL}),
        ("keyframes", [{"image": {"url": DATA_URL}, "timestamp_s": 1}]),
        ("reference_audios", [{"voice_id": "v"}]),
        ("generate_audio", False),
        ("storage_options", {"filename": "a.mp4"}),
        ("output", {"upload_url": "https://example.com/"}),
        ("video", {"url": "https://example.com/a.mp4"}),
        ("n", 2),
    ],
)
def test_what_cannot_be_honoured_is_refused_by_name_in_every_dialect(
    client: httpx.Client, field: str, value: Any
) -> None:
    for path, statuses in (("/v1/videos/generations", (400, 422)), ("/v1/videos", (400,))):
        status, code, param = refusal(client.post(path, json={"prompt": "x", field: value}))
        assert (code, param) == ("unsupported_parameter", field)
        assert status in statuses


def test_what_changes_nothing_is_ignored(client: httpx.Client, worker: ScriptedWorker) -> None:
    posted(
        client,
        "/v1/videos/generations",
        user="someone",
        metadata={"a": "b"},
        generate_audio=True,
        service_tier="auto",
        invented=[1],
    )

    assert worker.take()["options"] is None


# Options and what the pages offer.


def test_an_exact_word_that_no_page_offers_is_refused_with_what_there_is(
    client: httpx.Client, page: ScriptedWorker
) -> None:
    for path, status in (("/v1/videos/generations", 422), ("/v1/videos", 400)):
        for field, value, offered in (("duration", 7, "6, 10"), ("resolution", "1080p", "720p")):
            answer = client.post(path, json={"prompt": "x", field: value})
            assert refusal(answer) == (status, "invalid_value", field)
            assert offered in answer.json()["detail"]
    posted(client, "/v1/videos/generations", duration=10, resolution="720p", aspect_ratio="3:2")


def test_openais_words_become_the_nearest_and_the_answer_says_which(
    client: httpx.Client, page: ScriptedWorker, new_film: NewFilm
) -> None:
    video = posted(client, "/v1/videos", seconds="12", size="1080x1920")
    job = page.take()
    page.upload(job, new_film())

    assert job["options"] == {"duration_seconds": 10, "aspect": "9:16", "resolution": "720p"}
    assert (video["seconds"], video["size"]) == ("10", "720x1280")
    ended = client.get(f"/v1/videos/{video['id']}").json()
    assert (ended["seconds"], ended["size"]) == ("2", "160x120")


def test_what_is_known_of_a_page_goes_when_another_worker_does_not_say(
    client: httpx.Client, broker: BrokerProcess, page: ScriptedWorker
) -> None:
    with ScriptedWorker(broker, "silent") as silent:
        assert silent.poll(wait=0) is None
        video = posted(client, "/v1/videos/generations", duration=7)
        silent.http.post("/extension/hello", json={"kinds": ["video"], "capabilities": PAGE})

    assert client.get(f"/v1/videos/{video['id']}").json()["status"] == "pending"
    assert client.post("/v1/videos", json={"prompt": "x", "duration": 7}).status_code == 400


# OpenAI's: made.


def test_openais_sdk_in_python_makes_a_video_by_a_form(
    client: httpx.Client, worker: ScriptedWorker
) -> None:
    """`videos.create(prompt=…, seconds=…, size=…, input_reference=…)`."""
    answer = form(
        client,
        "/v1/videos",
        ("prompt", "a cat"),
        ("seconds", "8"),
        ("size", "720x1280"),
        ("input_reference", PICTURE),
    )
    job = worker.take()

    video = answer.json()
    assert answer.status_code == 200
    assert set(video) == {*FIELDS, "request_id"}
    assert video["id"].startswith("video_")
    assert (video["status"], video["progress"], video["prompt"]) == ("queued", 0, "a cat")
    assert (video["seconds"], video["size"]) == ("10", "720x1280")
    assert (job["prompt"], job["image"]) == ("a cat", PNG)
    assert job["options"] == {"duration_seconds": 10, "aspect": "9:16", "resolution": "720p"}


def test_openais_sdk_in_javascript_sends_objects_as_brackets(
    client: httpx.Client, worker: ScriptedWorker, done: dict[str, Any]
) -> None:
    """`videos.create({input_reference: {image_url}})` and `videos.extend({video: {id}, seconds})`."""
    made = form(client, "/v1/videos", ("prompt", "x"), ("input_reference[image_url]", DATA_URL))
    assert made.status_code == 200
    assert worker.take()["image"] == PNG

    extended = form(
        client,
        "/v1/videos/extensions",
        ("prompt", "x"),
        ("video[id]", done["id"]),
        ("seconds", "5"),
    )
    assert extended.status_code == 200
    assert worker.take()["options"]["source"]["job_id"] == done["id"].replace("video_", "job_")


def test_several_files_are_several_images(client: httpx.Client, worker: ScriptedWorker) -> None:
    answer = form(client, "/v1/videos", ("prompt", "x"), ("image[]", PICTURE), ("image[]", PICTURE))

    assert answer.status_code == 200
    assert worker.take()["images"] == [PNG, PNG]


def test_json_is_taken_where_forms_are(client: httpx.Client, worker: ScriptedWorker) -> None:
    posted(client, "/v1/videos", input_reference={"image_url": DATA_URL}, seconds=6)

    job = worker.take()
    assert (job["image"], job["options"]) == (PNG, {"duration_seconds": 6})


@pytest.mark.parametrize(
    ("parts", "told"),
    [
        ([("prompt", "x"), ("mask", PICTURE)], (400, "unsupported_parameter", "mask")),
        (
            [("prompt", "x"), ("input_reference[file_id]", "file_1")],
            (400, "unsupported_parameter", "input_reference.file_id"),
        ),
        ([("prompt", "x"), ("seconds", "long")], (400, "invalid_value", "seconds")),
        ([("prompt", "x"), ("prompt", "y")], (400, "invalid_value", "prompt")),
        ([("seconds", "8")], (400, "missing_required_parameter", "prompt")),
    ],
)
def test_a_form_that_will_not_do_is_refused_by_name(
    client: httpx.Client, parts: Form, told: tuple[int, str, str]
) -> None:
    assert refusal(form(client, "/v1/videos", *parts)) == told


def test_a_file_that_is_no_image_is_refused(client: httpx.Client) -> None:
    answer = form(client, "/v1/videos", ("prompt", "x"), ("input_reference", b"no image"))

    assert refusal(answer)[:2] == (400, "invalid_value")


def test_a_repeat_is_answered_with_the_job_as_it_is_by_now(
    client: httpx.Client, worker: ScriptedWorker, new_film: NewFilm
) -> None:
    headers = {"Idempotency-Key": "once"}
    first = client.post("/v1/videos", json={"prompt": "x", "seconds": "8"}, headers=headers).json()
    worker.upload(worker.take(), new_film())

    again = client.post("/v1/videos", json={"prompt": "x", "seconds": "8"}, headers=headers).json()

    assert (first["status"], first["seconds"]) == ("queued", "10")
    assert (again["id"], again["status"], again["seconds"]) == (first["id"], "completed", "2")


# OpenAI's: followed, listed, fetched, deleted.


def test_a_client_is_told_when_to_ask_again_until_the_job_has_ended(
    client: httpx.Client, worker: ScriptedWorker, done: dict[str, Any]
) -> None:
    running = posted(client, "/v1/videos")
    worker.beat(worker.take(), phase="generating", progress=41)

    answers = [client.get(f"/v1/videos/{video['id']}") for video in (running, done)]

    assert (answers[0].json()["status"], answers[0].json()["progress"]) == ("in_progress", 41)
    assert answers[0].headers["openai-poll-after-ms"] == "2000"
    assert (answers[1].json()["status"], answers[1].json()["progress"]) == ("completed", 100)
    assert "openai-poll-after-ms" not in answers[1].headers
    assert answers[1].json()["expires_at"] - answers[1].json()["completed_at"] == 7 * 86_400


def test_videos_are_listed_in_pages(tmp_path: Path) -> None:
    with BrokerProcess(tmp_path) as broker, broker.client() as client:
        assert client.get("/v1/videos").json() == {
            "object": "list",
            "data": [],
            "first_id": None,
            "last_id": None,
            "has_more": False,
        }
        ids = [posted(client, "/v1/videos/generations")["video_id"] for _ in range(5)]

        for order, wanted in (("asc", ids), ("desc", ids[::-1])):
            found, after = [], None
            for has_more in (True, True, False):
                query = {"limit": 2, "order": order} | ({"after": after} if after else {})
                told = client.get("/v1/videos", params=query).json()
                found += [video["id"] for video in told["data"]]
                assert (told["has_more"], told["first_id"]) == (has_more, told["data"][0]["id"])
                after = told["last_id"]
            assert (found, after) == (wanted, None)
        assert set(told["data"][0]) == {*FIELDS, "request_id"}
        assert client.get("/v1/videos?limit=0").json()["data"] == []


@pytest.mark.parametrize("query", ["limit=101", "limit=-1", "limit=x", "order=up"])
def test_a_list_that_cannot_be_had_is_refused_by_name(client: httpx.Client, query: str) -> None:
    told = refusal(client.get(f"/v1/videos?{query}"))

    assert told == (400, "invalid_value", query.partition("=")[0])


def test_the_content_is_the_film_in_whole_and_in_parts(
    client: httpx.Client, done: dict[str, Any]
) -> None:
    path = f"/v1/videos/{done['id']}/content"
    film = client.get(film_url(done).replace("http://localhost:8000", str(client.base_url))).content

    whole = client.get(path, headers={"Accept": "application/binary"})
    part = client.get(path, headers={"Range": "bytes=10-19"})

    assert (whole.status_code, whole.content) == (200, film)
    assert whole.headers["content-type"] == "video/mp4"
    assert whole.headers["etag"] == f'"{hashlib.sha256(film).hexdigest()}"'
    assert (part.status_code, part.content) == (206, film[10:20])
    assert client.head(path).headers["content-length"] == str(len(film))
    assert client.get(path, params={"variant": "video"}).content == film


@pytest.mark.parametrize("variant", ["thumbnail", "spritesheet"])
def test_a_still_stands_for_the_film(
    client: httpx.Client, done: dict[str, Any], variant: str
) -> None:
    still = client.get(f"/v1/videos/{done['id']}/content", params={"variant": variant})

    assert (still.status_code, still.headers["content-type"]) == (200, "image/webp")
    assert (still.content[:4], still.content[8:12]) == (b"RIFF", b"WEBP")


def test_content_is_refused_by_name_until_it_is_there(
    client: httpx.Client, worker: ScriptedWorker, done: dict[str, Any]
) -> None:
    early = posted(client, "/v1/videos")
    failed = posted(client, "/v1/videos")
    client.delete(f"/jobs/{failed['id']}")

    for variant in ("video", "thumbnail"):
        query = {"variant": variant}
        answer = client.get(f"/v1/videos/{early['id']}/content", params=query)
        assert refusal(answer)[:2] == (409, "video_not_ready")
        assert answer.headers["x-should-retry"] == "false"
        never = client.get(f"/v1/videos/{failed['id']}/content", params=query)
        assert refusal(never)[:2] == (404, "not_found")
    wrong = client.get(f"/v1/videos/{done['id']}/content?variant=gif")
    assert refusal(wrong) == (400, "invalid_value", "variant")


def test_delete_takes_the_film_away_and_cancels_what_is_not_done(
    client: httpx.Client, worker: ScriptedWorker, done: dict[str, Any], new_film: NewFilm
) -> None:
    held, waiting = posted(client, "/v1/videos"), posted(client, "/v1/videos")
    job = worker.take()

    for video in (done, held, waiting):
        # The SDK says that it sends JSON, and sends nothing.
        answer = client.delete(
            f"/v1/videos/{video['id']}", headers={"content-type": "application/json"}
        )
        gone = {"id": video["id"], "object": "video.deleted", "deleted": True}
        assert (answer.status_code, answer.json()) == (200, gone)
        assert client.get(f"/v1/videos/{video['id']}").status_code == 404
        assert client.get(f"/v1/videos/{video['id']}/content").status_code == 404
    assert worker.upload(job, new_film()).status_code == 404
    assert worker.poll(wait=0) is None


# Films made of films.


def test_a_film_is_made_of_another_and_the_worker_is_told_which(
    client: httpx.Client, worker: ScriptedWorker, done: dict[str, Any]
) -> None:
    job_id = done["id"].replace("video_", "job_")
    source = {
        "job_id": job_id,
        "evidence": {"post_id": "p1"},
        "duration_seconds": 2.0,
        "size": "160x120",
    }
    base = f"{client.base_url}".rstrip("/")

    for path, words, operation, seconds in (
        ("/v1/videos/edits", {"video": {"url": f"{base}/videos/{job_id}.mp4"}}, "edit", "2"),
        ("/v1/videos/edits", {"video_url": film_url(done)}, "edit", "2"),
        ("/v1/videos/extensions", {"video": {"url": film_url(done)}, "duration": 7}, "extend", "9"),
        ("/v1/videos/extensions", {"video": {"id": done["id"]}, "seconds": "4"}, "extend", "8"),
        (f"/v1/videos/{done['id']}/remix", {}, "remix", "2"),
    ):
        video = posted(client, path, **words)
        job = worker.take()
        assert job["prompt"] == "a cat"
        assert (job["options"]["operation"], job["options"]["source"]) == (operation, source)
        assert (video["seconds"], video["size"]) == (seconds, "160x120")
        assert video["remixed_from_video_id"] == (done["id"] if operation == "remix" else None)
        assert client.get(f"/v1/videos/{video['request_id']}").status_code == 202


def test_a_film_has_the_model_of_the_one_it_is_made_of(
    client: httpx.Client, worker: ScriptedWorker, new_film: NewFilm
) -> None:
    first = posted(client, "/v1/videos", model="grok-imagine-video")
    worker.upload(worker.take(), new_film())

    remix = f"/v1/videos/{first['id']}/remix"
    assert posted(client, remix)["model"] == "grok-imagine-video"
    assert posted(client, remix, model="grok")["model"] == "grok"


def test_what_no_page_can_do_with_a_film_is_refused_by_name(
    client: httpx.Client, done: dict[str, Any], page: ScriptedWorker
) -> None:
    body = {"prompt": "x", "video": {"id": done["id"]}}

    for path in ("/v1/videos/edits", "/v1/videos/extensions"):
        answer = client.post(path, json=body)
        assert refusal(answer) == (400, "unsupported_parameter", "video")
        assert "remix" in answer.json()["detail"]
    assert posted(client, f"/v1/videos/{done['id']}/remix")["status"] == "queued"


@pytest.mark.parametrize("path", ["/v1/videos/edits", "/v1/videos/extensions"])
def test_only_a_film_of_ours_that_is_done_can_be_built_on(
    client: httpx.Client, worker: ScriptedWorker, path: str
) -> None:
    early = posted(client, "/v1/videos")

    told = {
        "elsewhere": {"video": {"url": "https://example.com/a.mp4"}},
        "inline": {"video": {"url": "data:video/mp4;base64,AAAA"}},
        "file": {"video": {"file_id": "file_1"}},
        "early": {"video": {"id": early["id"]}},
        "none": {},
    }
    found = {
        name: refusal(client.post(path, json={"prompt": "x", **words}))
        for name, words in told.items()
    }

    assert found == {
        "elsewhere": (400, "unsupported_parameter", "video.url"),
        "inline": (400, "unsupported_parameter", "video.url"),
        "file": (400, "unsupported_parameter", "video.file_id"),
        "early": (409, "video_not_ready", None),
        "none": (400, "missing_required_parameter", "video"),
    }
    upload = form(client, path, ("prompt", "x"), ("video", b"a film"))
    assert refusal(upload) == (400, "unsupported_parameter", "video")


def test_there_are_no_characters(client: httpx.Client) -> None:
    made = form(client, "/v1/videos/characters", ("name", "x"), ("video", b"a film"))
    read = client.get("/v1/videos/characters/char_1")

    assert refusal(made)[:2] == refusal(read)[:2] == (404, "not_found")
    assert "characters" in made.json()["detail"]


# Waiting, and the film within the answer.


def test_a_get_waits_for_the_end_in_every_dialect(
    client: httpx.Client, worker: ScriptedWorker, new_film: NewFilm
) -> None:
    for path, done in (
        ("/v1/videos/generations/{id}", "completed"),
        ("/v1/videos/{video_id}", "completed"),
        ("/v1/videos/{request_id}", "done"),
    ):
        job = posted(client, "/v1/videos/generations")
        held = worker.take()
        film = new_film()

        with meanwhile(lambda w: w.upload(held, film) and None, worker):  # noqa: B023
            answer = client.get(path.format(**job), params={"wait": 20})

        assert (answer.status_code, answer.json()["status"]) == (200, done)


def test_content_can_be_waited_for(
    client: httpx.Client, worker: ScriptedWorker, new_film: NewFilm
) -> None:
    video, film = posted(client, "/v1/videos"), new_film()

    with meanwhile(lambda w: w.upload(w.take(), film) and None, worker):
        answer = client.get(f"/v1/videos/{video['id']}/content", params={"wait": 20})

    assert (answer.status_code, answer.content) == (200, film)


def test_a_wait_that_is_over_tells_how_the_job_stands(
    client: httpx.Client, worker: ScriptedWorker
) -> None:
    job = posted(client, "/v1/videos/generations")

    answer = client.get(f"/v1/videos/{job['request_id']}", params={"wait": 0.05})

    assert (answer.status_code, answer.json()["status"]) == (202, "pending")
    for wait in ("soon", "-1", "241"):
        refused = client.get(f"/v1/videos/{job['id']}", params={"wait": wait})
        assert refusal(refused) == (400, "invalid_value", "wait")


@pytest.mark.parametrize(
    ("query", "headers"), [({"inline": "1"}, {}), ({}, {"X-Inline-Video": "1"})]
)
def test_the_film_is_in_the_answer_for_who_asks(
    client: httpx.Client, done: dict[str, Any], query: Any, headers: Any
) -> None:
    film = client.get(f"/v1/videos/{done['id']}/content").content
    inline = f"data:video/mp4;base64,{base64.b64encode(film).decode()}"
    seed, xai = f"/v1/videos/generations/{done['id']}", f"/v1/videos/{done['request_id']}"

    assert client.get(seed, params=query, headers=headers).json()["video_url"] == inline
    assert client.get(xai, params=query, headers=headers).json()["video"]["url"] == inline
    assert client.get(seed).json()["video_url"].startswith("http://")
    assert client.get(xai).json()["video"]["url"].startswith("http://")


def test_a_film_that_is_not_there_is_never_in_the_answer(
    client: httpx.Client, worker: ScriptedWorker
) -> None:
    job = posted(client, "/v1/videos/generations")

    told = client.get(f"/v1/videos/generations/{job['id']}?inline=1").json()

    assert told["video_url"] == job["video_url"]


def test_every_call_that_makes_a_video_takes_a_webhook_and_looks_at_it(
    client: httpx.Client, worker: ScriptedWorker, done: dict[str, Any]
) -> None:
    source = {"video": {"id": done["id"]}}

    for path, words, status in (
        ("/v1/videos/generations", {}, 422),
        ("/v1/videos", {}, 400),
        ("/v1/videos/edits", source, 400),
        ("/v1/videos/extensions", source, 400),
        (f"/v1/videos/{done['id']}/remix", {}, 400),
    ):
        posted(client, path, webhook_url="https://example.com/told", **words)
        body = {"prompt": "x", "webhook_url": "ftp://example.com/", **words}
        assert refusal(client.post(path, json=body)) == (status, "invalid_value", "webhook_url")
