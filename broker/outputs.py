"""What a completed job leaves: a film, pictures or a text. Records only; the bytes are the media store's.

Knows nothing of jobs: whether a result is published, late or refused is decided in `results.py`.
"""

import hashlib
from collections.abc import Sequence
from typing import NamedTuple


class Picture(NamedTuple):
    """One image of an image job's result."""

    sha256: str
    size_bytes: int
    mime: str
    width: int
    height: int

    @property
    def ending(self) -> str:
        """How the name of its file ends."""
        return PICTURE_ENDINGS[self.mime]


#: The types that a picture may have → how its file's name ends.
PICTURE_ENDINGS = {"image/png": "png", "image/jpeg": "jpg", "image/webp": "webp"}
MAX_PICTURES = 10


class Result(NamedTuple):
    """What a completed job leaves: a film, pictures or a text. `sha256` tells whether two results are the same."""

    sha256: str
    size_bytes: int
    attempt: int
    finished_at: float
    duration_seconds: float | None = None
    width: int | None = None
    height: int | None = None
    text: str | None = None
    reasoning: str | None = None
    finish_reason: str | None = None
    #: When the film or the pictures were pruned; the row stays.
    removed_at: float | None = None
    #: An image job's, in order. `sha256` is of all their digests then, `size_bytes` their sum.
    pictures: tuple[Picture, ...] = ()


#: How a text ended that was cut off: what had come of it is kept.
INCOMPLETE = "incomplete"


def text_result(
    text: str, reasoning: str | None, finish_reason: str, attempt: int, now: float
) -> Result:
    """An answer in words. The same words with another end are another answer."""
    return Result(
        sha256=hashlib.sha256(f"{finish_reason}\0{text}".encode()).hexdigest(),
        size_bytes=len(text.encode()),
        attempt=attempt,
        finished_at=now,
        text=text,
        reasoning=reasoning,
        finish_reason=finish_reason,
    )


def picture_names(stem: str, pictures: Sequence[Picture]) -> list[str]:
    """Their names in the media store, in order: the stem is the job's, and `.late` for what came late."""
    return [f"{stem}.{number}.{picture.ending}" for number, picture in enumerate(pictures, 1)]


def digest_of(pictures: Sequence[Picture]) -> str:
    """Of all pictures together, in their order."""
    digests = "\n".join(picture.sha256 for picture in pictures)
    return hashlib.sha256(digests.encode()).hexdigest()
