"""Reads named statements from a `.sql` file, so that SQL is written as SQL."""

import re
from importlib.resources import files

_NAME = re.compile(r"^-- name: (\w+)$", re.MULTILINE)


def read_queries(file_name: str) -> dict[str, str]:
    """Statements by name. Comment lines are dropped, so that a statement's text is what runs."""
    parts = _NAME.split(files(__package__).joinpath(file_name).read_text(encoding="utf-8"))
    return {name: _stripped(text) for name, text in zip(parts[1::2], parts[2::2], strict=True)}


def _stripped(text: str) -> str:
    lines = [line for line in text.splitlines() if not line.startswith("--")]
    return "\n".join(lines).strip().removesuffix(";")
