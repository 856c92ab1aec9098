"""Small, real H.264 films: made in about twenty milliseconds, and different for each seed."""

import hashlib
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import av

WIDTH, HEIGHT, FPS = 160, 120, Fraction(12)


def make_film(
    path: Path,
    *,
    seconds: float = 2,
    text_seed: str = "film",
    faststart: bool = True,
    fragmented: bool = False,
    fps: Fraction = FPS,
) -> Path:
    """Writes an MP4 with a moving pattern. `faststart` puts its index first; a low `fps` stretches it."""
    flags = "+frag_keyframe+empty_moov" if fragmented else "+faststart" if faststart else ""
    options = {"movflags": flags} if flags else {}
    with av.open(str(path), "w", format="mp4", options=options) as film:
        video = film.add_stream("libx264", rate=fps)
        video.width, video.height, video.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        video.options = {"preset": "ultrafast", "g": "6"}
        for frame in _frames(round(seconds * fps), text_seed):
            film.mux(video.encode(frame))
        film.mux(video.encode())
    return path


def make_sound(path: Path, *, seconds: float = 2) -> Path:
    """Writes an MP4 with a sound track alone."""
    with av.open(str(path), "w", format="mp4") as film:
        sound = film.add_stream("aac", rate=48_000, layout="mono")
        for number in range(round(seconds * 48_000 / 1024)):
            frame = av.AudioFrame(format="fltp", layout="mono", samples=1024)
            frame.sample_rate, frame.pts = 48_000, number * 1024
            frame.planes[0].update(bytes(frame.planes[0].buffer_size))
            film.mux(sound.encode(frame))
        film.mux(sound.encode())
    return path


def _frames(count: int, text_seed: str) -> Iterator[av.VideoFrame]:
    noise = hashlib.sha256(text_seed.encode()).digest() * 8
    for number in range(count):
        frame = av.VideoFrame(WIDTH, HEIGHT, "yuv420p")
        for plane in frame.planes:
            shifted = noise[number % 256 :] + noise[: number % 256]
            plane.update((shifted * (plane.buffer_size // 256 + 1))[: plane.buffer_size])
        frame.pts = number
        yield frame
