"""The form of a result, parsed as it comes: its files go on in pieces, only a few short fields are kept in memory.

Says what stands in the form; what becomes of it is `uploads.py`.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from python_multipart.multipart import MultipartParser, parse_options_header

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


class ResultForm:
    def __init__(self, content_type: str) -> None:
        """Raises `InvalidValue` for a type without a boundary."""
        _, options = parse_options_header(content_type)
        boundary = options.get(b"boundary")
        if not boundary:
            raise InvalidValue("multipart/form-data needs a boundary.")
        self._parser = MultipartParser(
            boundary,
            {
                "on_part_begin": self._begin,
                "on_header_field": self._header_name,
                "on_header_value": self._header_value,
                "on_header_end": self._header_end,
                "on_headers_finished": self._headers_finished,
                "on_part_data": self._data,
                "on_end": self._end,
            },
        )
        self._fields: dict[str, bytes] = {}
        self._pieces: list[Piece] = []
        #: The names of the files that have begun, in order.
        self._files: list[str] = []
        self._is_whole = False
        self._name = b""
        self._value = b""
        self._disposition = b""
        self._part_name = ""
        self._part_count = 0

    def take(self, data: bytes) -> Sequence[Piece]:
        """Parses more of the body; returns what of it belongs to files. A file begins with a piece, be it empty."""
        try:
            self._parser.write(data)
        except ValueError:
            raise InvalidValue("The multipart body is malformed.") from None
        pieces, self._pieces = self._pieces, []
        return pieces

    def finished(self) -> Mapping[str, str]:
        """The form's fields. Raises `MissingParameter` where the job or its file is not there."""
        if not self._is_whole:
            raise InvalidValue("The multipart body ends before its last boundary.")
        if not self._files:
            raise MissingParameter("video is required, as a file.", param=FILM)
        if "job_id" not in self._fields:
            raise MissingParameter("job_id is required.", param="job_id")
        return {name: value.decode("utf-8", "replace") for name, value in self._fields.items()}

    def _begin(self) -> None:
        self._disposition = b""
        self._part_count += 1
        if self._part_count > MAX_PARTS:
            raise TooLarge(f"The form may have at most {MAX_PARTS} parts.")

    def _header_name(self, data: bytes, start: int, end: int) -> None:
        self._name += data[start:end]

    def _header_value(self, data: bytes, start: int, end: int) -> None:
        self._value += data[start:end]
        if len(self._value) > MAX_FIELD_BYTES:
            raise TooLarge("A header of the form is too long.")

    def _header_end(self) -> None:
        if self._name.lower() == b"content-disposition":
            self._disposition = self._value
        self._name = self._value = b""

    def _headers_finished(self) -> None:
        _, options = parse_options_header(self._disposition)
        self._part_name = options.get(b"name", b"").decode("utf-8", "replace")
        if self._is_file:
            self._begin_file()

    def _begin_file(self) -> None:
        if self._files and self._part_name == FILM:
            raise InvalidValue("The form has a second file beside its video.", param=FILM)
        if FILM in self._files:
            raise InvalidValue("The form has a video and an image.", param=PICTURE)
        self._files.append(self._part_name)
        self._pieces.append(Piece(len(self._files) - 1, self._part_name, b""))

    def _data(self, data: bytes, start: int, end: int) -> None:
        if self._is_file:
            self._pieces.append(Piece(len(self._files) - 1, self._part_name, data[start:end]))
            return
        value = self._fields.get(self._part_name, b"") + data[start:end]
        if len(value) > MAX_FIELD_BYTES:
            raise TooLarge(f"{self._part_name[:40]} is too long.")
        self._fields[self._part_name] = value

    @property
    def _is_file(self) -> bool:
        return self._part_name in (FILM, PICTURE)

    def _end(self) -> None:
        self._is_whole = True
