"""Two sides measured in turn, A B A B, so that a machine that changes its mind changes it for both.

Knows nothing of what is measured: a side is anything that can be awaited for a number.
"""

from collections.abc import Awaitable, Callable, Sequence
from statistics import median
from typing import NamedTuple

Side = Callable[[], Awaitable[float]]


class Spread(NamedTuple):
    """The median of some numbers and their range."""

    value: float
    low: float
    high: float


class Pairs(NamedTuple):
    """What both sides gave, round by round."""

    ours: Sequence[float]
    theirs: Sequence[float]

    @property
    def ratio(self) -> Spread:
        """Ours divided by theirs, pair by pair: the median of those ratios, not the ratio of medians."""
        return spread([a / b for a, b in zip(self.ours, self.theirs, strict=True)])

    def sides(self, unit: str, digits: int = 0) -> str:
        """Both medians in absolute numbers."""
        return f"{median(self.ours):,.{digits}f} ÷ {median(self.theirs):,.{digits}f} {unit}"


def spread(numbers: Sequence[float]) -> Spread:
    return Spread(median(numbers), min(numbers), max(numbers))


async def alternate(ours: Side, theirs: Side, rounds: int, warm_ups: int = 1) -> Pairs:
    """Measures A B A B; the first `warm_ups` rounds are thrown away."""
    pairs = [(await ours(), await theirs()) for _ in range(warm_ups + rounds)][warm_ups:]
    return Pairs([ours for ours, _ in pairs], [theirs for _, theirs in pairs])


def quantile(numbers: Sequence[float], share: float) -> float:
    """The number that `share` of all do not exceed; a real one of them, never a mean of two."""
    ordered = sorted(numbers)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]
