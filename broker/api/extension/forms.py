"""The form of a result: its files go on in pieces, only a few short fields are kept in memory.

Says what stands in the form; what becomes of it is `uploads.py`.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from broker.api.forms import FormParser
from broker.errors import InvalidValue, MissingParameter, TooLarge

MAX_PARTS = 24
MAX_FIELD_BYTES = 64 * 1024
#: The names under which files come: a video job's film, or an image job's pictures.
FILM, PICTURE = "video", "image"


class Piece(NamedTuple):
    """Some bytes of a file. `number` counts the files of the form from 0."""

    number: int
    name: str
    data: bytes


class ResultForm(FormParser):
    max_parts = MAX_PARTS

    def __init__(self, content_type: str) -> None:
        super().__init__(content_type)
        self._fields: dict[str, bytes] = {}
        self._pieces: list[Piece] = []
        #: The names of the files that have begun, in order.
        self._files: list[str] = []
        self._part_name = ""

    def take(self, data: bytes) -> Sequence[Piece]:
        """Parses more of the body; returns what of it belongs to files. A file begins with a piece, be it empty."""
        self._write(data)
        pieces, self._pieces = self._pieces, []
        return pieces

    def finished(self) -> Mapping[str, str]:
        """The form's fields. Raises `MissingParameter` where the job or its file is not there."""
        self._check_end()
        if not self._files:
            raise MissingParameter("video is required, as a file.", param=FILM)
        if "job_id" not in self._fields:
            raise MissingParameter("job_id is required.", param="job_id")
        return {name: value.decode("utf-8", "replace") for name, value in self._fields.items()}

    def _part(self, name: str, *, has_file_name: bool) -> None:
        self._part_name = name
        if self._is_file:
            self._begin_file()

    def _begin_file(self) -> None:
        if self._files and self._part_name == FILM:
            raise InvalidValue("The form has a second file beside its video.", param=FILM)
        if FILM in self._files:
            raise InvalidValue("The form has a video and an image.", param=PICTURE)
        self._files.append(self._part_name)
        self._pieces.append(Piece(len(self._files) - 1, self._part_name, b""))

    def _part_data(self, data: bytes) -> None:
        if self._is_file:
            self._pieces.append(Piece(len(self._files) - 1, self._part_name, data))
            return
        value = self._fields.get(self._part_name, b"") + data
        if len(value) > MAX_FIELD_BYTES:
            raise TooLarge(f"{self._part_name[:40]} is too long.")
        self._fields[self._part_name] = value

    @property
    def _is_file(self) -> bool:
        return self._part_name in (FILM, PICTURE)
