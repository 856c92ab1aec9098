"""What a media store promises, proved on the disk: whole or not at all, bounded, and nothing but its own names."""

import hashlib
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from broker.errors import NotFound, ResultRejected, TooLarge
from broker.media_ports import Variant
from tests.support.disk_media import (
    FILM,
    JOB,
    MIB,
    OTHER,
    Opened,
    published,
    read_all,
    sent,
    with_memory,
    with_store,
)
from tests.support.films import make_film

WRONG_ENDS = (".mp4", ".late.late", ".LATE", "\n", "\0", ".", " ", "/", "0", ":stream")
WRONG_STARTS = ("../", "..\\", "./", ".incoming/", ".inputs/", "C:\\", "%2e%2e%2f", "/")
VARIANTS: list[Variant] = ["thumbnail", "spritesheet"]
HOSTILE_NAMES = [
    *(JOB + end for end in WRONG_ENDS),
    *(start + JOB for start in WRONG_STARTS),
    *("", ".", "..", "job_", "con", "nul.mp4", "/etc/passwd", "a" * 5000),
    *(JOB.upper(), JOB[:-1], "job_" + "g" * 32, "job_" + "٠" * 32),
]


def test_a_published_film_reads_back_byte_for_byte(tmp_path: Path) -> None:
    async def body(media: Opened) -> None:
        upload = await published(media)

        film = await media.store.find(JOB)

        assert film is not None
        assert (film.name, film.size_bytes) == (JOB, len(FILM))
        assert await read_all(media, JOB) == FILM
        assert (upload.size_bytes, upload.sha256) == (len(FILM), hashlib.sha256(FILM).hexdigest())
        assert await media.store.digest(JOB) == upload.sha256

    with_store(tmp_path, body)


def test_nothing_is_visible_before_publication(tmp_path: Path) -> None:
    async def body(media: Opened) -> None:
        await sent(media)

        assert await media.store.find(JOB) is None
        assert await media.store.films() == []
        assert list(media.folder.glob("*.mp4")) == []

    with_store(tmp_path, body)


@pytest.mark.parametrize("piece_bytes", [1, 4095, 65_536, MIB, MIB + 1, 3 * MIB])
def test_pieces_of_any_size_make_the_same_film(tmp_path: Path, piece_bytes: int) -> None:
    data = FILM[: min(len(FILM), piece_bytes * 3000)]

    async def body(media: Opened) -> None:
        upload = await media.store.receive()
        reused = bytearray(piece_bytes)
        for start in range(0, len(data), piece_bytes):
            piece = data[start : start + piece_bytes]
            reused[: len(piece)] = piece
            await upload.write(memoryview(reused)[: len(piece)])
            assert upload.sha256 == hashlib.sha256(data[: start + piece_bytes]).hexdigest()
            if upload.size_bytes > 50 * piece_bytes:
                break
        taken = data[: upload.size_bytes]
        await upload.seal()
        await upload.publish(JOB)

        assert upload.sha256 == hashlib.sha256(taken).hexdigest()
        assert (media.folder / f"{JOB}.mp4").read_bytes() == taken

    with_store(tmp_path, body)


@pytest.mark.parametrize(
    ("start", "stop"),
    [
        (0, 1),
        (0, 0),
        (5, 5),
        (7, 3),
        (1, len(FILM)),
        (524_287, 524_289),
        (len(FILM) - 1, len(FILM)),
    ],
)
def test_a_range_is_exactly_what_was_asked_for(tmp_path: Path, start: int, stop: int) -> None:
    async def body(media: Opened) -> None:
        await published(media)

        assert await read_all(media, JOB, start, stop) == FILM[start:stop]

    with_store(tmp_path, body)


def test_a_read_past_the_end_stops_at_the_end(tmp_path: Path) -> None:
    async def body(media: Opened) -> None:
        await published(media)

        assert await read_all(media, JOB, len(FILM) - 10, len(FILM) + 999) == FILM[-10:]
        assert await read_all(media, JOB, len(FILM) + 1, len(FILM) + 999) == b""

    with_store(tmp_path, body)


def test_a_film_that_is_not_there_is_not_found(tmp_path: Path) -> None:
    async def body(media: Opened) -> None:
        assert await media.store.find(JOB) is None
        assert await media.store.remove(JOB) is False
        with pytest.raises(NotFound):
            await read_all(media, JOB)
        with pytest.raises(NotFound):
            await media.store.digest(JOB)
        with pytest.raises(NotFound):
            await media.store.inspect(JOB)

    with_store(tmp_path, body)


@pytest.mark.parametrize("name", HOSTILE_NAMES)
def test_what_is_not_the_name_of_a_film_reaches_no_file(tmp_path: Path, name: str) -> None:
    async def body(media: Opened) -> None:
        upload = await sent(media)
        before = media.tree()

        assert await media.store.find(name) is None
        assert await media.store.remove(name) is False
        for act in (media.store.digest, media.store.inspect, upload.publish):
            with pytest.raises(NotFound):
                await act(name)
        with pytest.raises(NotFound):
            await read_all(media, name)
        assert media.tree() == before

    with_store(tmp_path, body)


def test_a_late_film_stands_beside_the_first(tmp_path: Path) -> None:
    async def body(media: Opened) -> None:
        await published(media, JOB)
        await published(media, f"{JOB}.late", b"late")

        assert await read_all(media, JOB) == FILM
        assert await read_all(media, f"{JOB}.late") == b"late"

    with_store(tmp_path, body)


def test_films_are_listed_oldest_first_and_nothing_else_is(tmp_path: Path) -> None:
    async def body(media: Opened) -> None:
        for age, name in enumerate([JOB, OTHER, f"{JOB}.late"]):
            await published(media, name, b"film")
            os.utime(media.folder / f"{name}.mp4", (0, 1_000 - age))
        (media.folder / "holiday.mp4").write_bytes(b"not ours")
        (media.folder / f"{OTHER}.mp4.bak").write_bytes(b"not ours")

        films = await media.store.films()

        assert [film.name for film in films] == [f"{JOB}.late", OTHER, JOB]
        assert [film.modified_at for film in films] == [998, 999, 1000]

    with_store(tmp_path, body)


def test_a_removal_midway_does_not_cut_the_reader(tmp_path: Path) -> None:
    async def body(media: Opened) -> None:
        await published(media)
        pieces = media.store.read(JOB, 0, len(FILM))
        first = await anext(pieces)

        assert await media.store.remove(JOB) is True

        assert first + b"".join([piece async for piece in pieces]) == FILM
        assert await media.store.find(JOB) is None

    with_store(tmp_path, body)


def test_a_film_published_again_leaves_the_reader_of_the_first_alone(tmp_path: Path) -> None:
    async def body(media: Opened) -> None:
        await published(media)
        pieces = media.store.read(JOB, 0, len(FILM))
        first = await anext(pieces)

        await published(media, JOB, FILM[::-1])

        assert first + b"".join([piece async for piece in pieces]) == FILM
        assert await read_all(media, JOB) == FILM[::-1]

    with_store(tmp_path, body)


def test_an_upload_over_the_limit_is_refused_and_leaves_nothing(tmp_path: Path) -> None:
    async def body(media: Opened) -> None:
        upload = await media.store.receive()
        await upload.write(bytes(2 * MIB))
        with pytest.raises(TooLarge, match="2,097,152 bytes"):
            await upload.write(b"x")

        assert media.parts() == []
        with pytest.raises(TooLarge):
            await upload.seal()

    with_store(tmp_path, body, max_upload_bytes=2 * MIB)


def test_an_upload_of_exactly_the_limit_is_taken(tmp_path: Path) -> None:
    async def body(media: Opened) -> None:
        await published(media, JOB, bytes(2 * MIB))

        assert await media.store.find(JOB) is not None

    with_store(tmp_path, body, max_upload_bytes=2 * MIB)


def test_a_discarded_upload_leaves_nothing_however_often(tmp_path: Path) -> None:
    async def body(media: Opened) -> None:
        begun, whole = await media.store.receive(), await sent(media)
        await begun.write(bytes(3 * MIB))
        for upload in (begun, whole, begun, whole):
            await upload.discard()

        assert media.parts() == []

    with_store(tmp_path, body)


def test_discarding_what_was_published_keeps_it(tmp_path: Path) -> None:
    async def body(media: Opened) -> None:
        upload = await published(media)
        await upload.discard()

        assert await read_all(media, JOB) == FILM

    with_store(tmp_path, body)


def test_the_gate_judges_an_upload_and_a_stored_film_alike(tmp_path: Path) -> None:
    film = make_film(tmp_path / "film.mp4", seconds=1).read_bytes()

    async def body(media: Opened) -> None:
        upload = await sent(media, film)
        facts = await upload.inspect()
        await upload.publish(JOB)

        assert facts.duration_seconds == 1.0
        assert await media.store.inspect(JOB) == facts

    with_store(tmp_path, body)


@pytest.mark.parametrize(("data", "gate_class"), [(b"", "empty"), (b"<html>" * 99, "not_mp4")])
def test_a_refused_upload_says_why_and_may_be_discarded(
    tmp_path: Path, data: bytes, gate_class: str
) -> None:
    async def body(media: Opened) -> None:
        upload = await sent(media, data)
        with pytest.raises(ResultRejected) as refused:
            await upload.inspect()
        await upload.discard()

        assert refused.value.gate_class == gate_class
        assert media.parts() == []

    with_store(tmp_path, body)


In = Callable[..., None]
on_each = pytest.mark.parametrize("in_store", [with_store, with_memory], ids=["disk", "memory"])


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    return make_film(tmp_path_factory.mktemp("film") / "film.mp4").read_bytes()


@on_each
def test_each_variant_of_a_film_is_another_webp_and_stays_the_same(
    tmp_path: Path, in_store: In, film: bytes
) -> None:
    async def body(media: Opened) -> None:
        await published(media, JOB, film)

        thumbnail = await media.store.variant(JOB, "thumbnail")
        sheet = await media.store.variant(JOB, "spritesheet")

        assert (thumbnail.mime, sheet.mime) == ("image/webp", "image/webp")
        assert thumbnail.data != sheet.data
        assert await media.store.variant(JOB, "thumbnail") == thumbnail

    in_store(tmp_path, body)


@on_each
def test_a_variant_is_no_film(tmp_path: Path, in_store: In, film: bytes) -> None:
    async def body(media: Opened) -> None:
        await published(media, JOB, film)
        await media.store.variant(JOB, "thumbnail")

        assert [found.name for found in await media.store.films()] == [JOB]
        assert (await media.store.films())[0].size_bytes == len(film)
        assert await media.store.find(f"{JOB}.thumbnail") is None

    in_store(tmp_path, body)


@on_each
def test_a_variant_goes_with_its_film(tmp_path: Path, in_store: In, film: bytes) -> None:
    async def body(media: Opened) -> None:
        before = media.tree()
        await published(media, JOB, film)
        for variant in VARIANTS:
            await media.store.variant(JOB, variant)
        await media.store.remove(JOB)

        assert media.tree() == before
        for variant in VARIANTS:
            with pytest.raises(NotFound):
                await media.store.variant(JOB, variant)

    in_store(tmp_path, body)


@on_each
def test_another_film_under_the_same_name_has_another_variant(
    tmp_path: Path, in_store: In, film: bytes
) -> None:
    other = make_film(tmp_path / "other.mp4", text_seed="other").read_bytes()

    async def body(media: Opened) -> None:
        await published(media, JOB, film)
        first = await media.store.variant(JOB, "thumbnail")
        await published(media, JOB, other)

        assert await media.store.variant(JOB, "thumbnail") != first

    in_store(tmp_path, body)


@on_each
@pytest.mark.parametrize("name", [OTHER, *HOSTILE_NAMES, f"{JOB}.1.png"])
def test_what_is_no_film_has_no_variant(tmp_path: Path, in_store: In, name: str) -> None:
    async def body(media: Opened) -> None:
        before = media.tree()

        with pytest.raises(NotFound):
            await media.store.variant(name, "thumbnail")
        assert media.tree() == before

    in_store(tmp_path, body)


def test_an_input_image_is_kept_until_it_is_removed(tmp_path: Path) -> None:
    async def body(media: Opened) -> None:
        await media.store.save_input(FILM, f"{JOB}.0")
        await media.store.save_input(b"second", f"{JOB}.1")

        assert await media.store.load_input(f"{JOB}.0") == FILM
        assert media.parts() == []
        for _ in range(2):
            await media.store.remove_input(f"{JOB}.0")
        with pytest.raises(NotFound):
            await media.store.load_input(f"{JOB}.0")
        assert await media.store.load_input(f"{JOB}.1") == b"second"

    with_store(tmp_path, body)


@pytest.mark.parametrize(
    "name",
    ["", ".", "..", "a/b", "a\\b", "../a", "A", "a.", ".a", "a\0", "nul", "com1.png", "a" * 200],
)
def test_what_is_not_the_name_of_an_input_reaches_no_file(tmp_path: Path, name: str) -> None:
    async def body(media: Opened) -> None:
        before = media.tree()

        with pytest.raises(NotFound):
            await media.store.save_input(b"image", name)
        with pytest.raises(NotFound):
            await media.store.load_input(name)
        await media.store.remove_input(name)
        assert media.tree() == before

    with_store(tmp_path, body)
