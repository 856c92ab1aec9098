"""Forms (`multipart/form-data`), parsed as they come: what is common to all, and the form of a client.

Says what stands in a form. What a field means is for its route, and the form of a result has a file of its own.
"""

import re
from typing import Any

from python_multipart.multipart import MultipartParser, parse_options_header

from broker.errors import InvalidValue, TooLarge

MAX_HEADER_BYTES = 64 * 1024
MAX_PARTS = 100
#: A text may be an image: 20 MiB as base64, and some.
MAX_FIELD_BYTES = 28 * 1024 * 1024
#: How deep the brackets of a name may go.
MAX_DEPTH = 6
_NAME = re.compile(r"([^\[\]\x00-\x1f]{1,80})((?:\[[^\[\]\x00-\x1f]{0,80}\])*)")
_BRACKET = re.compile(r"\[([^\]]*)\]")


class FormParser:
    """The parts of a form, one after the other. A subclass says in `_part` and `_part_data` what becomes of them."""

    max_parts = MAX_PARTS

    def __init__(self, content_type: str) -> None:
        """Raises `InvalidValue` for a type without a usable boundary."""
        _, options = parse_options_header(content_type)
        boundary = options.get(b"boundary")
        if not boundary:
            raise InvalidValue("multipart/form-data needs a boundary.")
        try:
            self._parser = MultipartParser(boundary, self._callbacks())
        except ValueError:
            raise InvalidValue("The boundary of the form is too long.") from None
        self._is_whole = False
        self._name = b""
        self._value = b""
        self._disposition = b""
        self._part_count = 0

    def _callbacks(self) -> Any:
        return {
            "on_part_begin": self._begin,
            "on_header_field": self._header_name,
            "on_header_value": self._header_value,
            "on_header_end": self._header_end,
            "on_headers_finished": self._headers_finished,
            "on_part_data": lambda data, start, end: self._part_data(data[start:end]),
            "on_end": self._end,
        }

    def _part(self, name: str, *, has_file_name: bool) -> None:
        """A part begins."""
        raise NotImplementedError

    def _part_data(self, data: bytes) -> None:
        """More of the part that began last."""
        raise NotImplementedError

    def _write(self, data: bytes) -> None:
        """Parses more of the body."""
        try:
            self._parser.write(data)
        except ValueError:
            raise InvalidValue("The multipart body is malformed.") from None

    def _check_end(self) -> None:
        if not self._is_whole:
            raise InvalidValue("The multipart body ends before its last boundary.")

    def _begin(self) -> None:
        self._disposition = b""
        self._part_count += 1
        if self._part_count > self.max_parts:
            raise TooLarge(f"The form may have at most {self.max_parts} parts.")

    def _header_name(self, data: bytes, start: int, end: int) -> None:
        self._name += data[start:end]

    def _header_value(self, data: bytes, start: int, end: int) -> None:
        self._value += data[start:end]
        if len(self._value) > MAX_HEADER_BYTES:
            raise TooLarge("A header of the form is too long.")

    def _header_end(self) -> None:
        if self._name.lower() == b"content-disposition":
            self._disposition = self._value
        self._name = self._value = b""

    def _headers_finished(self) -> None:
        _, options = parse_options_header(self._disposition)
        name = options.get(b"name", b"").decode("utf-8", "replace")
        self._part(name, has_file_name=b"filename" in options)

    def _end(self) -> None:
        self._is_whole = True


class ClientForm(FormParser):
    """A small form that stands for a JSON object: a part with a file name is a file, any other a text.

    `video[id]` is the field `id` of `video`, and `image[]` one more of the list `image`.
    """

    def __init__(self, content_type: str) -> None:
        super().__init__(content_type)
        self._parts: list[tuple[str, bool, bytearray]] = []

    def take(self, data: bytes) -> None:
        """More of the body. Raises `InvalidValue` or `TooLarge`."""
        self._write(data)

    def finished(self) -> tuple[dict[str, Any], dict[str, list[bytes]]]:
        """The fields, unfolded, and the files by their fields' names without brackets."""
        self._check_end()
        fields: dict[str, Any] = {}
        files: dict[str, list[bytes]] = {}
        for name, is_file, value in self._parts:
            steps = _steps(name)
            if not is_file:
                _put(fields, steps, _text(name, value))
            elif value:
                # A file field that nobody filled in is sent as an empty file.
                files.setdefault(steps[0], []).append(bytes(value))
        return {name: _with_lists(value) for name, value in fields.items()}, files

    def _part(self, name: str, *, has_file_name: bool) -> None:
        self._parts.append((name, has_file_name, bytearray()))

    def _part_data(self, data: bytes) -> None:
        name, is_file, value = self._parts[-1]
        value += data
        if len(value) > MAX_FIELD_BYTES and not is_file:
            raise TooLarge(f"{name[:40]} is too long.")


def _steps(name: str) -> list[str]:
    """The way to a field: `a[b][]` is `a`, `b`, and the next place of a list."""
    match = _NAME.fullmatch(name)
    if match is None:
        raise InvalidValue(f"The form has a part with a name that cannot be used: {name[:40]!r}.")
    steps = [match[1], *_BRACKET.findall(match[2])]
    if len(steps) > MAX_DEPTH:
        raise InvalidValue(f"{name[:40]} is nested more than {MAX_DEPTH} deep.", param=match[1])
    return steps


def _text(name: str, value: bytearray) -> str:
    try:
        text = value.decode("utf-8")
    except UnicodeDecodeError:
        raise InvalidValue(f"{name[:40]} is not UTF-8.", param=name.partition("[")[0]) from None
    if "\0" in text:
        raise InvalidValue(f"{name[:40]} has a NUL character in it.", param=name.partition("[")[0])
    return text


def _put(fields: dict[str, Any], steps: list[str], text: str) -> None:
    """Puts a text at its place. A list is a dict from its places until all is there."""
    at = fields
    for step in steps[:-1]:
        at = at.setdefault(step or _last(at, steps), {})
        if not isinstance(at, dict):
            raise InvalidValue(f"{steps[0]} is given in two ways.", param=steps[0])
    key = steps[-1] or str(len(at))
    if key in at:
        raise InvalidValue(f"{steps[0]} is given twice.", param=steps[0])
    at[key] = text


def _last(at: dict[str, Any], steps: list[str]) -> str:
    """Where the fields of an object in a list go: into the last one, until it has a field of that name."""
    number = len(at) - 1
    last = at.get(str(number))
    is_open = isinstance(last, dict) and steps[-1] not in last
    return str(number if is_open else len(at))


def _with_lists(value: Any) -> Any:
    if not isinstance(value, dict):
        return value
    unfolded = {key: _with_lists(item) for key, item in value.items()}
    if unfolded and list(unfolded) == [str(place) for place in range(len(unfolded))]:
        return list(unfolded.values())
    return unfolded
