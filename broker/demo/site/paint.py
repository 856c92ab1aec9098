"""Paints the pictures that the stand-in site hands out: soft discs on a gradient, with the prompt below."""

import colorsys
import io
import random

from PIL import Image, ImageDraw, ImageFilter, ImageFont

from broker.demo.picture import shown, wrapped

SIZES = {
    "1:1": (512, 512),
    "2:3": (448, 672),
    "3:2": (672, 448),
    "9:16": (384, 682),
    "16:9": (682, 384),
}
DISCS = 14


def paint(picture_id: str, prompt: str, aspect: str, source: bytes | None = None) -> Image.Image:
    """The same id gives the same picture, and no other id does."""
    size = SIZES.get(aspect, SIZES["2:3"])
    chance = random.Random(picture_id)
    hue = chance.random()
    canvas = _backdrop(size, hue) if source is None else _photo(size, source)
    for _ in range(DISCS):
        _disc(canvas, chance, hue)
    _caption(canvas, prompt)
    return canvas


def as_jpeg(picture: Image.Image, quality: int = 88) -> bytes:
    out = io.BytesIO()
    picture.save(out, "JPEG", quality=quality)
    return out.getvalue()


def preview(picture: Image.Image) -> bytes:
    """What a page shows while the picture is not done: a small, blurred version."""
    small = picture.resize((picture.width // 8, picture.height // 8))
    return as_jpeg(small.filter(ImageFilter.GaussianBlur(3)), quality=50)


def _backdrop(size: tuple[int, int], hue: float) -> Image.Image:
    corners = [_colour(hue + turn, 0.55, light) for turn, light in ((0, 0.3), (0.1, 0.7))]
    column = Image.new("RGB", (1, 2))
    column.putdata([corners[0], corners[1]])
    return column.resize(size, Image.Resampling.BICUBIC)


def _photo(size: tuple[int, int], source: bytes) -> Image.Image:
    try:
        with Image.open(io.BytesIO(source)) as opened:
            return opened.convert("RGB").resize(size)
    except OSError:
        return _backdrop(size, 0.6)


def _disc(canvas: Image.Image, chance: random.Random, hue: float) -> None:
    radius = chance.randint(canvas.width // 20, canvas.width // 4)
    x, y = chance.randint(0, canvas.width), chance.randint(0, canvas.height * 4 // 5)
    colour = _colour(hue + chance.uniform(-0.12, 0.2), 0.6, chance.uniform(0.4, 1))
    draw = ImageDraw.Draw(canvas, "RGBA")
    draw.ellipse((x - radius, y - radius, x + radius, y + radius), (*colour, 110))


def _caption(canvas: Image.Image, prompt: str) -> None:
    font = ImageFont.load_default(size=canvas.width / 26)
    lines = wrapped(shown(prompt), font, canvas.width * 0.86)[:3]
    draw = ImageDraw.Draw(canvas, "RGBA")
    top = canvas.height - canvas.width / 18 * (len(lines) + 1)
    draw.rectangle((0, top, canvas.width, canvas.height), (0, 0, 0, 120))
    place = (canvas.width * 0.07, top + canvas.width / 40)
    draw.multiline_text(place, "\n".join(lines), (255, 255, 255), font)


def _colour(hue: float, saturation: float, value: float) -> tuple[int, int, int]:
    red, green, blue = colorsys.hsv_to_rgb(hue % 1, saturation, value)
    return round(255 * red), round(255 * green), round(255 * blue)
