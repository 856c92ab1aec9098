"""OpenAI's client for Python makes and edits images."""

import base64

import httpx
import openai
import pytest
from openai import OpenAI

from tests.support.auto_worker import AutoWorker
from tests.support.pictures import png

MODEL = "grok-imagine-image"
PNG_HEAD = b"\x89PNG"


def test_images_come_as_links_that_need_no_key(client: OpenAI) -> None:
    made = client.images.generate(model=MODEL, prompt="Two teapots", n=2, size="1024x1024")

    assert made.created
    assert made.data is not None
    assert len(made.data) == 2
    for image in made.data:
        assert image.b64_json is None
        fetched = httpx.get(image.url or "", trust_env=False)
        assert fetched.content.startswith(PNG_HEAD)


def test_images_come_inside_the_answer_where_that_is_asked_for(client: OpenAI) -> None:
    made = client.images.generate(model=MODEL, prompt="A teapot", response_format="b64_json")

    (image,) = made.data or []
    assert image.url is None
    assert base64.b64decode(image.b64_json or "").startswith(PNG_HEAD)


@pytest.mark.parametrize("count", [1, 3])
def test_pictures_are_edited(client: OpenAI, worker: AutoWorker, count: int) -> None:
    files = [(f"{number}.png", png(4 + number, 4), "image/png") for number in range(count)]
    prompt = f"Paint {count} red"

    made = client.images.edit(model=MODEL, image=files if count > 1 else files[0], prompt=prompt)

    assert len(made.data or []) == 1
    (job,) = worker.jobs(prompt)
    assert [base64.b64decode(image) for image in job["images"]] == [file[1] for file in files]


def test_a_refused_prompt_is_a_bad_request_with_openais_code(
    client: OpenAI, sent: list[str]
) -> None:
    with pytest.raises(openai.BadRequestError) as raised:
        client.images.generate(model=MODEL, prompt="refuse this")

    assert raised.value.code == "content_policy_violation"
    assert len(sent) == 1


def test_a_stream_of_images_is_refused_by_name(client: OpenAI) -> None:
    with pytest.raises(openai.BadRequestError) as raised:
        client.images.generate(model=MODEL, prompt="A teapot", stream=True)

    assert (raised.value.code, raised.value.param) == ("unsupported_parameter", "stream")


@pytest.mark.filterwarnings("ignore:deprecated:DeprecationWarning")
def test_variations_are_not_there(client: OpenAI) -> None:
    with pytest.raises(openai.NotFoundError):
        client.images.create_variation(image=("a.png", png(), "image/png"))
