"""The demo's films, decoded frame by frame: they are what they claim to be, and they show their prompt."""

import io
from collections.abc import Iterator
from pathlib import Path

import av
import pytest
from PIL import Image, ImageChops

from broker.demo.film import inspect_film, render_film
from broker.demo.mishaps import FilmToolsMissing, UnusableImage

JOB = "job_" + "a1" * 16
SIZE = (640, 360)
#: Where the prompt, the frame count and the seconds are shown, at that size.
WORDS = (32, 100, 608, 240)
FRAME_COUNT = (32, 300, 220, 322)
SECONDS = (420, 300, 608, 322)


def rendered(folder: Path, *, job_id: str = JOB, prompt: str = "A cat", **more: object) -> Path:
    path = folder / f"{job_id}-{len(list(folder.iterdir()))}.mp4"
    options = {"seconds": 1, "fps": 12, "size": SIZE} | more
    render_film(path, job_id=job_id, prompt=prompt, **options)  # type: ignore[arg-type]
    return path


def pictures(path: Path) -> list[Image.Image]:
    with av.open(str(path)) as container:
        return [frame.to_image() for frame in container.decode(video=0)]


def ink(picture: Image.Image, box: tuple[int, int, int, int]) -> Image.Image:
    """The white letters within a box, as black and white."""
    return picture.crop(box).convert("L").point(lambda value: 255 if value > 200 else 0)


def differing_pixels(one: Image.Image, other: Image.Image) -> int:
    return sum(ImageChops.difference(one, other).histogram()[1:])


def atoms(path: Path) -> Iterator[bytes]:
    """The names of a file's outermost boxes, in order."""
    data, at = path.read_bytes(), 0
    while at < len(data):
        yield data[at + 4 : at + 8]
        at += int.from_bytes(data[at : at + 4], "big")


def test_the_film_is_h264_with_every_frame_it_promises(tmp_path: Path) -> None:
    film = rendered(tmp_path, seconds=2, fps=24)

    facts = inspect_film(film)

    assert (facts.codec, facts.width, facts.height) == ("h264", *SIZE)
    assert (facts.frames, facts.fps, facts.seconds) == (48, 24.0, 2.0)
    assert facts.size_bytes == film.stat().st_size


def test_the_film_says_whose_it_is(tmp_path: Path) -> None:
    facts = inspect_film(rendered(tmp_path, prompt="A cat playing piano"))

    assert facts.title == "A cat playing piano"
    assert JOB in facts.comment


def test_the_film_can_start_before_it_has_arrived_whole(tmp_path: Path) -> None:
    order = list(atoms(rendered(tmp_path)))

    assert order[0] == b"ftyp"
    assert order.index(b"moov") < order.index(b"mdat")


def test_the_prompt_is_on_the_picture(tmp_path: Path) -> None:
    with_cat = pictures(rendered(tmp_path, prompt="A cat playing piano"))[0]
    with_dog = pictures(rendered(tmp_path, prompt="A dog playing cards"))[0]

    assert ink(with_cat, WORDS).getbbox()
    assert differing_pixels(ink(with_cat, WORDS), ink(with_dog, WORDS)) > 100


def test_the_prompt_stands_still_while_frame_count_and_seconds_run(tmp_path: Path) -> None:
    shown = pictures(rendered(tmp_path))

    for earlier, later in zip(shown, shown[1:], strict=False):
        assert differing_pixels(ink(earlier, FRAME_COUNT), ink(later, FRAME_COUNT)) > 5
        assert differing_pixels(ink(earlier, SECONDS), ink(later, SECONDS)) > 5
    moved = differing_pixels(ink(shown[0], WORDS), ink(shown[-1], WORDS))
    assert moved < ink(shown[0], WORDS).histogram()[255] / 4


def test_the_background_moves(tmp_path: Path) -> None:
    shown = pictures(rendered(tmp_path))

    corner = (0, 0, 80, 20)
    assert shown[0].crop(corner).tobytes() != shown[len(shown) // 2].crop(corner).tobytes()


def test_two_jobs_with_one_prompt_leave_different_bytes(tmp_path: Path) -> None:
    first = rendered(tmp_path, job_id=JOB)
    second = rendered(tmp_path, job_id="job_" + "b2" * 16)

    assert first.read_bytes() != second.read_bytes()


def test_the_same_job_leaves_the_same_bytes_again(tmp_path: Path) -> None:
    assert rendered(tmp_path).read_bytes() == rendered(tmp_path).read_bytes()


@pytest.mark.parametrize(
    "prompt",
    [
        "",
        " \t\n ",
        "\x00\x1b[31m\u202e",
        "🎹🐈‍⬛ cat",
        "雨の屋根裏でピアノを弾く猫",
        "قطة تعزف على البيانو",
        "lone \ud800 surrogate",
        "W" * 5000,
        "many words " * 2000,
        "line\none\r\nline two",
        "e\u0301" * 300,
    ],
    ids=lambda prompt: ascii(prompt[:12]),
)
def test_no_prompt_is_too_odd_to_be_filmed(prompt: str, tmp_path: Path) -> None:
    facts = inspect_film(rendered(tmp_path, prompt=prompt))

    assert facts.frames == 12


def test_an_input_image_is_the_backdrop(tmp_path: Path) -> None:
    red = io.BytesIO()
    Image.new("RGB", (64, 64), (255, 0, 0)).save(red, "PNG")

    with_image = pictures(rendered(tmp_path, image=red.getvalue()))[0]

    r, g, b = with_image.getpixel((8, 200))  # type: ignore[misc]
    assert r > g + 40
    assert r > b + 40


def test_an_image_that_cannot_be_read_is_refused_and_leaves_no_film(tmp_path: Path) -> None:
    with pytest.raises(UnusableImage):
        rendered(tmp_path, image=b"not an image")

    assert list(tmp_path.iterdir()) == []


def test_progress_is_told_and_never_goes_back(tmp_path: Path) -> None:
    told: list[int] = []

    rendered(tmp_path, on_progress=told.append)

    assert told == sorted(told)
    assert len(told) == 12
    assert told[-1] == 100


def test_stopping_a_film_half_way_leaves_no_file(tmp_path: Path) -> None:
    class Stopped(Exception):
        pass

    def stop(percent: int) -> None:
        if percent >= 50:
            raise Stopped

    with pytest.raises(Stopped):
        rendered(tmp_path, on_progress=stop)

    assert list(tmp_path.iterdir()) == []


def test_a_cut_off_film_is_recognised(tmp_path: Path) -> None:
    film = rendered(tmp_path)
    film.write_bytes(film.read_bytes()[:200])

    with pytest.raises(ValueError, match="not a film that can be played"):
        inspect_film(film)


@pytest.mark.parametrize("library", ["av", "PIL"])
def test_a_missing_library_is_named_with_what_to_install(
    library: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Absent:
        def find_spec(self, name: str, *_: object) -> None:
            if name == library:
                raise ModuleNotFoundError(f"No module named {name!r}", name=name)

    monkeypatch.delitem(__import__("sys").modules, library)
    monkeypatch.setattr("sys.meta_path", [Absent()])

    with pytest.raises(FilmToolsMissing, match=rf"{library} is not installed.*requirements.txt"):
        rendered(tmp_path)
