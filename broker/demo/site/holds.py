"""Stops the site at a named point until it is let go, so that a test can act in between without sleeping.

A test holds and releases from its own thread; the site waits on its event loop.
"""

import asyncio
import threading
from concurrent.futures import Future
from typing import Literal, get_args

Point = Literal["accepted", "progress", "final", "media", "media_middle"]


class _Hold:
    def __init__(self) -> None:
        self.let_go: Future[None] = Future()
        self.waiting = 0


class Holds:
    """At most one hold for each point; who waits at a hold is let go together with it."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._holds: dict[Point, _Hold] = {}

    def hold(self, point: Point) -> None:
        if point not in get_args(Point):
            raise ValueError(f"{point!r} is no point; there are {', '.join(get_args(Point))}.")
        with self._changed:
            self._holds.setdefault(point, _Hold())

    def release(self, point: Point) -> None:
        with self._changed:
            hold = self._holds.pop(point, None)
        if hold:
            hold.let_go.set_result(None)

    def release_all(self) -> None:
        for point in get_args(Point):
            self.release(point)

    def wait_until_held(self, point: Point, seconds: float) -> None:
        """Returns as soon as somebody waits there. Raises `TimeoutError`."""
        with self._changed:
            if not self._changed.wait_for(lambda: self._waiting(point) > 0, seconds):
                raise TimeoutError(f"Nothing came to {point!r} in {seconds} s.")

    async def pass_by(self, point: Point) -> None:
        """Returns at once unless the point is held."""
        with self._changed:
            hold = self._holds.get(point)
            if hold is None:
                return
            hold.waiting += 1
            self._changed.notify_all()
        try:
            # A waiter that is cancelled must not let the others go.
            await asyncio.shield(asyncio.wrap_future(hold.let_go))
        finally:
            with self._changed:
                hold.waiting -= 1

    def _waiting(self, point: Point) -> int:
        hold = self._holds.get(point)
        return hold.waiting if hold else 0
