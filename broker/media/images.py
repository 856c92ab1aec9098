"""Decides whether bytes are an acceptable image, by magic and header alone. Decodes no picture, so no bomb goes off.

Headers are read here and not by a library: those that decode nothing also read SVG and fetch URLs, which is what
this file keeps out.
"""

import base64
import re
import struct
from collections.abc import Callable, Iterator
from typing import NamedTuple

from broker.errors import InvalidValue, TooLarge

MAX_BYTES = 20 * 1024 * 1024
MAX_PIXELS = 50_000_000
#: An honest JPEG has a few hundred parts before its picture, at most; a hostile one has millions.
MAX_JPEG_SEGMENTS = 2_000

#: A multiple of four: each piece is base64 by itself.
_DECODE_CHARS = 512 * 1024
_TAKEN = "PNG, JPEG, WebP or GIF"
_DATA_URL = re.compile(r"data:image/[a-z0-9.+-]+(?:;[a-z0-9.+-]+=[^;,]*)*;base64,", re.I)
_PNG_MAGIC = b"\x89PNG\r\n\x1a\n"
_PNG_END = b"\0\0\0\0IEND\xaeB`\x82"
#: SOF0 to SOF15, the segments with a JPEG's size; C4, C8 and CC lie between them and are something else.
_JPEG_SIZES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_JPEG_PICTURE = 0xDA
#: What makes a browser or an interpreter take a file for a program, in the places where they look.
_MARKUP = re.compile(rb"<(?:script|svg|html|iframe|body|!doctype)[\s>/]|<\?php|%PDF-\d", re.I)
_MARKUP_REACH = 64 * 1024
_ZIP_END = b"PK\x05\x06"
_ZIP_END_BYTES = 22
_ZIP_REACH = _ZIP_END_BYTES + 65_535


class ImageFacts(NamedTuple):
    mime: str
    width: int
    height: int


def decode_image(text: str) -> bytes:
    """The bytes of an image given as base64 or as a `data:image/…;base64,` URL. Does not look at them.

    White space is skipped; anything else that is not base64 is `InvalidValue`. Over 20 MiB is `TooLarge`.
    """
    if text[:5].lower() == "data:":
        text = _after_data_url_head(text)
    # Before anything is copied. White space may add a little: a line end after every 64 letters, indented.
    if len(text) > MAX_BYTES * 2:
        raise _too_many_bytes()
    text = "".join(text.split())
    if len(text) // 4 * 3 > MAX_BYTES + 2:
        raise _too_many_bytes()
    try:
        data = b"".join(_decoded_pieces(text))
    except ValueError as error:
        raise InvalidValue("The image must be base64 or a data:image/…;base64, URL.") from error
    if not data:
        raise InvalidValue("The image is empty.")
    return data


def read_image(data: bytes) -> ImageFacts:
    """What kind of image this is, and how large. Raises `InvalidValue` or `TooLarge`, naming what would be right."""
    if len(data) > MAX_BYTES:
        raise _too_many_bytes()
    facts = read_header(data)
    if facts is None:
        raise InvalidValue("The image is damaged or cut short.")
    check_size(facts)
    check_alone(data)
    return facts


def read_header(data: bytes) -> ImageFacts | None:
    """The type and size that an image claims; None where it is damaged. Raises `InvalidValue` for something else."""
    reader = _reader(data)
    try:
        return reader(data)
    except (struct.error, IndexError):
        return None


def _decoded_pieces(text: str) -> Iterator[bytes]:
    """Decodes in steps of a millisecond, because within one no other thread gets a turn."""
    for at in range(0, len(text), _DECODE_CHARS):
        piece = text[at : at + _DECODE_CHARS]
        if at + _DECODE_CHARS < len(text) and piece.endswith("="):
            raise ValueError("Padding in the middle.")
        yield base64.b64decode(piece, validate=True)


def _after_data_url_head(text: str) -> str:
    head = _DATA_URL.match(text)
    if not head:
        raise InvalidValue("An image URL must read data:image/png;base64,… (or jpeg, webp, gif).")
    return text[head.end() :]


def _too_many_bytes() -> TooLarge:
    return TooLarge(f"An image may have {MAX_BYTES // 1024**2} MiB at most.")


def check_size(facts: ImageFacts) -> None:
    """Raises `InvalidValue` for a picture without extent, and for one that would fill the memory when decoded."""
    if not facts.width or not facts.height:
        raise InvalidValue("The image has no size.")
    if facts.width * facts.height > MAX_PIXELS:
        raise InvalidValue(
            f"The image has {facts.width} x {facts.height} pixels; "
            f"{MAX_PIXELS // 1_000_000} megapixels are taken at most."
        )


def check_alone(data: bytes) -> None:
    """Refuses a file that is an image to us and a page, a document or an archive to somebody else."""
    edges = data[:_MARKUP_REACH] + b"\0" + data[-_MARKUP_REACH:]
    if _MARKUP.search(edges) or _ends_as_zip(data):
        raise InvalidValue("The file is an image and something else as well; send the image alone.")


def _ends_as_zip(data: bytes) -> bool:
    """Whether a ZIP's closing record stands at the end, with a comment that reaches exactly to the last byte."""
    tail = data[-_ZIP_REACH:]
    at = tail.rfind(_ZIP_END)
    if at < 0 or at + _ZIP_END_BYTES > len(tail):
        return False
    (comment_bytes,) = struct.unpack_from("<H", tail, at + 20)
    return bool(at + _ZIP_END_BYTES + comment_bytes == len(tail))


#: What reads one format: None where the data is damaged.
_Reader = Callable[[bytes], ImageFacts | None]


def _reader(data: bytes) -> _Reader:
    if data.startswith(_PNG_MAGIC):
        return _read_png
    if data.startswith(b"\xff\xd8\xff"):
        return _read_jpeg
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return _read_webp
    if data[:6] in (b"GIF87a", b"GIF89a"):
        return _read_gif
    raise InvalidValue(f"The image must be {_TAKEN}.{_told_apart(data)}")


def _told_apart(data: bytes) -> str:
    head = data[:1024].lstrip().lower()
    if b"<svg" in head or head.startswith(b"<?xml"):
        return " SVG is not taken."
    if data[4:8] == b"ftyp":
        return " HEIC and AVIF are not taken."
    return ""


def _read_png(data: bytes) -> ImageFacts | None:
    length, kind, width, height = struct.unpack_from(">I4sII", data, 8)
    if (length, kind) != (13, b"IHDR") or not data.endswith(_PNG_END):
        return None
    return ImageFacts("image/png", width, height)


def _read_gif(data: bytes) -> ImageFacts | None:
    width, height = struct.unpack_from("<HH", data, 6)
    return ImageFacts("image/gif", width, height) if data.rstrip(b"\0").endswith(b";") else None


def _read_webp(data: bytes) -> ImageFacts | None:
    (riff_bytes,) = struct.unpack_from("<I", data, 4)
    if len(data) - 8 - riff_bytes not in (0, riff_bytes % 2):
        return None
    size = _webp_size(data)
    return ImageFacts("image/webp", *size) if size else None


def _webp_size(data: bytes) -> tuple[int, int] | None:
    match data[12:16]:
        case b"VP8 " if data[23:26] == b"\x9d\x01\x2a":
            width, height = struct.unpack_from("<HH", data, 26)
            return width & 0x3FFF, height & 0x3FFF
        case b"VP8L" if data[20] == 0x2F:
            (bits,) = struct.unpack_from("<I", data, 21)
            return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
        case b"VP8X" if len(data) >= 30:
            width, height = (int.from_bytes(data[at : at + 3], "little") for at in (24, 27))
            return width + 1, height + 1
    return None


def _read_jpeg(data: bytes) -> ImageFacts | None:
    """Walks the segments before the picture. Trailing bytes are let be: phones append a film or a depth map."""
    at, size = 2, None
    for _ in range(MAX_JPEG_SEGMENTS):
        if data[at] == data[at + 1] == 0xFF:  # One byte of padding.
            at += 1
            continue
        marker, length = struct.unpack_from(">xBH", data, at)
        if data[at] != 0xFF or length < 2:
            return None
        if marker in _JPEG_SIZES:
            size = struct.unpack_from(">HH", data, at + 5)
        if marker == _JPEG_PICTURE:
            return _whole_jpeg(data, at, size)
        at += 2 + length
    return None


def _whole_jpeg(data: bytes, picture_at: int, size: tuple[int, ...] | None) -> ImageFacts | None:
    if size is None or data.find(b"\xff\xd9", picture_at) < 0:
        return None
    height, width = size
    return ImageFacts("image/jpeg", width, height)
