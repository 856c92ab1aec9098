"""OpenAI's client for Python makes films, waits for them, and looks after them."""

import base64

import openai
import pytest
from openai import OpenAI

from tests.support.auto_worker import AutoWorker
from tests.support.pictures import png

MODEL = "grok-imagine-video"
# The client warns at every call that its maker shuts this API down.
pytestmark = pytest.mark.filterwarnings("ignore:The Sora API:DeprecationWarning")


def film(client: OpenAI, prompt: str) -> str:
    """The id of a film that is there."""
    made = client.videos.create_and_poll(model=MODEL, prompt=prompt, poll_interval_ms=50)
    assert made.status == "completed", made.error
    return made.id


def test_a_film_is_asked_for_and_waited_for(client: OpenAI, worker: AutoWorker) -> None:
    made = client.videos.create_and_poll(
        model=MODEL, prompt="A cat at a piano", seconds="4", size="1280x720"
    )

    assert (made.status, made.progress, made.error) == ("completed", 100, None)
    assert made.id.startswith("video_")
    assert (made.model, made.prompt) == (MODEL, "A cat at a piano")
    assert isinstance(made.seconds, str)
    assert made.completed_at is not None
    (job,) = worker.jobs("A cat at a piano")
    assert job["options"] == {"duration_seconds": 6, "aspect": "16:9", "resolution": "720p"}


def test_a_picture_to_begin_with_is_sent_along(client: OpenAI, worker: AutoWorker) -> None:
    picture = png(5, 5)
    client.videos.create_and_poll(
        model=MODEL,
        prompt="Let it move",
        input_reference=("a.png", picture, "image/png"),
        poll_interval_ms=50,
    )

    (job,) = worker.jobs("Let it move")
    assert base64.b64decode(job["image"]) == picture


def test_the_film_can_be_fetched(client: OpenAI) -> None:
    content = client.videos.download_content(film(client, "A bell"))

    assert content.response.headers["content-type"] == "video/mp4"
    assert content.read()[4:8] == b"ftyp"


def test_a_film_that_is_not_there_yet_is_told_once(
    client: OpenAI, worker: AutoWorker, sent: list[str]
) -> None:
    made = client.videos.create(model=MODEL, prompt="wait early-look A bell")
    sent.clear()

    with pytest.raises(openai.ConflictError) as raised:
        client.videos.download_content(made.id)

    worker.release("early-look")
    assert raised.value.code == "video_not_ready"
    assert len(sent) == 1


def test_films_are_listed_in_pages(client: OpenAI) -> None:
    made = [film(client, f"Film {number}") for number in range(3)]

    page = client.videos.list(limit=2)
    ids = [video.id for video in client.videos.list(limit=2)]

    assert [video.id for video in page.data] == ids[:2]
    assert page.has_more is True
    assert ids[:3] == made[::-1]
    assert len(ids) == len(set(ids))
    oldest_first = [video.id for video in client.videos.list(order="asc")]
    assert oldest_first[-3:] == made


def test_a_film_can_be_deleted(client: OpenAI) -> None:
    made = film(client, "A short life")

    gone = client.videos.delete(made)

    assert (gone.id, gone.deleted, gone.object) == (made, True, "video.deleted")
    with pytest.raises(openai.NotFoundError):
        client.videos.retrieve(made)


def test_a_film_is_made_from_another(client: OpenAI, worker: AutoWorker) -> None:
    source = film(client, "A first draft")

    made = client.videos.remix(source, prompt="The same in blue")
    done = client.videos.poll(made.id, poll_interval_ms=50)

    assert (done.status, done.remixed_from_video_id) == ("completed", source)
    (job,) = worker.jobs("The same in blue")
    assert job["options"]["operation"] == "remix"
    assert job["options"]["source"]["job_id"].removeprefix("job_") == source.removeprefix("video_")


def test_a_film_that_cannot_be_made_says_why(client: OpenAI) -> None:
    made = client.videos.create_and_poll(model=MODEL, prompt="refuse this", poll_interval_ms=50)

    assert made.status == "failed"
    assert made.error is not None
    assert made.error.code == "content_policy_violation"


def test_characters_are_refused(client: OpenAI) -> None:
    with pytest.raises(openai.APIStatusError) as raised:
        client.videos.create_character(name="Cat", video=("a.mp4", b"", "video/mp4"))

    assert raised.value.status_code in (400, 404)
