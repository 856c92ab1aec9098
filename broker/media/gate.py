"""Decides whether a file is an acceptable film: a whole, playable MP4 of plausible length and size.

The container is read by libmediainfo. It cannot tell a film that was cut between two of its outermost boxes from a
whole one, nor see what was glued to its end, so these boxes are counted here first. No frame is decoded.
"""

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from io import FileIO
from pathlib import Path
from subprocess import SubprocessError
from typing import Any, NamedTuple, NoReturn

from broker.errors import ResultRejected
from broker.media.apart import read_apart
from broker.media_ports import FilmFacts

#: An MP4 with a single black frame has more.
MIN_BYTES = 1024
#: Even a black, unmoving picture at 24 frames a second has twice this; a film has hundreds of times it.
MIN_BYTES_PER_SECOND = 500
#: Shorter is a still. The site's shortest films have several seconds.
MIN_SECONDS = 0.5
#: Many times the longest that the site makes: what claims more comes from elsewhere or has a broken time scale.
MAX_SECONDS = 600.0
#: A real one lists a handful of brands. What claims more is another format that has `ftyp` at the right place.
MAX_FTYP_BYTES = 256
#: Ten minutes with a fragment for every frame stay below; a file of empty boxes does not hold up a thread.
MAX_BOXES = 100_000
#: Reading takes a tenth of a second. Only a film that is damaged, or made to this end, takes so long.
READ_SECONDS = 10.0

#: The outermost boxes that a cut may go through. Others may be there, whole.
_KINDS = frozenset(b"ftyp moov mdat free skip wide moof mfra sidx styp meta udta uuid".split())

Track = Mapping[str, Any]


class Box(NamedTuple):
    """One outermost part of an MP4."""

    kind: bytes
    size_bytes: int


def inspect_film(path: Path) -> FilmFacts:
    """Reads a film, blocking for about a tenth of a second. Raises `ResultRejected` with one of these classes:

    `empty`, `not_mp4`, `truncated`, `no_video_track`, `implausible_duration`, `implausible_size`.
    """
    with path.open("rb", buffering=0) as film:
        size_bytes = os.fstat(film.fileno()).st_size
        if not size_bytes:
            _refuse("empty", "The file is empty.")
        boxes = list(_boxes(film, size_bytes))
        _check_whole(boxes)
        if size_bytes < MIN_BYTES:
            _refuse("implausible_size", f"A video has {MIN_BYTES} bytes at least.")
        tracks = _tracks(film)
    _check_container(tracks, sum(box.size_bytes for box in boxes if box.kind == b"mdat"))
    return _facts(tracks, size_bytes)


def _boxes(film: FileIO, size_bytes: int) -> Iterator[Box]:
    """The outermost boxes, in order. They fill the file to its last byte."""
    at = 0
    for _ in range(MAX_BOXES):
        if at == size_bytes:
            return
        film.seek(at)
        box = _box(film.read(16))
        _check_box(box, is_first=at == 0, left_bytes=size_bytes - at)
        yield box
        at += box.size_bytes
    _refuse("not_mp4", "The file has more parts than any video.")


def _box(head: bytes) -> Box:
    size_bytes = int.from_bytes(head[:4], "big")
    if size_bytes == 1:
        size_bytes = int.from_bytes(head[8:16], "big")
    return Box(head[4:8], size_bytes)


def _check_box(box: Box, *, is_first: bool, left_bytes: int) -> None:
    if is_first and (box.kind != b"ftyp" or not 8 <= box.size_bytes <= MAX_FTYP_BYTES):
        _refuse("not_mp4", "The file is not an MP4: it does not begin as one.")
    if left_bytes < 8 or (box.size_bytes > left_bytes and box.kind in _KINDS):
        _refuse("truncated", "The video is cut short.")
    if box.size_bytes > left_bytes:
        _refuse("not_mp4", "The file is not an MP4 alone: something else follows the video.")
    if box.size_bytes < 8:
        # 0 would mean "to the end of the file", wherever that is: such a film can never be shown to be whole.
        _refuse("truncated", "The video does not say where it ends.")


def _check_whole(boxes: Sequence[Box]) -> None:
    kinds = [box.kind for box in boxes]
    if b"moov" not in kinds or b"mdat" not in kinds:
        _refuse("truncated", "The video is cut short: its index or its pictures are missing.")
    # Between two fragments a cut leaves no trace, but for the closing index that is missing.
    if b"moof" in kinds and kinds[-1] != b"mfra":
        _refuse("truncated", "The video is in fragments and has no closing index (mfra).")


def _tracks(film: FileIO) -> Sequence[Track]:
    """What libmediainfo says of the film as a whole and of each of its tracks."""
    film.seek(0)
    try:
        told = read_apart("probe.py", film, seconds=READ_SECONDS)
    except SubprocessError:
        _refuse("not_mp4", "The file could not be read as a video.")
    tracks: Sequence[Track] = json.loads(told)["tracks"]
    return tracks


def _check_container(tracks: Sequence[Track], mdat_bytes: int) -> None:
    whole = tracks[0] if tracks else {}
    if whole.get("format") != "MPEG-4":
        _refuse("not_mp4", f"The file is not an MP4 but {whole.get('format', 'of no known kind')}.")
    promised_bytes = sum(_number(track, "stream_size") for track in tracks[1:])
    if whole.get("istruncated") == "Yes" or promised_bytes > mdat_bytes:
        _refuse("truncated", "The video is cut short: it has fewer bytes than its index says.")


def _facts(tracks: Sequence[Track], size_bytes: int) -> FilmFacts:
    video = next((track for track in tracks if _is_video(track)), None)
    if video is None:
        _refuse("no_video_track", "The file has no picture track that can be read.")
    seconds = (_number(video, "duration") or _number(tracks[0], "duration")) / 1000
    if not MIN_SECONDS <= seconds <= MAX_SECONDS:
        _refuse(
            "implausible_duration",
            f"The video lasts {seconds:g} s; from {MIN_SECONDS:g} to {MAX_SECONDS:g} s are plausible.",
        )
    if size_bytes < seconds * MIN_BYTES_PER_SECOND:
        _refuse("implausible_size", f"{size_bytes} bytes are too few for {seconds:g} s of video.")
    return FilmFacts(seconds, int(_number(video, "width")), int(_number(video, "height")))


def _is_video(track: Track) -> bool:
    has_size = _number(track, "width") > 0 and _number(track, "height") > 0
    return track["track_type"] == "Video" and has_size


def _number(track: Track, field: str) -> float:
    """A field of a track; 0 where a damaged film has none, or words in its place."""
    try:
        return float(track.get(field) or 0)
    except ValueError:
        return 0.0


def _refuse(gate_class: str, message: str) -> NoReturn:
    raise ResultRejected(gate_class, message)
