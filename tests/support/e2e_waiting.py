"""How a test waits for something that tells nobody: it looks again and again, and not for ever."""

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")
LOOK_SECONDS = 0.05


class Deadline:
    def __init__(self, seconds: float) -> None:
        self._end = time.monotonic() + seconds

    def left(self) -> float:
        """Seconds; never none at all, because nought means for ever to some who are told."""
        return max(self._end - time.monotonic(), 0.001)

    def is_over(self) -> bool:
        return time.monotonic() >= self._end


def wait_until(look: Callable[[], T], is_so: Callable[[T], bool], seconds: float = 30.0) -> T:
    """What was seen when it was so. Raises `AssertionError` with what was seen last."""
    deadline = Deadline(seconds)
    while not is_so(seen := look()):
        assert not deadline.is_over(), f"It did not become so in {seconds:g} s: {seen}"
        time.sleep(LOOK_SECONDS)
    return seen
