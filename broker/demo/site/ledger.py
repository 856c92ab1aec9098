"""Writes down what the site was really asked for, so that a test can count it. Any thread may read and wait."""

import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple


@dataclass(frozen=True)
class Submit:
    """One request that the site accepted and that would have cost quota."""

    kind: str
    #: Byte for byte what the page's own model of the editor held.
    prompt: str
    #: SHA-256 of each picture that went along, in order.
    images: tuple[str, ...]
    #: As the page sent them, under one name each: mode, aspect, duration, resolution, speed, model.
    options: Mapping[str, Any]
    post_id: str | None
    conversation_id: str | None
    generation: str
    at: float = field(default_factory=time.time)


class Event(NamedTuple):
    """Something worth knowing when a test fails."""

    name: str
    details: Mapping[str, Any]


class Ledger:
    """Grows only."""

    def __init__(self) -> None:
        self._grown = threading.Condition()
        self._submits: list[Submit] = []
        self._events: list[Event] = []

    def submit(self, submit: Submit) -> None:
        with self._grown:
            self._submits.append(submit)
            self._events.append(Event("submit", {"kind": submit.kind, "prompt": submit.prompt}))
            self._grown.notify_all()

    def note(self, name: str, /, **details: Any) -> None:
        with self._grown:
            self._events.append(Event(name, details))
            self._grown.notify_all()

    @property
    def events(self) -> Sequence[Event]:
        with self._grown:
            return list(self._events)

    def submits(self, prompt: str | None = None) -> list[Submit]:
        with self._grown:
            return [found for found in self._submits if prompt in (None, found.prompt)]

    def wait_for_submit(self, prompt: str | None, seconds: float) -> Submit:
        """The first submit of this prompt. Raises `TimeoutError`."""
        with self._grown:
            found = self._grown.wait_for(lambda: self.submits(prompt), seconds)
        if not found:
            raise TimeoutError(f"Nothing was submitted in {seconds} s that reads {prompt!r}.")
        return found[0]

    def wait_for_event(self, name: str, seconds: float) -> Event:
        """The first event of this name. Raises `TimeoutError`."""
        with self._grown:
            found = self._grown.wait_for(
                lambda: [event for event in self._events if event.name == name], seconds
            )
        if not found:
            raise TimeoutError(f"No {name!r} in {seconds} s.")
        return found[0]
