"""Keeps the last figures in `bench/README.md`: replaces the table between two marks and nothing else."""

import datetime
import os
import platform
import sqlite3
from collections.abc import Sequence
from pathlib import Path

from bench.figures import Figure, Row

README = Path(__file__).parent / "README.md"
BEGIN, END = "<!-- figures -->", "<!-- end of figures -->"


def write(rows: Sequence[Row], fdatasync_ms: float) -> None:
    README.write_text(
        replaced(README.read_text(encoding="utf-8"), table(rows), conditions(fdatasync_ms)),
        encoding="utf-8",
    )


def replaced(page: str, figures: str, measured_on: str) -> str:
    """The page with new figures. Raises `ValueError` if its marks are gone."""
    before, _, rest = page.partition(BEGIN)
    _, _, after = rest.partition(END)
    if not rest or END not in page:
        raise ValueError(f"{README.name} has lost its marks {BEGIN} and {END}.")
    return f"{before}{BEGIN}\n\n{measured_on}\n\n{figures}\n\n{END}{after}"


def table(rows: Sequence[Row]) -> str:
    head = [
        "| | what | figure | the two sides | target | | durability |",
        "|---|---|---|---|---|---|---|",
    ]
    return "\n".join(head + [_line(row) for row in rows])


def conditions(fdatasync_ms: float) -> str:
    """When and on what the figures were taken. Names no host."""
    # Not those this process keeps to while it measures.
    cores = os.cpu_count()
    return (
        f"Measured {datetime.date.today().isoformat()} on {platform.system()} {platform.machine()}, {cores} cores, "
        f"Python {platform.python_version()}, SQLite {sqlite3.sqlite_version}; 4 KiB appended and synced to this "
        f"disk: {fdatasync_ms:.2f} ms."
    )


def _line(row: Row) -> str:
    if isinstance(row, Figure):
        cells = [row.measured, row.sides, str(row.target), row.verdict, row.durability]
    else:
        cells = [f"not run: {row.why}", "", str(row.target), "", ""]
    return "| " + " | ".join([row.name, row.what, *cells]) + " |"
