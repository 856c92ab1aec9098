"""Thumbnails and spritesheets as the disk store makes them: what they show, what bounds them, what a kill leaves."""

import asyncio
import io
import os
from fractions import Fraction
from pathlib import Path

import av
import pytest
from PIL import Image

from broker.errors import NotFound
from broker.media import variants
from broker.media.folder import VARIANT_ENDINGS
from broker.media_ports import Variant
from tests.support.disk_media import JOB, OTHER, Opened, published, with_store
from tests.support.films import make_film

WHITE, GREY, BLACK = 235, 126, 16


def shades_film(path: Path, shades: list[int], *, size: tuple[int, int] = (640, 360)) -> bytes:
    """A film of 25 frames a second, each of one shade."""
    with av.open(str(path), "w", format="mp4") as film:
        video = film.add_stream("libx264", rate=Fraction(25))
        video.width, video.height, video.pix_fmt = *size, "yuv420p"
        video.options = {"preset": "ultrafast", "g": "25"}
        for number, shade in enumerate(shades):
            frame = av.VideoFrame(*size, "yuv420p")
            for plane, value in zip(frame.planes, (shade, 128, 128), strict=True):
                plane.update(bytes([value]) * plane.buffer_size)
            frame.pts = number
            film.mux(video.encode(frame))
        film.mux(video.encode())
    return path.read_bytes()


def shown(webp: bytes) -> Image.Image:
    image = Image.open(io.BytesIO(webp))
    assert image.format == "WEBP"
    return image.convert("L")


def cells_of(sheet: Image.Image) -> list[int]:
    """The shade in the middle of each of 25 cells."""
    width, height = sheet.width // 5, sheet.height // 5
    places = [(width * (n % 5) + width // 2, height * (n // 5) + height // 2) for n in range(25)]
    return [int(sheet.getpixel(place)) for place in places]  # type: ignore[arg-type]


def near(shade: int, wanted: int) -> bool:
    return abs(shade - wanted) <= 8


def test_a_thumbnail_is_the_first_frame_that_is_not_black(tmp_path: Path) -> None:
    film = shades_film(tmp_path / "film.mp4", [BLACK] * 20 + [GREY] * 10 + [WHITE] * 20)

    async def body(media: Opened) -> None:
        await published(media, JOB, film)
        image = shown((await media.store.variant(JOB, "thumbnail")).data)

        assert image.size == (480, 270)
        assert near(image.getpixel((240, 135)), 128)  # type: ignore[arg-type]

    with_store(tmp_path, body)


def test_a_film_that_is_black_has_a_thumbnail_all_the_same(tmp_path: Path) -> None:
    film = shades_film(tmp_path / "film.mp4", [BLACK] * 100)

    async def body(media: Opened) -> None:
        await published(media, JOB, film)
        image = shown((await media.store.variant(JOB, "thumbnail")).data)

        assert near(image.getpixel((240, 135)), 0)  # type: ignore[arg-type]

    with_store(tmp_path, body)


def test_a_small_film_is_not_enlarged_and_a_high_one_is_bounded(tmp_path: Path) -> None:
    small = shades_film(tmp_path / "small.mp4", [GREY] * 25, size=(64, 48))
    high = shades_film(tmp_path / "high.mp4", [GREY] * 25, size=(64, 2048))

    async def body(media: Opened) -> None:
        await published(media, JOB, small)
        await published(media, OTHER, high)

        assert shown((await media.store.variant(JOB, "thumbnail")).data).size == (64, 48)
        assert shown((await media.store.variant(OTHER, "thumbnail")).data).size == (30, 960)

    with_store(tmp_path, body)


def test_a_spritesheet_shows_frames_at_even_distances(tmp_path: Path) -> None:
    shades = [BLACK + (WHITE - BLACK) * second // 4 for second in range(5) for _ in range(25)]
    film = shades_film(tmp_path / "film.mp4", shades)

    async def body(media: Opened) -> None:
        await published(media, JOB, film)
        sheet = shown((await media.store.variant(JOB, "spritesheet")).data)

        assert sheet.size == (960, 540)
        wanted = [255 * second // 4 for second in range(5) for _ in range(5)]
        assert all(near(cell, shade) for cell, shade in zip(cells_of(sheet), wanted, strict=True))

    with_store(tmp_path, body)


def test_a_film_with_fewer_frames_than_cells_fills_the_sheet(tmp_path: Path) -> None:
    film = shades_film(tmp_path / "film.mp4", [GREY] * 13)

    async def body(media: Opened) -> None:
        await published(media, JOB, film)
        sheet = shown((await media.store.variant(JOB, "spritesheet")).data)

        assert all(near(cell, 128) for cell in cells_of(sheet))

    with_store(tmp_path, body)


@pytest.mark.parametrize("variant", list(VARIANT_ENDINGS))
def test_what_cannot_be_decoded_has_no_variant_and_leaves_nothing(
    tmp_path: Path, variant: Variant
) -> None:
    async def body(media: Opened) -> None:
        await published(media, JOB, b"no film at all" * 1000)
        before = media.tree()

        with pytest.raises(NotFound, match=variant):
            await media.store.variant(JOB, variant)
        assert media.tree() == before

    with_store(tmp_path, body)


def test_a_decoder_that_does_not_end_is_ended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    film = make_film(tmp_path / "film.mp4").read_bytes()
    monkeypatch.setattr(variants, "MAKE_SECONDS", 0.01)

    async def body(media: Opened) -> None:
        await published(media, JOB, film)

        with pytest.raises(NotFound):
            await media.store.variant(JOB, "thumbnail")

    with_store(tmp_path, body)


def test_a_variant_that_many_ask_for_is_made_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    film = make_film(tmp_path / "film.mp4").read_bytes()
    made = []
    read_apart = variants.read_apart

    def counted(script: str, *rest: object, **more: object) -> bytes:
        made.append(script)
        return read_apart(script, *rest, **more)  # type: ignore[arg-type]

    monkeypatch.setattr(variants, "read_apart", counted)

    async def body(media: Opened) -> None:
        await published(media, JOB, film)
        asked = [media.store.variant(JOB, "thumbnail") for _ in range(5)]

        assert len(set(await asyncio.gather(*asked))) == 1
        assert made == ["frames.py"]

    with_store(tmp_path, body)


def test_a_film_that_is_removed_while_its_variant_is_made_leaves_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    film = make_film(tmp_path / "film.mp4").read_bytes()
    keep = variants._keep

    def late(folder: object, data: bytes, still: Path, changed_ns: int) -> None:
        still.with_name(f"{JOB}.mp4").unlink()
        keep(folder, data, still, changed_ns)  # type: ignore[arg-type]

    monkeypatch.setattr(variants, "_keep", late)

    async def body(media: Opened) -> None:
        before = media.tree()
        await published(media, JOB, film)
        await media.store.variant(JOB, "thumbnail")

        assert media.tree() == before

    with_store(tmp_path, body)


def test_a_disk_that_keeps_nothing_costs_no_answer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    film = make_film(tmp_path / "film.mp4").read_bytes()

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(variants, "save_file", full)

    async def body(media: Opened) -> None:
        await published(media, JOB, film)

        assert shown((await media.store.variant(JOB, "thumbnail")).data).size == (160, 120)

    with_store(tmp_path, body)


def test_a_variant_whose_film_a_kill_has_parted_from_it_is_swept(tmp_path: Path) -> None:
    film = make_film(tmp_path / "film.mp4").read_bytes()

    async def body(media: Opened) -> None:
        await published(media, JOB, film)
        await published(media, OTHER, film)
        for name in (JOB, OTHER):
            await media.store.variant(name, "thumbnail")
        os.unlink(media.folder / f"{JOB}.mp4")
        (media.folder / "holiday.thumbnail.webp").write_bytes(b"not ours")

        assert await media.store.sweep_leftovers() == 1
        left = {path.name for path in media.folder.glob("*.webp")}
        assert left == {f"{OTHER}.thumbnail.webp", "holiday.thumbnail.webp"}

    with_store(tmp_path, body)
