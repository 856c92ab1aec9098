"""What the demo worker knows without a broker: its answers, its page's memory, the size of its films."""

import base64
import io
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from broker.demo.answers import answer, describe_image, words_of
from broker.demo.mishaps import WishRefused
from broker.demo.page import MAX_REMEMBERED, DemoPage
from broker.demo.wishes import film_options, refuse_unknown

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
        ({"aspect": "19.5:9", "resolution": None}, 6, (780, 360)),
    ],
)
def test_a_film_has_the_length_and_size_that_were_asked_for(
    options: dict[str, Any], seconds: float, size: tuple[int, int]
) -> None:
    assert film_options(options, 6) == {"seconds": seconds, "size": size}


@pytest.mark.parametrize(
    ("kind", "options", "images", "named"),
    [
        ("video", {"source": {"job_id": JOB}, "operation": "extend"}, 0, "operation 'extend'"),
        ("video", {"operation": "remix"}, 0, "operation 'remix'"),
        ("video", {"camera": "low"}, 0, "camera 'low'"),
        ("video", {"aspect": "100:0"}, 0, "aspect '100:0'"),
        ("video", {"resolution": "9000p"}, 0, "resolution '9000p'"),
        ("video", {}, 2, "2"),
        ("image", {"duration_seconds": 6}, 0, "duration_seconds 6"),
        ("chat", {"n": 2}, 0, "n 2"),
    ],
)
def test_what_the_demo_worker_cannot_do_is_refused_by_name(
    kind: str, options: dict[str, Any], images: int, named: str
) -> None:
    with pytest.raises(WishRefused, match=named):
        refuse_unknown(kind, options, images)


@pytest.mark.parametrize(
    ("kind", "options", "images"),
    [
        ("video", {"duration_seconds": 7, "aspect": "2:3", "resolution": "720p"}, 1),
        ("video", {"operation": None, "aspect": None}, 0),
        ("image", {"n": 4, "aspect": "20:9"}, 1),
        ("chat", {}, 3),
    ],
)
def test_what_the_demo_worker_can_do_is_not_refused(
    kind: str, options: dict[str, Any], images: int
) -> None:
    refuse_unknown(kind, options, images)


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


@pytest.mark.parametrize("shape", ["object", "text", "file"])
def test_an_answer_describes_the_images_that_came(shape: str) -> None:
    png = io.BytesIO()
    Image.new("RGB", (40, 30)).save(png, "PNG")
    url = "data:image/png;base64," + base64.b64encode(png.getvalue()).decode()
    images: dict[str, dict[str, Any]] = {
        "object": {"type": "image_url", "image_url": {"url": url}},
        "text": {"type": "image_url", "image_url": url},
        "file": {"type": "file", "file": {"filename": "cat.png", "file_data": url}},
    }
    parts = [{"type": "text", "text": "What?"}, images[shape]]

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
