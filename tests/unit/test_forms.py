"""A client's form: what its parts stand for, and which forms are refused."""

from typing import Any

import httpx
import pytest

from broker.api.forms import MAX_PARTS, ClientForm
from broker.errors import InvalidValue, TooLarge

BOUNDARY = "multipart/form-data; boundary=b"


def sent(*parts: tuple[str, Any], piece_bytes: int = 7) -> tuple[dict[str, Any], Any]:
    """A form as httpx writes it, read in small pieces. A part of bytes is a file."""
    files = [
        (name, ("file.png", value) if isinstance(value, bytes) else (None, value))
        for name, value in parts
    ]
    request = httpx.Request("POST", "http://localhost/", files=files)
    form, body = ClientForm(request.headers["content-type"]), request.read()
    for start in range(0, len(body), piece_bytes):
        form.take(body[start : start + piece_bytes])
    return form.finished()


def raw(body: bytes) -> tuple[dict[str, Any], Any]:
    form = ClientForm(BOUNDARY)
    form.take(body)
    return form.finished()


def part(disposition: str, value: str) -> str:
    return f"--b\r\nContent-Disposition: form-data; {disposition}\r\n\r\n{value}\r\n"


def test_texts_are_fields_and_parts_with_a_file_name_are_files() -> None:
    fields, files = sent(("prompt", "a cät"), ("input_reference", b"\x89PNG\r\n"), ("seconds", "8"))

    assert fields == {"prompt": "a cät", "seconds": "8"}
    assert files == {"input_reference": [b"\x89PNG\r\n"]}


def test_brackets_are_unfolded() -> None:
    fields, files = sent(
        ("video[id]", "video_1"),
        ("input_reference[image_url]", "data:x"),
        ("a[b][c]", "deep"),
        ("tags[]", "one"),
        ("tags[]", "two"),
        ("places[0]", "first"),
        ("places[1]", "second"),
    )

    assert fields == {
        "video": {"id": "video_1"},
        "input_reference": {"image_url": "data:x"},
        "a": {"b": {"c": "deep"}},
        "tags": ["one", "two"],
        "places": ["first", "second"],
    }
    assert files == {}


def test_objects_in_a_list_begin_anew_when_a_field_comes_again() -> None:
    fields, _ = sent(
        ("images[][url]", "a"), ("images[][detail]", "low"), ("images[][url]", "b"), ("n", "1")
    )

    assert fields == {"images": [{"url": "a", "detail": "low"}, {"url": "b"}], "n": "1"}


def test_files_of_a_list_go_by_its_name() -> None:
    _, files = sent(("image[]", b"one"), ("image[]", b"two"), ("image", b"three"), ("mask", b"m"))

    assert files == {"image": [b"one", b"two", b"three"], "mask": [b"m"]}


def test_a_file_field_that_nobody_filled_in_is_no_file() -> None:
    body = part('name="prompt"', "x") + part('name="image"; filename=""', "") + "--b--\r\n"

    assert raw(body.encode()) == ({"prompt": "x"}, {})


def test_a_form_whose_fields_have_numbers_for_names_is_still_a_form() -> None:
    assert sent(("0", "a")) == ({"0": "a"}, {})


@pytest.mark.parametrize(
    ("parts", "param"),
    [
        ([("prompt", "a"), ("prompt", "b")], "prompt"),
        ([("video", "a"), ("video[id]", "b")], "video"),
        ([("video[id]", "a"), ("video", "b")], "video"),
        ([("a" + "[b]" * 6, "x")], "a"),
        ([("prompt", "a\0b")], "prompt"),
    ],
)
def test_a_form_that_means_two_things_is_refused_by_name(parts: Any, param: str) -> None:
    with pytest.raises(InvalidValue) as refused:
        sent(*parts)

    assert refused.value.param == param


@pytest.mark.parametrize("name", ["", "[]", "a]", "a[", "a[b", "a[b]c", "a[[b]]", "x" * 81])
def test_odd_names_are_refused(name: str) -> None:
    with pytest.raises(InvalidValue):
        sent((name, "x"))


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"nothing",
        b"--b\r\n",
        part('name="prompt"', "cut off").encode(),
        b"--b\r\nno header\r\n\r\nx\r\n--b--\r\n",
        b'--b\r\nContent-Disposition: form-data; name="p"\r\n\r\n\xff\xfe\r\n--b--\r\n',
        b"--b\r\nContent-Type: text/plain\r\n\r\nx\r\n--b--\r\n",
    ],
)
def test_a_form_that_is_broken_or_cut_off_is_refused(body: bytes) -> None:
    with pytest.raises(InvalidValue):
        raw(body)


@pytest.mark.parametrize("content_type", ["multipart/form-data", f"{BOUNDARY}{'b' * 300}"])
def test_a_boundary_is_needed_and_short(content_type: str) -> None:
    with pytest.raises(InvalidValue):
        ClientForm(content_type)


def test_a_form_has_an_end_to_its_parts() -> None:
    with pytest.raises(TooLarge):
        sent(*[(f"field{number}", "x") for number in range(MAX_PARTS + 1)])


def test_a_text_has_an_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("broker.api.forms.MAX_FIELD_BYTES", 100)

    assert sent(("prompt", "x" * 100), ("image", b"x" * 200))[0] == {"prompt": "x" * 100}
    with pytest.raises(TooLarge):
        sent(("prompt", "x" * 101))
