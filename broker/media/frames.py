"""Prints a WebP of the film on standard input, a thumbnail or a spritesheet; `variants.py` runs this as a process.

Apart, because it decodes what a worker handed in: it may die, is bound in memory and time, and can write no file.
Imports nothing of the broker.
"""

import io
import os
import sys
from collections.abc import Iterator
from itertools import islice
from typing import TYPE_CHECKING

import av
from PIL import Image, ImageStat, WebPImagePlugin

if TYPE_CHECKING:
    from av.container import InputContainer
    from av.video.frame import VideoFrame

#: Nobody waits so long for a still; the parent's clock ends it earlier unless the parent is gone.
CPU_SECONDS = 20
#: A film of 4096 × 2304 pixels takes half of it.
MEMORY_BYTES = 1024 * 1024 * 1024
#: Decoding so many takes about five seconds. Of a film that has more, only the key frames are decoded.
MOST_PIXELS = 1_000_000_000

#: Width and height that a still, or a cell of the sheet, fits in.
THUMBNAIL = (480, 960)
CELL = (192, 384)
#: Cells in a row, and rows.
GRID = 5
#: Films fade in. So many frames are looked at for one that shows something.
FIRST_FRAMES = 72
#: Of 255. Black is 0, or 16 where the film's range is read wrongly.
DARK = 24
#: Of 100.
QUALITY = 80

Size = tuple[int, int]


def main(variant: str) -> None:
    _bind()
    with av.open(sys.stdin.buffer, "r", format="mov") as film:
        image = _thumbnail(film) if variant == "thumbnail" else _spritesheet(film)
    # In one piece, at the end: whoever reads half of it knows by the status that it is none.
    webp = io.BytesIO()
    image.save(webp, WebPImagePlugin.WebPImageFile.format, quality=QUALITY)
    sys.stdout.buffer.write(webp.getvalue())


def _bind() -> None:
    if sys.platform != "win32":
        import resource

        os.nice(10)
        limits = {
            resource.RLIMIT_AS: MEMORY_BYTES,
            resource.RLIMIT_CPU: CPU_SECONDS,
            resource.RLIMIT_FSIZE: 0,
        }
        for kind, limit in limits.items():
            _, ceiling = resource.getrlimit(kind)
            most = limit if ceiling == resource.RLIM_INFINITY else min(limit, ceiling)
            resource.setrlimit(kind, (most, ceiling))


def _thumbnail(film: "InputContainer") -> Image.Image:
    """The first frame near the start that is not black; the brightest of them where all are."""
    brightest, most_light = None, -1.0
    for frame in islice(_frames(film), FIRST_FRAMES):
        image = _small(frame, THUMBNAIL)
        light = ImageStat.Stat(image.convert("L")).mean[0]
        if light > most_light:
            brightest, most_light = image, light
        if light >= DARK:
            break
    if brightest is None:
        raise ValueError("no frame")
    return brightest


def _spritesheet(film: "InputContainer") -> Image.Image:
    """Frames at even distances, from left to right and from top to bottom."""
    spread = _spread(_frames(film), _seconds(film), GRID * GRID)
    cells = [_small(frame, CELL) for frame in spread]
    width, height = cells[0].size
    sheet = Image.new("RGB", (GRID * width, GRID * height))
    for place, cell in enumerate(cells):
        sheet.paste(cell, (place % GRID * width, place // GRID * height))
    return sheet


def _spread(frames: Iterator["VideoFrame"], seconds: float, count: int) -> Iterator["VideoFrame"]:
    """What is on the screen in the middle of each of so many equal spans."""
    shown = next(frames)
    start = shown.time or 0.0
    moments = [start + seconds * (place + 0.5) / count for place in range(count)]
    for frame in frames:
        while moments and (frame.time or 0.0) > moments[0]:
            yield shown
            del moments[0]
        shown = frame
    yield from [shown] * len(moments)


def _frames(film: "InputContainer") -> Iterator["VideoFrame"]:
    stream = film.streams.video[0]
    stream.codec_context.thread_count = 1
    count = _seconds(film) * float(stream.average_rate or 0)
    if count * stream.width * stream.height > MOST_PIXELS:
        stream.codec_context.skip_frame = "NONKEY"
    return film.decode(stream)


def _seconds(film: "InputContainer") -> float:
    return (film.duration or 0) / 1_000_000


def _small(frame: "VideoFrame", room: Size) -> Image.Image:
    scale = min(1.0, room[0] / frame.width, room[1] / frame.height)
    width, height = (max(1, round(side * scale)) for side in (frame.width, frame.height))
    image: Image.Image = frame.to_image(width=width, height=height)  # type: ignore[no-untyped-call]
    return image


if __name__ == "__main__":
    main(sys.argv[1])
