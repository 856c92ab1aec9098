"""Every kind of job, on every generation of the page and over both of its transports: done once, and told exactly."""

import base64
import hashlib
from typing import Any

import pytest

from broker.demo.site.stand_in import Switches
from tests.e2e.conftest import OpenDesk
from tests.support.e2e_desk import Desk
from tests.support.pictures import png

GENERATIONS = ["february", "april", "autumn"]
ANSWER = (
    "First a *word*, then **more**.\n\n```python\nprint('<b>' & \"x\")\n```\n\n"
    "- one\n- two\n\n1 < 2 && 3 > 2 — «naïve» 日本語 🎹 [a link](https://example.com/?a=1&b=2)\n\n"
    "| a | b |\n| --- | --- |\n| 1 | 2 |"
)


def data_url(data: bytes) -> str:
    return "data:image/png;base64," + base64.b64encode(data).decode()


def digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


@pytest.mark.parametrize("generation", GENERATIONS)
def test_a_film_from_text(generation: Any, open_desk: OpenDesk) -> None:
    desk = open_desk(switches=Switches(generation=generation))

    job_id = desk.post_video("A cat playing piano")
    job = desk.wait_for_job(job_id, "completed")

    [submit] = desk.site.submits()
    assert (submit.kind, submit.prompt, submit.images) == ("video", "A cat playing piano", ())
    assert desk.film(job_id) == desk.site.films[submit.post_id]
    assert [attempt["outcome"] for attempt in job["attempts"]] == ["completed"]


@pytest.mark.parametrize("generation", GENERATIONS)
def test_a_film_from_an_image(generation: Any, open_desk: OpenDesk) -> None:
    desk = open_desk(switches=Switches(generation=generation))
    image = png(64, 48)

    job_id = desk.post_video("Let it move", image=data_url(image))
    desk.wait_for_job(job_id, "completed")

    [submit] = desk.site.submits()
    assert (submit.kind, submit.prompt, submit.images) == ("video", "Let it move", (digest(image),))
    assert desk.film(job_id) == desk.site.films[submit.post_id]


def test_a_film_as_long_and_wide_and_sharp_as_was_asked_for(desk: Desk) -> None:
    job_id = desk.post_video("A cat", duration=10, aspect_ratio="16:9", resolution="720p")
    desk.wait_for_job(job_id, "completed")

    [submit] = desk.site.submits()
    options = {name: submit.options[name] for name in ("mode", "duration", "aspect", "resolution")}
    assert options == {"mode": "Video", "duration": "10s", "aspect": "16:9", "resolution": "720p"}


@pytest.mark.parametrize("generation", GENERATIONS)
def test_pictures(generation: Any, open_desk: OpenDesk) -> None:
    desk = open_desk(switches=Switches(generation=generation))

    job_id, call = desk.post_image("A red cat", n=2)
    urls = [picture["url"] for picture in call.answer()["data"]]

    [submit] = desk.site.submits()
    assert (submit.kind, submit.prompt) == ("image", "A red cat")
    assert len(urls) == 2
    pictures = [desk.http.get(url).content for url in urls]
    assert len({digest(picture) for picture in pictures}) == 2
    assert desk.job(job_id)["status"] == "completed"


@pytest.mark.parametrize("transport", ["stream", "socket"])
@pytest.mark.parametrize("generation", GENERATIONS)
def test_a_chat_is_streamed_to_the_last_letter(
    generation: Any, transport: Any, open_desk: OpenDesk
) -> None:
    switches = Switches(generation=generation, chat_transport=transport, answer=ANSWER)
    switches.thinking = "They want *everything*."
    desk = open_desk(switches=switches)

    _, call = desk.post_chat("Who are you?\n\nSecond line, <b>not bold</b>.")
    call.answer()

    assert call.text == ANSWER
    assert call.reasoning == "They want *everything*."
    assert call.finish_reason == "stop"
    [submit] = desk.site.submits()
    assert submit.prompt == "Who are you?\n\nSecond line, <b>not bold</b>."


@pytest.mark.parametrize("transport", ["stream", "socket"])
def test_the_first_delta_comes_before_the_answer_is_complete(
    transport: Any, open_desk: OpenDesk
) -> None:
    desk = open_desk(switches=Switches(chat_transport=transport, answer=ANSWER))
    desk.site.hold("final")

    _, call = desk.post_chat("Who are you?")
    call.wait_for_text("First a *word*")

    assert not call.is_over
    desk.site.release("final")
    call.answer()
    assert call.text == ANSWER
    assert len(call.pieces) > 3


@pytest.mark.parametrize("generation", GENERATIONS)
def test_a_chat_about_two_images(generation: Any, open_desk: OpenDesk) -> None:
    desk = open_desk(switches=Switches(generation=generation))
    images = [png(64, 48), png(48, 64)]
    content: list[dict[str, Any]] = [{"type": "text", "text": "What is in these?"}]
    content += [{"type": "image_url", "image_url": {"url": data_url(image)}} for image in images]

    _, call = desk.post_chat("", stream=False, messages=[{"role": "user", "content": content}])
    call.answer()

    [submit] = desk.site.submits()
    assert submit.images == tuple(map(digest, images))
    assert "What is in these?" in submit.prompt
    assert call.text


@pytest.mark.parametrize("generation", GENERATIONS)
def test_the_page_alone_is_enough_where_its_traffic_cannot_be_seen(
    generation: Any, open_desk: OpenDesk
) -> None:
    desk = open_desk(switches=Switches(generation=generation, answer=ANSWER), without_observer=True)

    video = desk.post_video("A cat playing piano")
    desk.wait_for_job(video, "completed")
    image, pictures = desk.post_image("A red cat", n=2)
    assert len(pictures.answer()["data"]) == 2
    _, chat = desk.post_chat("Who are you?")
    chat.answer()

    assert [submit.kind for submit in desk.site.submits()] == ["video", "image", "chat"]
    assert desk.film(video) == desk.site.films[desk.site.submits()[0].post_id]
    assert chat.text == ANSWER


def test_one_job_after_another(desk: Desk) -> None:
    videos = [desk.post_video(f"Film {number}") for number in range(3)]
    _, chat = desk.post_chat("And a word in between")

    chat.answer()
    for video in videos:
        desk.wait_for_job(video, "completed", 60)

    assert len({digest(desk.film(video)) for video in videos}) == 3
    assert sorted(s.prompt for s in desk.site.submits("Film 0")) == ["Film 0"]
    assert len(desk.site.submits()) == 4
