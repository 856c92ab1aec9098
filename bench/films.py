"""Films to upload: real, playable MP4s, grown to any size by a box that every parser must skip."""

import os
from pathlib import Path

from broker.demo.film import render_film

PIECE = 1 << 20


class Film:
    """A film in a file, whose bytes can be made new for the next job: a broker refuses another job's file."""

    def __init__(self, path: Path, size_bytes: int) -> None:
        self.path = path
        self.size_bytes = size_bytes

    @classmethod
    def make(cls, path: Path, size_bytes: int) -> "Film":
        render_film(path, job_id=path.stem, prompt="A lighthouse at dusk")
        _append_free_box(path, size_bytes)
        return cls(path, size_bytes)

    def renew(self) -> None:
        """Other bytes from here on, the same film."""
        with self.path.open("r+b") as file:
            file.seek(-16, os.SEEK_END)
            file.write(os.urandom(16))


def _append_free_box(path: Path, size_bytes: int) -> None:
    """A `free` box at the end, filled with noise, so that no file system makes it small."""
    left = size_bytes - path.stat().st_size
    noise = os.urandom(PIECE)
    with path.open("ab") as file:
        file.write(left.to_bytes(4, "big") + b"free")
        left -= 8
        while left:
            left -= file.write(noise[:left])
