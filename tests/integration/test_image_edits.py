"""Images are made from others, sent along in whatever way a client sends them."""

import base64
import itertools
from typing import Any

import httpx
import pytest

from tests.support.meanwhile import Work, meanwhile
from tests.support.pictures import png
from tests.support.worker import ScriptedWorker

EDIT = "/v1/images/edits"
ASKED = {"prompt": "In blue", "model": "grok-imagine-image", "n": 2, "size": "1024x1536"}
_sizes = itertools.count(200)


def new_picture() -> bytes:
    """One that no job has left yet."""
    return png(next(_sizes), 8)


def text_of(picture: bytes) -> str:
    return base64.b64encode(picture).decode()


def url_of(picture: bytes) -> str:
    return f"data:image/png;base64,{text_of(picture)}"


def makes_one(seen: list[dict[str, Any]]) -> Work:
    def work(worker: ScriptedWorker) -> None:
        seen.append(job := worker.take("image"))
        assert worker.upload_images(job, new_picture()).status_code == 200

    return work


def handed_over(
    client: httpx.Client, worker: ScriptedWorker, path: str = EDIT, **sent: Any
) -> dict[str, Any]:
    """The job as the worker gets it."""
    seen: list[dict[str, Any]] = []
    with meanwhile(makes_one(seen), worker):
        answer = client.post(path, **sent)
    assert answer.status_code == 200, answer.text
    assert answer.json()["object"] == "images.generation"
    return seen[0]


ONE, TWO = png(3, 3), png(4, 4)
IMAGES: dict[str, Any] = {
    "the seed's": {"image": [text_of(ONE), url_of(TWO)]},
    "xAI's": {"images": [{"url": url_of(each), "type": "image_url"} for each in (ONE, TWO)]},
    "OpenAI's": {"images": [{"image_url": url_of(each)} for each in (ONE, TWO)]},
    "one of each": {"image": {"url": url_of(ONE), "type": "image_url"}, "images": [url_of(TWO)]},
}


@pytest.mark.parametrize("spelling", IMAGES)
def test_images_that_come_as_json_reach_the_worker_in_their_order(
    client: httpx.Client, worker: ScriptedWorker, spelling: str
) -> None:
    job = handed_over(client, worker, json=ASKED | IMAGES[spelling])

    assert job["prompt"] == "In blue"
    assert job["images"] == [text_of(ONE), text_of(TWO)]
    assert job["options"] == {"aspect": "2:3", "n": 2}


@pytest.mark.parametrize("fields", [["image", "image"], ["image[]", "image[]"]])
def test_images_that_come_as_files_of_a_form_reach_the_worker_in_their_order(
    client: httpx.Client, worker: ScriptedWorker, fields: list[str]
) -> None:
    files = [
        (name, ("1.png", each, "image/png")) for name, each in zip(fields, (ONE, TWO), strict=True)
    ]
    form = {name: str(value) for name, value in ASKED.items()} | {"stream": "false"}

    job = handed_over(client, worker, data=form, files=files)

    assert job["images"] == [text_of(ONE), text_of(TWO)]
    assert job["options"] == {"aspect": "2:3", "n": 2}


def test_an_image_that_was_made_here_can_be_sent_back_by_its_address(
    client: httpx.Client, worker: ScriptedWorker
) -> None:
    seen: list[dict[str, Any]] = []
    with meanwhile(makes_one(seen), worker):
        made = client.post("/v1/images/generations", json={"prompt": "A teapot"}).json()
    (image,) = made["data"]

    job = handed_over(client, worker, json=ASKED | {"image": {"url": image["url"]}})

    assert base64.b64decode(job["image"]) == client.get(image["url"]).content


def refused(answer: httpx.Response) -> tuple[int, str, str | None]:
    error = answer.json()["error"]
    return answer.status_code, error["code"], error["param"]


@pytest.mark.parametrize(
    ("asked", "code", "param"),
    [
        ({}, "missing_required_parameter", "image"),
        ({"images": []}, "missing_required_parameter", "image"),
        ({"image": ""}, "missing_required_parameter", "image"),
        ({"image": {"file_id": "file_1"}}, "unsupported_parameter", "image.file_id"),
        ({"images": [{"file_id": "file_1"}]}, "unsupported_parameter", "images.file_id"),
        ({"image": url_of(ONE), "mask": {"image_url": "x"}}, "unsupported_parameter", "mask"),
        ({"image": url_of(ONE), "stream": True}, "unsupported_parameter", "stream"),
        ({"image": "http://example.com/1.png"}, "invalid_value", "image"),
    ],
)
def test_what_cannot_be_had_is_refused_by_name(
    client: httpx.Client, asked: dict[str, Any], code: str, param: str
) -> None:
    assert refused(client.post(EDIT, json={"prompt": "In blue"} | asked)) == (400, code, param)


@pytest.mark.parametrize("name", ["mask", "markup", "video"])
def test_a_file_that_cannot_be_used_is_refused_by_name(client: httpx.Client, name: str) -> None:
    files = {"image": ("1.png", ONE), name: ("2.png", TWO)}

    answer = client.post(EDIT, data={"prompt": "In blue"}, files=files)

    assert refused(answer) == (400, "unsupported_parameter", name)


def test_an_address_that_only_looks_like_an_image_of_ours_leads_nowhere(
    client: httpx.Client,
) -> None:
    for name in ("job_0.1.png", f"job_{'0' * 32}.1.png", "..%2fjobs.db", ""):
        url = f"{client.base_url}/images/{name}"
        answer = client.post(EDIT, json={"prompt": "In blue", "image": {"url": url}})

        assert refused(answer) == (400, "invalid_value", "image")
