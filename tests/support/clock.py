"""A clock that tests move by hand."""


class ManualClock:
    def __init__(self, at: float = 1_800_000_000.0) -> None:
        self._now = at
        self._wall = at

    def now(self) -> float:
        return self._now

    def wall(self) -> float:
        return self._wall

    def advance(self, seconds: float) -> None:
        self._now += seconds
        self._wall += seconds

    def step_wall(self, seconds: float) -> None:
        """The machine's clock is set; steady time goes on."""
        self._wall += seconds
