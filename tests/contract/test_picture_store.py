"""Pictures in a media store: all of them or none, at one stroke, bounded, and nothing but their own names."""

import hashlib
import os
import struct
from pathlib import Path

import pytest

from broker.errors import NotFound, ResultRejected, StoreFailed, TooLarge
from broker.media import folder as folder_module
from broker.media import pictures as pictures_module
from broker.media.pictures import MAX_PICTURE_BYTES, inspect_picture
from broker.outputs import MAX_PICTURES, Picture
from tests.support.disk_media import (
    JOB,
    MIB,
    OTHER,
    Opened,
    opened,
    published,
    read_all,
    with_store,
)
from tests.support.images import chunk, png_of
from tests.support.running import run

JPEG = (
    b"\xff\xd8\xff\xe0\x00\x04JF"
    + b"\xff\xc0\x00\x0b\x08"
    + struct.pack(">HH", 48, 64)
    + b"\x01\x01\x11\x00"
    + b"\xff\xda\x00\x02pixels\xff\xd9"
)
_WEBP_BODY = b"WEBPVP8L" + struct.pack("<I", 5) + b"\x2f" + struct.pack("<I", 63 | 47 << 14) + b"\0"
WEBP = b"RIFF" + struct.pack("<I", len(_WEBP_BODY)) + _WEBP_BODY
GIF = b"GIF89a" + struct.pack("<HH", 64, 48) + b"\0\0\0;"
SET = (png_of(64, 48), JPEG, WEBP)


async def sent(media: Opened, *files: bytes, piece_bytes: int = MIB):  # type: ignore[no-untyped-def]
    """A sealed upload."""
    upload = await media.store.receive_pictures()
    for data in files or SET:
        await upload.begin()
        for start in range(0, len(data), piece_bytes):
            await upload.write(data[start : start + piece_bytes])
    await upload.seal()
    return upload


async def put(media: Opened, name: str = JOB, *files: bytes) -> None:
    await (await sent(media, *files)).publish(name)


@pytest.mark.parametrize("piece_bytes", [1, 7, MIB])
def test_published_pictures_read_back_byte_for_byte_and_in_order(
    tmp_path: Path, piece_bytes: int
) -> None:
    async def body(media: Opened) -> None:
        upload = await sent(media, piece_bytes=piece_bytes)
        told = await upload.inspect()
        await upload.publish(JOB)
        await upload.discard()

        for data, picture, name in zip(SET, told, ("1.png", "2.jpg", "3.webp"), strict=True):
            assert await read_all(media, f"{JOB}.{name}") == data
            assert picture.sha256 == hashlib.sha256(data).hexdigest()
            assert (picture.size_bytes, picture.width, picture.height) == (len(data), 64, 48)
            found = await media.store.find(f"{JOB}.{name}")
            assert found is not None
            assert found.size_bytes == len(data)
        assert list(await media.store.inspect_pictures(JOB)) == list(told)
        assert media.parts() == []

    with_store(tmp_path, body)


def test_ten_pictures_keep_their_order_and_an_eleventh_is_refused(tmp_path: Path) -> None:
    files = [png_of(100 + number, 10) for number in range(MAX_PICTURES)]

    async def body(media: Opened) -> None:
        upload = await sent(media, *files)
        with pytest.raises(TooLarge, match="10 images"):
            await upload.begin()
        await upload.publish(JOB)

        widths = [picture.width for picture in await media.store.inspect_pictures(JOB)]
        assert widths == [100 + number for number in range(MAX_PICTURES)]

    with_store(tmp_path, body)


def test_nothing_is_visible_before_publication_and_nothing_after_a_discard(tmp_path: Path) -> None:
    async def body(media: Opened) -> None:
        upload = await sent(media)
        assert await media.store.find(f"{JOB}.1.png") is None
        assert await media.store.films() == []

        for _ in range(2):
            await upload.discard()

        assert media.parts() == []
        assert [path for path in media.folder.iterdir() if not path.name.startswith(".")] == []

    with_store(tmp_path, body)


@pytest.mark.parametrize("step", ["replace", "sync", "rename"])
def test_a_publication_that_breaks_off_shows_none_of_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    """Whatever the disk refuses, before the last rename there is nothing, and the worker may send again."""
    calls = 0

    def refuse(*_: object) -> None:
        nonlocal calls
        calls += 1
        if calls == (2 if step == "replace" else 1):
            raise OSError(5, "Input/output error")
        os.rename(*_)  # type: ignore[arg-type]

    async def body(media: Opened) -> None:
        upload = await sent(media)
        with monkeypatch.context() as broken:
            if step == "replace":
                broken.setattr(folder_module.os, "replace", refuse)
            else:
                name = {"sync": "_sync_folder", "rename": "put_in_place"}[step]
                broken.setattr(folder_module, name, refuse)
            with pytest.raises(StoreFailed):
                await upload.publish(JOB)
        await upload.discard()

        assert await media.store.films() == []
        assert await media.store.find(f"{JOB}.1.png") is None
        assert media.parts() == []
        await put(media)
        assert await read_all(media, f"{JOB}.3.webp") == WEBP

    with_store(tmp_path, body)


def test_pictures_published_again_take_the_place_of_the_first(tmp_path: Path) -> None:
    async def body(media: Opened) -> None:
        await put(media)
        pieces = media.store.read(f"{JOB}.2.jpg", 0, 1000)
        first = await anext(pieces)

        await put(media, JOB, png_of(9, 9))

        assert first + b"".join([piece async for piece in pieces]) == JPEG
        assert [p.width for p in await media.store.inspect_pictures(JOB)] == [9]
        assert await media.store.find(f"{JOB}.2.jpg") is None
        assert media.parts() == []

    with_store(tmp_path, body)


def test_late_pictures_stand_beside_the_first_and_all_are_listed_with_the_films(
    tmp_path: Path,
) -> None:
    async def body(media: Opened) -> None:
        await put(media)
        await put(media, f"{JOB}.late", JPEG)
        await published(media, OTHER, b"film")
        for age, name in enumerate([f"{JOB}.images", f"{JOB}.late.images", f"{OTHER}.mp4"]):
            os.utime(media.folder / name, (0, 1000 - age))
        (media.folder / "holiday.images").mkdir()
        (media.folder / f"{OTHER}.images").write_bytes(b"not a folder")

        films = await media.store.films()

        assert [film.name for film in films] == [OTHER, f"{JOB}.late", JOB]
        assert [film.size_bytes for film in films] == [4, len(JPEG), sum(map(len, SET))]
        assert await read_all(media, f"{JOB}.late.1.jpg") == JPEG

    with_store(tmp_path, body)


def test_a_removal_takes_all_of_them_and_cuts_no_reader(tmp_path: Path) -> None:
    async def body(media: Opened) -> None:
        await put(media)
        pieces = media.store.read(f"{JOB}.1.png", 0, 1000)
        first = await anext(pieces)

        assert await media.store.remove(JOB) is True
        assert await media.store.remove(JOB) is False

        assert first + b"".join([piece async for piece in pieces]) == SET[0]
        assert await media.store.films() == []
        with pytest.raises(NotFound):
            await media.store.inspect_pictures(JOB)
        assert media.parts() == []

    with_store(tmp_path, body)


ENDS = ["", ".", ".0.png", ".11.png", ".01.png", ".1.gif", ".1.PNG", ".1", ".1.png.", ".1.png\n"]
ENDS += [".images", ".images/1.png", ".late.late.1.png", ".1.mp4", ".١.png", "/1.png", ".1.png/.."]


@pytest.mark.parametrize("end", ENDS)
def test_what_is_not_the_name_of_a_picture_reaches_no_file(tmp_path: Path, end: str) -> None:
    name = JOB + end

    async def body(media: Opened) -> None:
        await put(media)
        before = media.tree()

        assert await media.store.find(name) is None
        with pytest.raises(NotFound):
            await read_all(media, name)
        with pytest.raises(NotFound):
            await media.store.digest(name)
        if end:
            upload = await sent(media, JPEG)
            with pytest.raises(NotFound):
                await upload.publish(name)
            await upload.discard()
            assert await media.store.remove(name) is False
        assert media.tree() == before

    with_store(tmp_path, body)


@pytest.mark.skipif(os.name != "posix", reason="links and modes are a POSIX matter")
def test_a_link_leads_nowhere_and_everything_is_its_owners_alone(tmp_path: Path) -> None:
    async def body(media: Opened) -> None:
        await put(media)
        secret = tmp_path / "secret.png"
        secret.write_bytes(SET[0])
        (media.folder / f"{JOB}.images" / "4.png").symlink_to(secret)
        outside = tmp_path / "outside"
        outside.mkdir()
        (outside / "1.png").write_bytes(SET[0])
        (media.folder / f"{OTHER}.images").symlink_to(outside)

        for name in (f"{JOB}.4.png", f"{OTHER}.1.png"):
            assert await media.store.find(name) is None
        assert [film.name for film in await media.store.films()] == [JOB]
        kept = media.folder / f"{JOB}.images"
        assert kept.stat().st_mode & 0o077 == 0
        assert (kept / "1.png").stat().st_mode & 0o077 == 0

    with_store(tmp_path, body)


def test_what_an_earlier_run_left_half_done_is_swept(tmp_path: Path) -> None:
    async def body(media: Opened) -> None:
        half = media.folder / ".incoming" / f"{'0' * 32}.part"
        half.mkdir()
        (half / "1.png").write_bytes(SET[0])
        under_way = await sent(media)

        assert await media.store.sweep_leftovers() == 1

        assert not half.exists()
        await under_way.publish(JOB)
        assert len(await media.store.inspect_pictures(JOB)) == 3

    with_store(tmp_path, body)


def test_pictures_of_an_earlier_run_are_whole_after_a_restart(tmp_path: Path) -> None:
    async def first() -> list[Picture]:
        async with opened(tmp_path / "videos") as media:
            await put(media)
            return list(await media.store.inspect_pictures(JOB))

    async def second() -> list[Picture]:
        async with opened(tmp_path / "videos") as media:
            assert await media.store.sweep_leftovers() == 0
            return list(await media.store.inspect_pictures(JOB))

    assert run(first()) == run(second())


def test_one_picture_and_all_together_are_bounded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pictures_module, "MAX_PICTURE_BYTES", MIB)

    async def body(media: Opened) -> None:
        single = await media.store.receive_pictures()
        await single.begin()
        with pytest.raises(TooLarge, match="1,048,576"):
            await single.write(bytes(MIB + 1))
        await single.discard()
        together = await media.store.receive_pictures()
        for _ in range(2):
            await together.begin()
            await together.write(bytes(MIB))
        await together.begin()
        with pytest.raises(TooLarge):
            await together.write(bytes(MIB // 2 + 1))
        await together.discard()

        assert media.parts() == []

    with_store(tmp_path, body, max_upload_bytes=2 * MIB + MIB // 2)
    assert MAX_PICTURE_BYTES == 32 * MIB


# The gate.


@pytest.mark.parametrize(
    ("data", "gate_class"),
    [
        (b"", "empty"),
        (b"<html><img src=x></html>", "not_image"),
        (b"half an image", "not_image"),
        (b'{"error": "expired"}', "not_image"),
        (GIF, "not_image"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "not_image"),
        (SET[0] + b"<script>alert(1)</script>" + SET[0][-12:], "not_image"),
        (JPEG + b"PK\x05\x06" + bytes(18), "not_image"),
        (SET[0][:-1], "truncated"),
        (SET[0][:20], "truncated"),
        (JPEG[:-2], "truncated"),
        (JPEG[:12], "truncated"),
        (WEBP[:-1], "truncated"),
        (WEBP + b"more", "truncated"),
        (png_of(0, 48), "implausible_size"),
        (png_of(100_000, 100_000), "implausible_size"),
        (png_of(2**31, 2**31), "implausible_size"),
    ],
)
def test_what_is_not_a_whole_picture_is_refused_by_its_class(
    tmp_path: Path, data: bytes, gate_class: str
) -> None:
    path = tmp_path / "file"
    path.write_bytes(data)

    with pytest.raises(ResultRejected) as refused:
        inspect_picture(path)

    assert refused.value.gate_class == gate_class
    assert refused.value.message


def test_a_picture_that_would_unfold_to_gigabytes_is_not_unfolded(tmp_path: Path) -> None:
    """Its header says what it claims to be; nothing is decoded, so nothing grows."""
    path = tmp_path / "bomb.png"
    pixels = chunk(b"IDAT", b"x\x9c" + bytes(1000))
    path.write_bytes(
        png_of(50_000, 50_000).replace(chunk(b"IEND", b""), pixels + chunk(b"IEND", b""))
    )

    with pytest.raises(ResultRejected, match="megapixels"):
        inspect_picture(path)


def test_one_bad_picture_is_refused_for_all(tmp_path: Path) -> None:
    async def body(media: Opened) -> None:
        upload = await sent(media, SET[0], b"", JPEG)

        with pytest.raises(ResultRejected) as refused:
            await upload.inspect()
        with pytest.raises(ResultRejected):
            await upload.publish(JOB)
        await upload.discard()

        assert refused.value.gate_class == "empty"
        assert media.parts() == []
        assert await media.store.films() == []

    with_store(tmp_path, body)
