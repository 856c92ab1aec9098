"""What the demo worker knows without a broker: its answers, its page's memory, the size of its films."""

import base64
import io
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from broker.demo.answers import answer, describe_image, words_of
from broker.demo.page import MAX_REMEMBERED, DemoPage
from broker.demo.worker import film_options

JOB = "job_" + "c3" * 16


def test_submissions_outlive_the_process_where_a_folder_is_given(tmp_path: Path) -> None:
    post = DemoPage(tmp_path).submit(JOB, "A cat", options={"aspect": "1:1"})
    (tmp_path / "broken.json").write_text("{")

    later = DemoPage(tmp_path)

    assert later.find({"post_id": post.post_id}, "") == post
    assert later.find(None, JOB) == post
    later.forget(post.post_id)
    assert DemoPage(tmp_path).find(None, JOB) is None


@pytest.mark.parametrize(
    ("options", "seconds", "size"),
    [
        ({}, 6, (640, 360)),
        ({"aspect": "9:16", "resolution": "720p"}, 6, (720, 1280)),
        ({"aspect": "3:2", "resolution": "480p", "duration_seconds": 10}, 10, (720, 480)),
        ({"aspect": "100:0", "resolution": "9000p"}, 6, (640, 360)),
    ],
)
def test_a_film_has_the_length_and_size_that_were_asked_for(
    options: dict[str, Any], seconds: float, size: tuple[int, int]
) -> None:
    assert film_options(options, 6) == {"seconds": seconds, "size": size}


@pytest.mark.parametrize("text", ["one two  three\n\nfour ", " lead", "", "x", "a\tb"])
def test_the_words_of_a_text_are_the_text(text: str) -> None:
    assert "".join(words_of(text)) == text
    assert all(words_of(text))


def test_an_answer_says_who_speaks_and_what_it_saw() -> None:
    messages = [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "First"},
        {"role": "assistant", "content": "Yes?"},
        {"role": "user", "content": [{"type": "text", "text": "And  now\nthis"}]},
    ]

    said = answer("prompt", request={"messages": messages})

    assert "demo worker" in said
    assert "You wrote: “And now this”" in said
    assert "I saw 4 turns:" in said
    assert "1. system: Be brief." in said


def test_an_answer_describes_the_images_that_came() -> None:
    png = io.BytesIO()
    Image.new("RGB", (40, 30)).save(png, "PNG")
    url = "data:image/png;base64," + base64.b64encode(png.getvalue()).decode()
    parts = [{"type": "text", "text": "What?"}, {"type": "image_url", "image_url": {"url": url}}]

    said = answer("What?", request={"messages": [{"role": "user", "content": parts}]})

    assert f"a PNG image, 40 by 30 pixels, {len(png.getvalue())} bytes" in said
    assert describe_image("bm90IGFuIGltYWdl") == "an image that cannot be read"


def test_the_page_forgets_its_oldest_submission_first() -> None:
    page = DemoPage()
    first = page.submit("job_first", "A cat")

    for number in range(MAX_REMEMBERED):
        last = page.submit(f"job_{number}", "A dog")

    assert page.find({"post_id": first.post_id}, "job_first") is None
    assert page.find({"conversation_id": last.post_id}, "") == last


def test_nothing_written_and_nothing_seen_is_said_so() -> None:
    said = answer("", request={"messages": [{"role": "user", "content": None}]})

    assert "You wrote no text." in said
    assert "turns" not in said
