"""The film gate: whole films pass, and nothing else does, wherever it was cut and whatever it pretends to be."""

import io
import os
import shutil
import zipfile
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from time import perf_counter

import pytest

from broker.errors import ResultRejected
from broker.media import gate
from broker.media.gate import inspect_film
from tests.support.films import HEIGHT, WIDTH, make_film, make_sound

LAYOUTS = [
    pytest.param({"faststart": True}, id="index first"),
    pytest.param({"faststart": False}, id="index last"),
    pytest.param({"fragmented": True}, id="in fragments"),
]


def box(kind: bytes, body: bytes = b"") -> bytes:
    return (8 + len(body)).to_bytes(4, "big") + kind + body


def box_starts(data: bytes) -> list[int]:
    starts, at = [], 0
    while at < len(data):
        starts.append(at)
        at += int.from_bytes(data[at : at + 4], "big")
    return starts


def refusal(path: Path) -> str:
    with pytest.raises(ResultRejected) as refused:
        inspect_film(path)
    assert refused.value.message
    return refused.value.gate_class


def written(path: Path, data: bytes) -> Path:
    path.write_bytes(data)
    return path


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_whole_film_passes_with_its_facts(tmp_path: Path, layout: dict[str, bool]) -> None:
    film = make_film(tmp_path / "film.mp4", seconds=2, **layout)

    facts = inspect_film(film)

    assert facts == (2.0, WIDTH, HEIGHT)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_film_cut_anywhere_is_refused(tmp_path: Path, layout: dict[str, bool]) -> None:
    film = make_film(tmp_path / "film.mp4", **layout)
    data = film.read_bytes()
    edges = [start + offset for start in box_starts(data) for offset in range(-9, 17)]
    steps = [len(data) * step // 200 for step in range(200)]
    cuts = {cut for cut in edges + steps + [len(data) - 1] if 0 < cut < len(data)}

    # From the longest down, so that one file serves for all.
    classes = [_cut_and_judge(film, cut) for cut in sorted(cuts, reverse=True)]

    assert set(classes) <= {"truncated", "not_mp4"}
    assert classes[0] == "truncated"


def _cut_and_judge(film: Path, size_bytes: int) -> str:
    os.truncate(film, size_bytes)
    return refusal(film)


def test_a_film_that_gave_up_pictures_and_hides_it_is_refused(tmp_path: Path) -> None:
    data = make_film(tmp_path / "film.mp4", faststart=True).read_bytes()
    mdat_at = box_starts(data)[-1]
    shorter = box(b"mdat", data[mdat_at + 8 : -1000])

    film = written(tmp_path / "shorter.mp4", data[:mdat_at] + shorter)

    assert refusal(film) == "truncated"


def test_a_film_that_does_not_say_where_it_ends_is_refused(tmp_path: Path) -> None:
    data = make_film(tmp_path / "film.mp4", faststart=True).read_bytes()
    mdat_at = box_starts(data)[-1]

    film = written(tmp_path / "open.mp4", data[:mdat_at] + bytes(4) + data[mdat_at + 4 :])

    assert refusal(film) == "truncated"


def test_a_film_with_a_64_bit_length_passes(tmp_path: Path) -> None:
    data = make_film(tmp_path / "film.mp4", faststart=False).read_bytes()
    free_at, mdat_at, moov_at = box_starts(data)[1:]
    # The writer leaves eight free bytes in front of the pictures for just this.
    head = (1).to_bytes(4, "big") + b"mdat" + (moov_at - free_at).to_bytes(8, "big")

    film = written(tmp_path / "long.mp4", data[:free_at] + head + data[mdat_at + 8 :])

    assert inspect_film(film).duration_seconds == 2.0


def _zipped() -> bytes:
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as files:
        files.writestr("index.html", "<script>alert(1)</script>" * 99)
    return archive.getvalue()


PAGE = b"<!doctype html><html><body><script>alert(1)</script></body></html>" * 40
DRAWING = b'<svg xmlns="http://www.w3.org/2000/svg"><script>alert(1)</script></svg>' * 40
FTYP = box(b"ftyp", b"isom\0\0\2\0isomiso2avc1mp41")
PRETENDERS: dict[str, Callable[[bytes], bytes]] = {
    "a page": lambda film: PAGE,
    "a drawing": lambda film: DRAWING,
    "an archive": lambda film: _zipped(),
    "noise": lambda film: bytes(range(256)) * 20,
    "zeros": lambda film: bytes(5000),
    "another container": lambda film: b"\x1aE\xdf\xa3" + film[4:],
    "a page that has ftyp in the right place": lambda film: b"<!--ftypisom-->" + PAGE,
    "a page inside ftyp": lambda film: box(b"ftyp", b"isom\0\0\2\0" + PAGE) + film,
    "a film with a page behind it": lambda film: film + PAGE,
    "a film with a drawing behind it": lambda film: film + b"\n" + DRAWING,
    "a film with an archive behind it": lambda film: film + _zipped(),
    "a film behind an archive": lambda film: _zipped() + film,
    "boxes without end": lambda film: FTYP + box(b"free") * (gate.MAX_BOXES + 1),
}


@pytest.mark.parametrize("pretender", PRETENDERS)
def test_what_is_not_an_mp4_alone_is_refused(tmp_path: Path, pretender: str) -> None:
    film = make_film(tmp_path / "film.mp4").read_bytes()

    file = written(tmp_path / "pretender.mp4", PRETENDERS[pretender](film))

    assert refusal(file) == "not_mp4"


def test_an_empty_file_is_refused(tmp_path: Path) -> None:
    assert refusal(written(tmp_path / "empty.mp4", b"")) == "empty"


def test_a_film_of_a_few_bytes_is_refused(tmp_path: Path) -> None:
    tiny = FTYP + box(b"moov") + box(b"mdat", b"x")

    assert refusal(written(tmp_path / "tiny.mp4", tiny)) == "implausible_size"


def test_boxes_without_a_film_in_them_are_refused(tmp_path: Path) -> None:
    hollow = FTYP + box(b"moov") + box(b"mdat", bytes(5000))

    assert refusal(written(tmp_path / "hollow.mp4", hollow)) == "no_video_track"


def test_sound_alone_is_refused(tmp_path: Path) -> None:
    assert refusal(make_sound(tmp_path / "sound.mp4")) == "no_video_track"


@pytest.mark.parametrize(("seconds", "fps"), [(0.25, Fraction(12)), (660, Fraction(1, 30))])
def test_a_film_of_an_implausible_length_is_refused(
    tmp_path: Path, seconds: float, fps: Fraction
) -> None:
    film = make_film(tmp_path / "film.mp4", seconds=seconds, fps=fps)

    assert refusal(film) == "implausible_duration"


def test_a_film_with_hardly_any_bytes_a_second_is_refused(tmp_path: Path) -> None:
    film = make_film(tmp_path / "film.mp4", seconds=550, fps=Fraction(1, 50))

    assert refusal(film) == "implausible_size"


def test_one_wrong_byte_that_keeps_the_library_busy_is_refused_in_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = bytearray(make_film(tmp_path / "film.mp4").read_bytes())
    monkeypatch.setattr(gate, "READ_SECONDS", 0.5)

    # The table of frame lengths now has four thousand million rows.
    data[data.index(b"stts") + 8] = 0xFF
    started = perf_counter()
    gate_class = refusal(written(tmp_path / "busy.mp4", bytes(data)))

    assert gate_class == "not_mp4"
    assert perf_counter() - started < 5


def test_what_stands_beside_a_film_is_not_opened(tmp_path: Path) -> None:
    film = make_film(tmp_path / "film1.mp4", seconds=1)
    shutil.copy(make_film(tmp_path / "other.mp4", seconds=3), tmp_path / "film2.mp4")

    assert inspect_film(film).duration_seconds == 1.0
