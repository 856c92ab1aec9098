"""Input images: told by their own bytes, bounded before they are decoded, and nothing else besides an image."""

import base64
import io
import zipfile
from time import perf_counter

import pytest
from PIL import Image

from broker.errors import InvalidValue, TooLarge
from broker.media.images import MAX_BYTES, decode_image, read_image
from tests.support.images import chunk, png_of

WIDTH, HEIGHT = 37, 23


def drawn(kind: str, mode: str = "RGB", **options: object) -> bytes:
    file = io.BytesIO()
    Image.new(mode, (WIDTH, HEIGHT), 1).save(file, kind, **options)
    return file.getvalue()


def animated(kind: str) -> bytes:
    file = io.BytesIO()
    frames = [Image.new("RGB", (WIDTH, HEIGHT), colour) for colour in ("red", "blue")]
    frames[0].save(file, kind, save_all=True, append_images=frames[1:], duration=100)
    return file.getvalue()


def archive() -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as files:
        files.writestr("index.html", "x" * 100)
        files.comment = b"a comment"
    return file.getvalue()


PNG, JPEG, GIF = drawn("PNG"), drawn("JPEG"), drawn("GIF")
TAKEN = {
    "png": (PNG, "image/png"),
    "png with a palette": (drawn("PNG", "P"), "image/png"),
    "jpeg": (JPEG, "image/jpeg"),
    "progressive jpeg": (drawn("JPEG", progressive=True), "image/jpeg"),
    "grey jpeg": (drawn("JPEG", "L"), "image/jpeg"),
    "jpeg with a comment": (drawn("JPEG", comment=b"c" * 60_000), "image/jpeg"),
    "jpeg with what a phone appends": (JPEG + b"\0\0\0\x18ftypmp42" + bytes(90), "image/jpeg"),
    "gif": (GIF, "image/gif"),
    "moving gif": (animated("GIF"), "image/gif"),
    "lossy webp": (drawn("WEBP"), "image/webp"),
    "lossless webp": (drawn("WEBP", lossless=True), "image/webp"),
    "webp with alpha": (drawn("WEBP", "RGBA"), "image/webp"),
    "moving webp": (animated("WEBP"), "image/webp"),
}


@pytest.mark.parametrize("image", TAKEN)
def test_an_image_is_told_by_its_bytes(image: str) -> None:
    data, mime = TAKEN[image]

    assert read_image(data) == (mime, WIDTH, HEIGHT)


SVG = b'<svg xmlns="http://www.w3.org/2000/svg"><script>alert(1)</script></svg>'
PAGE = b"<!doctype html><script>alert(1)</script>"
REFUSED = {
    "nothing": b"",
    "text": b"a cat on a roof",
    "a drawing": SVG,
    "a drawing with a prologue": b'\xef\xbb\xbf<?xml version="1.0"?>' + SVG,
    "a page": PAGE,
    "a film": b"\0\0\0\x20ftypisom" + bytes(500),
    "a photograph of another kind": b"\0\0\0\x20ftypheic" + bytes(500),
    "a bitmap": drawn("BMP"),
    "a tiff": drawn("TIFF"),
    "an archive": archive(),
    "a png with an archive behind it": PNG + archive(),
    "a png with a page behind it": PNG + PAGE,
    "a png with a page inside": PNG[:33] + chunk(b"tEXt", b"x\0" + PAGE) + PNG[33:],
    "a jpeg with an archive behind it": JPEG + archive(),
    "a jpeg with a page behind it": JPEG + PAGE,
    "a jpeg with a page inside": drawn("JPEG", comment=PAGE),
    "a jpeg with a document inside": drawn("JPEG", comment=b"%PDF-1.7"),
    "a gif with an archive behind it": GIF + archive(),
    "a gif that is a script": b"GIF89a/*" + bytes(20) + b"*/=1;<script>alert(1)</script>;",
    "a webp with an archive behind it": drawn("WEBP") + archive(),
    "a png without a header": b"\x89PNG\r\n\x1a\n" + chunk(b"IDAT", b"") + chunk(b"IEND", b""),
    "a jpeg without a picture": b"\xff\xd8\xff\xd9",
    "a jpeg without a size": b"\xff\xd8\xff\xda\0\x02\xff\xd9",
    "a png without a size": png_of(0, 10),
    "a bomb": png_of(65_535, 65_535),
    "a picture a little too large": png_of(10_001, 5_000),
}


@pytest.mark.parametrize("pretender", REFUSED)
def test_what_is_not_an_acceptable_image_alone_is_refused(pretender: str) -> None:
    with pytest.raises(InvalidValue):
        read_image(REFUSED[pretender])


@pytest.mark.parametrize("image", TAKEN)
def test_an_image_that_is_cut_short_is_refused(image: str) -> None:
    data, _ = TAKEN[image]
    end = data.rindex(b"\xff\xd9") if data[:2] == b"\xff\xd8" else len(data)

    for size in (*range(min(end, 60)), end // 2, end - 1):
        with pytest.raises(InvalidValue):
            read_image(data[:size])


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (SVG, "must be PNG, JPEG, WebP or GIF. SVG is not"),
        (b"\0\0\0\x20ftypavif" + bytes(99), "HEIC and AVIF are not"),
        (png_of(65_535, 65_535), "65535 x 65535 pixels; 50 megapixels"),
    ],
)
def test_a_refusal_names_what_would_be_right(data: bytes, words: str) -> None:
    with pytest.raises(InvalidValue, match=words):
        read_image(data)


def test_fifty_megapixels_are_taken() -> None:
    assert read_image(png_of(10_000, 5_000)).width == 10_000


def test_an_image_over_twenty_mebibytes_is_refused_however_it_comes() -> None:
    data = PNG + bytes(MAX_BYTES)

    with pytest.raises(TooLarge, match="20 MiB"):
        read_image(data)
    with pytest.raises(TooLarge, match="20 MiB"):
        decode_image(base64.b64encode(data).decode())
    with pytest.raises(TooLarge, match="20 MiB"):
        decode_image(" " * (2 * MAX_BYTES + 1))


@pytest.mark.parametrize("segment", [b"\xff\xfe\0\x02", b"\xff\xff\xff\xff"])
def test_millions_of_empty_segments_do_not_hold_up_the_broker(segment: bytes) -> None:
    data = b"\xff\xd8" + segment * (MAX_BYTES // 4 - 1)

    started = perf_counter()
    with pytest.raises(InvalidValue):
        read_image(data)

    assert perf_counter() - started < 0.5


TEXT = base64.b64encode(PNG).decode()


@pytest.mark.parametrize(
    "text",
    [
        TEXT,
        f"data:image/png;base64,{TEXT}",
        f"DATA:IMAGE/PNG;BASE64,{TEXT}",
        f"data:image/jpeg;base64,{TEXT}",
        f"data:image/png;charset=utf-8;base64,{TEXT}",
        f" {TEXT[:40]}\r\n\t{TEXT[40:]}\n",
    ],
)
def test_an_image_comes_as_base64_or_as_a_data_url(text: str) -> None:
    assert decode_image(text) == PNG


def test_a_large_image_is_decoded_whole() -> None:
    data = bytes(range(256)) * 4096 + b"the end"

    assert decode_image(base64.b64encode(data).decode()) == data


@pytest.mark.parametrize(
    "text",
    [
        "",
        "  \n",
        "a cat on a roof",
        TEXT[:-1],
        TEXT + "=",
        TEXT + "!",
        TEXT.replace("A", "-"),
        "A" * (512 * 1024 - 2) + "==" + TEXT,
        TEXT[:8] + "\0" + TEXT[8:],
        TEXT[:8] + "é" + TEXT[8:],
        TEXT[:8] + "\ud800" + TEXT[8:],
        "data:",
        "data:,hello",
        "data:image/png;base64,",
        f"data:image/png,{TEXT}",
        f"data:text/html;base64,{TEXT}",
        f"data:image/png;base64;{TEXT}",
        "https://example.com/cat.png",
        "file:///etc/passwd",
    ],
)
def test_anything_else_is_refused(text: str) -> None:
    with pytest.raises(InvalidValue):
        decode_image(text)
