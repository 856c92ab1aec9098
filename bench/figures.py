"""What a bench hands back: a figure with its range and target, or the reason why it was not run. No measuring here."""

from typing import NamedTuple


class Target(NamedTuple):
    """A bound that a figure must keep: `sign` is `>=` or `<=`."""

    sign: str
    bound: float

    def is_reached_by(self, value: float) -> bool:
        return value >= self.bound if self.sign == ">=" else value <= self.bound

    def __str__(self) -> str:
        return f"{self.sign} {self.bound:g}"


class Figure(NamedTuple):
    """One measured figure. `value` is the median of its rounds, `low` and `high` are their range."""

    name: str
    what: str
    value: float
    low: float
    high: float
    #: Written behind the number: `x` for a ratio.
    unit: str
    target: Target
    #: What each side promised about the disk while it was measured.
    durability: str
    #: The two sides in absolute numbers, for whoever reads the ratio.
    sides: str = ""

    @property
    def is_reached(self) -> bool:
        return self.target.is_reached_by(self.value)

    @property
    def verdict(self) -> str:
        return "reached" if self.is_reached else "missed"

    @property
    def measured(self) -> str:
        return f"{self.value:.2f}{self.unit} ({self.low:.2f}..{self.high:.2f})"

    @property
    def line(self) -> str:
        return f"{self.name} {self.what} = {self.measured} target {self.target} {self.verdict}"


class NotRun(NamedTuple):
    """A figure that could not be had on this machine. Never a pass."""

    name: str
    what: str
    target: Target
    why: str

    @property
    def is_reached(self) -> bool:
        return False

    @property
    def line(self) -> str:
        return f"{self.name} {self.what} = not run ({self.why}) target {self.target}"


Row = Figure | NotRun
