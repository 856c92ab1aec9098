"""Cuts an answer at the first of the client's stops, also where it comes piece by piece."""

from collections.abc import Sequence


class StopCutter:
    """Whatever the pieces, the same text comes out. A piece that may be the beginning of a stop is held back."""

    def __init__(self, stops: Sequence[str]) -> None:
        self._stops = stops
        self._longest = max(map(len, stops), default=0)
        self._held = ""
        #: A stop has been found: nothing follows.
        self.is_cut = False

    def feed(self, text: str) -> str:
        """What may be told now."""
        if not self._stops:
            return text
        if self.is_cut:
            return ""
        text = self._held + text
        end = self._end_in(text)
        if end is None:
            end = len(text) - self._beginning_at_end(text)
            self._held = text[end:]
        return text[:end]

    def rest(self) -> str:
        """What was held back, once it is known that nothing follows."""
        held, self._held = ("" if self.is_cut else self._held), ""
        return held

    def _end_in(self, text: str) -> int | None:
        """Where the stop begins that is whole first: the one at which a model would have stopped."""
        found = [
            (start + len(stop), start) for stop in self._stops if (start := text.find(stop)) >= 0
        ]
        if not found:
            return None
        self.is_cut = True
        return min(found)[1]

    def _beginning_at_end(self, text: str) -> int:
        """How much of the text's end may be the beginning of a stop."""
        for length in range(min(len(text), self._longest - 1), 0, -1):
            end = text[-length:]
            if any(stop.startswith(end) for stop in self._stops):
                return length
        return 0


def cut(text: str, stops: Sequence[str]) -> tuple[str, bool]:
    """A whole text up to the first stop, and whether there was one."""
    cutter = StopCutter(stops)
    told = cutter.feed(text)
    return told + cutter.rest(), cutter.is_cut
