"""Draws the pictures of a demo film or image job: a drifting gradient, the prompt, the counters, a progress line.

Stops at pixels: what becomes of the pictures is `film.py`.
"""

import hashlib
import io
import math
import unicodedata
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from PIL import Image, ImageDraw, ImageEnhance, ImageFilter, ImageFont

from broker.demo.mishaps import UnusableImage

#: The gradient is reckoned on this coarse grid and enlarged: smooth, and cheap enough for every frame.
GRID = (16, 9)
#: A prompt longer than this is shown shortened anyway, so the rest is not even measured.
MAX_PROMPT_CHARS = 1500
INK = (255, 255, 255)
FAINT_INK = (226, 230, 242)
SHADOW = (6, 8, 20, 150)
TRACK = (255, 255, 255, 60)
#: Pillow refuses pictures of twice its own limit; an input picture of the demo need not be larger than this.
MAX_INPUT_PIXELS = 50_000_000

Font = ImageFont.FreeTypeFont | ImageFont.ImageFont


class Moment(NamedTuple):
    """Where in the film a picture stands. Frames count from 1; without a speed they are single pictures."""

    frame: int
    frames: int
    fps: int

    @property
    def share(self) -> float:
        return self.frame / self.frames

    @property
    def caption(self) -> tuple[str, str]:
        if not self.fps:
            return (f"image {self.frame} of {self.frames}", "")
        width = len(str(self.frames))
        seconds, all_seconds = self.frame / self.fps, self.frames / self.fps
        return (
            f"frame {self.frame:0{width}d} of {self.frames}",
            f"{seconds:.2f} s of {all_seconds:.2f} s",
        )


class Scene:
    """Everything that stays the same throughout a film, drawn once; `picture` adds what moves."""

    def __init__(
        self, size: tuple[int, int], *, job_id: str, prompt: str, image: bytes | None = None
    ) -> None:
        self._size = size
        self._unit = min(size) / 360
        self._hue = _hue(job_id)
        self._small = _font(13 * self._unit)
        self._knob = _disc(round(13 * self._unit))
        self._photo = _photo(image, size) if image else None
        self._still = self._draw_still(job_id, prompt)

    def picture(self, moment: Moment) -> Image.Image:
        canvas = self._backdrop(moment.share)
        canvas.paste(self._still, mask=self._still)
        self._draw_progress(canvas, moment)
        return canvas

    def _backdrop(self, share: float) -> Image.Image:
        colours = bytes(_gradient(self._hue, share * math.tau))
        gradient = Image.frombytes("RGB", GRID, colours)
        canvas = gradient.resize(self._size, Image.Resampling.BICUBIC)
        if self._photo:
            canvas = Image.blend(canvas, self._drifting_photo(share), 0.7)
        return canvas

    def _drifting_photo(self, share: float) -> Image.Image:
        """A window that wanders over a photo a little larger than the picture."""
        assert self._photo
        width, height = self._size
        left = (self._photo.width - width) * (0.5 + 0.5 * math.sin(share * math.tau))
        top = (self._photo.height - height) * (0.5 + 0.5 * math.cos(share * math.tau))
        return self._photo.crop((int(left), int(top), int(left) + width, int(top) + height))

    def _draw_still(self, job_id: str, prompt: str) -> Image.Image:
        width, height = self._size
        edge = round(32 * self._unit)
        letters = Image.new("RGBA", self._size)
        draw = ImageDraw.Draw(letters)
        draw.text((edge, round(22 * self._unit)), "GROK BROKER  DEMO", FAINT_INK, self._small)
        short = shown(job_id)[:16]
        draw.text(
            (width - edge, round(22 * self._unit)), short, FAINT_INK, self._small, anchor="ra"
        )
        box = (width - 2 * edge, height - round(130 * self._unit))
        text, font = _fitted(shown(prompt) or "(no words)", box, self._unit)
        middle = (width / 2, height / 2 - 8 * self._unit)
        spacing = round(6 * self._unit)
        draw.multiline_text(middle, text, INK, font, anchor="mm", spacing=spacing, align="center")
        return _shadowed(letters, self._unit)

    def _draw_progress(self, canvas: Image.Image, moment: Moment) -> None:
        width, height = self._size
        unit = self._unit
        left, right, line = 32 * unit, width - 32 * unit, height - 30 * unit
        here = left + (right - left) * moment.share
        draw = ImageDraw.Draw(canvas, "RGBA")
        draw.rounded_rectangle((left, line, right, line + 4 * unit), 2 * unit, TRACK)
        draw.rounded_rectangle(
            (left, line, max(here, left + 4 * unit), line + 4 * unit), 2 * unit, INK
        )
        half = self._knob.width // 2
        canvas.paste(INK, (round(here) - half, round(line + 2 * unit) - half), self._knob)
        frame, seconds = moment.caption
        captions = line - 26 * unit
        draw.text((left, captions), frame, INK, self._small)
        draw.text((right, captions), seconds, INK, self._small, anchor="ra")


def shown(text: str) -> str:
    """The text on one line, without anything that cannot be drawn: control characters, lone surrogates."""
    text = text[:MAX_PROMPT_CHARS].encode("utf-8", "replace").decode("utf-8")
    kept = (" " if char.isspace() else char for char in text)
    printable = "".join(char for char in kept if unicodedata.category(char)[0] != "C")
    return " ".join(printable.split())


def wrapped(text: str, font: Font, max_width: float) -> list[str]:
    """The text in lines no wider than `max_width`; a word that is wider still is broken anywhere."""
    lines = [""]
    for word in _words(text, font, max_width):
        longer = f"{lines[-1]} {word}".strip()
        if font.getlength(longer) <= max_width:
            lines[-1] = longer
        else:
            lines.append(word)
    return [line for line in lines if line]


def _words(text: str, font: Font, max_width: float) -> Iterator[str]:
    for word in text.split():
        piece = ""
        for char in word:
            if piece and font.getlength(piece + char) > max_width:
                yield piece
                piece = ""
            piece += char
        yield piece


def _fitted(text: str, box: tuple[int, int], unit: float) -> tuple[str, Font]:
    """The text in lines and the largest font in which they fit the box; at the smallest, the end is cut off."""
    for points in (40, 34, 28, 24, 20, 17, 15):
        font = _font(points * unit)
        lines = wrapped(text, font, box[0])
        line_height = (points * 1.2 + 6) * unit
        if len(lines) * line_height <= box[1]:
            return "\n".join(lines), font
    room = max(1, int(box[1] // line_height))
    return "\n".join(lines[:room])[:-1].rstrip() + "…", font


def _font(points: float) -> Font:
    return ImageFont.load_default(size=max(8, points))


def _shadowed(letters: Image.Image, unit: float) -> Image.Image:
    """The letters over their own soft shadow, so that they stay readable on every colour."""
    shadow = Image.new("RGBA", letters.size, SHADOW[:3] + (0,))
    soft = letters.getchannel("A").filter(ImageFilter.GaussianBlur(5 * unit))
    shadow.putalpha(soft.point(lambda alpha: min(SHADOW[3], alpha * 2)))
    return Image.alpha_composite(shadow, letters)


def _photo(image: bytes, size: tuple[int, int]) -> Image.Image:
    """The input image, darkened, filling the picture with a tenth to spare. Raises `UnusableImage`."""
    wide, high = round(size[0] * 1.1), round(size[1] * 1.1)
    try:
        with Image.open(io.BytesIO(image)) as opened:
            if opened.width * opened.height > MAX_INPUT_PIXELS:
                raise UnusableImage(f"The image is {opened.width}x{opened.height}: too large.")
            photo = opened.convert("RGB")
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise UnusableImage(f"The image cannot be read: {error}") from error
    scale = max(wide / photo.width, high / photo.height)
    photo = photo.resize((math.ceil(photo.width * scale), math.ceil(photo.height * scale)))
    left, top = (photo.width - wide) // 2, (photo.height - high) // 2
    return ImageEnhance.Brightness(photo.crop((left, top, left + wide, top + high))).enhance(0.6)


def _disc(diameter: int) -> Image.Image:
    """A smooth white disc as a mask: drawn large, then made small."""
    large = Image.new("L", (8 * diameter, 8 * diameter))
    ImageDraw.Draw(large).ellipse((0, 0, 8 * diameter - 1, 8 * diameter - 1), 255)
    return large.resize((diameter, diameter), Image.Resampling.LANCZOS)


def _hue(job_id: str) -> float:
    """Each job its own colour, between teal and rose: white letters read well on all of these."""
    return 0.5 + 0.34 * hashlib.sha256(job_id.encode()).digest()[0] / 255


def _gradient(hue: float, turn: float) -> Iterable[int]:
    """The colours of the grid at one moment; `turn` goes once round in a film, so the film can be looped."""
    across, down = GRID
    for y in range(down):
        for x in range(across):
            u, v = x / across, y / down
            wave = math.sin(3.1 * u + turn) + math.cos(2.3 * v - turn + 2 * u)
            glow = math.sin(5 * (u - 0.5) * (v + 0.3) + 2 * turn)
            yield from _colour(hue + 0.055 * wave, 0.44 + 0.13 * wave + 0.09 * glow)


def _colour(hue: float, light: float) -> Iterator[int]:
    """Red, green and blue as three waves a third of a turn apart: every hue, no grey."""
    light = min(0.8, max(0.18, light))
    for third in (0.0, 1 / 3, 2 / 3):
        yield int(255 * light * (0.62 + 0.38 * math.cos(math.tau * (hue - third))))
