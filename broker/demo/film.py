"""Makes the demo's films, real H.264 MP4s that show their prompt, and its PNGs; reads a film back frame by frame.

Turns pictures into files and files into figures. What is in the pictures is `picture.py`.
"""

import io
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from broker.demo.mishaps import FilmToolsMissing

if TYPE_CHECKING:
    from av.container import OutputContainer
    from av.video.stream import VideoStream

#: Told how much of the film is rendered, in percent. May raise to stop the work; the file is removed then.
OnProgress = Callable[[int], None]

_MISSING = (
    "Making films needs PyAV and Pillow, and {name} is not installed. "
    "Install them with: python -m pip install -r requirements.txt"
)


class FilmFacts(NamedTuple):
    """What reading a whole film showed; `frames` counts decoded pictures, not what the header claims."""

    codec: str
    width: int
    height: int
    frames: int
    fps: float
    seconds: float
    size_bytes: int
    title: str
    comment: str


def require_film_tools() -> None:
    """Raises `FilmToolsMissing`, saying what to install, where films cannot be made."""
    try:
        import av  # noqa: F401
        import PIL  # noqa: F401
    except ModuleNotFoundError as error:
        raise FilmToolsMissing(_MISSING.format(name=error.name)) from error


def render_film(
    path: Path,
    *,
    job_id: str,
    prompt: str,
    seconds: float = 6,
    fps: int = 24,
    size: tuple[int, int] = (640, 360),
    image: bytes | None = None,
    on_progress: OnProgress | None = None,
) -> None:
    """Writes a film that shows the prompt, the running frame count and the running seconds.

    The job id is in the file, so two jobs never leave the same bytes; the same job leaves the same bytes again.
    Raises `FilmToolsMissing`, or `UnusableImage` for an image that cannot be read.
    """
    require_film_tools()
    import av

    from broker.demo.picture import Moment, Scene, shown

    frames = max(1, round(seconds * fps))
    scene = Scene(size, job_id=job_id, prompt=prompt, image=image)
    try:
        options = {"movflags": "+faststart"}
        with av.open(str(path), "w", format="mp4", options=options) as container:
            container.metadata.update(
                {"title": shown(prompt)[:200], "comment": f"Demo film of {job_id}"}
            )
            stream = _video_stream(container, fps, size)
            for frame in range(1, frames + 1):
                picture = scene.picture(Moment(frame, frames, fps)).convert("RGBA")
                container.mux(stream.encode(av.VideoFrame.from_bytes(picture.tobytes(), *size)))
                if on_progress:
                    on_progress(100 * frame // frames)
            container.mux(stream.encode())
    except BaseException:
        path.unlink(missing_ok=True)
        raise


def render_pictures(
    count: int,
    *,
    job_id: str,
    prompt: str,
    size: tuple[int, int],
    image: bytes | None = None,
    on_progress: OnProgress | None = None,
) -> list[bytes]:
    """PNGs that show the prompt and their number: the same job leaves the same bytes again.

    Raises as `render_film` does.
    """
    require_film_tools()
    from broker.demo.picture import Moment, Scene

    scene = Scene(size, job_id=job_id, prompt=prompt, image=image)
    pictures = []
    for number in range(1, count + 1):
        file = io.BytesIO()
        scene.picture(Moment(number, count, 0)).save(file, "PNG")
        pictures.append(file.getvalue())
        if on_progress:
            on_progress(100 * number // count)
    return pictures


def inspect_film(path: Path) -> FilmFacts:
    """Decodes every frame of a film. Raises `ValueError` for a file that cannot be played to its end."""
    require_film_tools()
    import av

    try:
        with av.open(str(path)) as container:
            stream = container.streams.video[0]
            frames = sum(1 for _ in container.decode(stream))
            fps = float(stream.average_rate or 0)
            return FilmFacts(
                codec=stream.codec_context.name,
                width=stream.width,
                height=stream.height,
                frames=frames,
                fps=fps,
                seconds=frames / fps if fps else 0.0,
                size_bytes=path.stat().st_size,
                title=container.metadata.get("title", ""),
                comment=container.metadata.get("comment", ""),
            )
    except (av.error.FFmpegError, IndexError) as error:
        raise ValueError(f"{path} is not a film that can be played: {error}") from error


def _video_stream(container: "OutputContainer", fps: int, size: tuple[int, int]) -> "VideoStream":
    stream = container.add_stream("libx264", rate=fps)
    stream.width, stream.height = size
    stream.pix_fmt = "yuv420p"
    stream.options = {"preset": "veryfast", "crf": "20"}
    return stream
