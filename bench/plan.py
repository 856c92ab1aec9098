"""How much each bench does, so that the whole run ends in time. Two sizes: the real one, and a quick look."""

from pathlib import Path
from typing import NamedTuple


class Plan(NamedTuple):
    """The size of a run. A quick one shows that everything works; its figures are not kept."""

    #: Where the data goes; a real disk, removed afterwards.
    folder: Path
    rounds: int
    #: How long one side of one round runs, where it is a matter of time.
    side_seconds: float
    #: How many jobs one side of one round does, where it is a matter of latency.
    jobs: int
    film_bytes: int
    rows: int
    parked_polls: int
    clients: int = 64
    workers: int = 16


def whole(folder: Path) -> Plan:
    return Plan(
        folder=folder,
        rounds=5,
        side_seconds=2.0,
        jobs=400,
        film_bytes=200_000_000,
        rows=1_000_000,
        parked_polls=10_000,
    )


def quick(folder: Path) -> Plan:
    return whole(folder)._replace(rounds=2, side_seconds=0.7, jobs=100, rows=200_000)
