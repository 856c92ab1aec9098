"""Where time comes from.

Leases and deadlines are counted on a steady clock, so that a step of the machine's clock neither ends a live
lease nor keeps a dead one. Only calendars (the age of a film, the date of a log) ask the wall.
"""

import time


class SystemClock:
    """Unix seconds that follow the wall clock at start and the monotonic clock from then on."""

    def __init__(self) -> None:
        self._offset = time.time() - time.monotonic()

    def now(self) -> float:
        """Unix seconds, steady while the process runs: never jumps, whatever happens to the machine's clock."""
        return self._offset + time.monotonic()

    def wall(self) -> float:
        """Unix seconds as the machine tells them now."""
        return time.time()
