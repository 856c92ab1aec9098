"""What the demo says in the terminal: colours and bars where a person watches, plain lines where a file does.

Only says; every figure comes from elsewhere.
"""

import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Protocol

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn

#: Percent, and a word for what is being done.
Advance = Callable[[int, str], None]


class Screen(Protocol):
    def heading(self, text: str) -> None: ...

    def say(self, text: str) -> None: ...

    def complain(self, text: str) -> None:
        """Something went wrong."""

    def stream(self, piece: str) -> None:
        """A piece of a text that goes on; no line ends here."""

    def progress(self, name: str) -> AbstractContextManager[Advance]:
        """A bar to be moved for as long as the block lasts."""


def screen() -> Screen:
    """The right one for where standard output goes."""
    return RichScreen() if sys.stdout.isatty() else PlainScreen()


class PlainScreen:
    """Lines that read well in a log: progress is told in quarters, not in every percent."""

    def heading(self, text: str) -> None:
        self.say(f"\n{text}")

    def say(self, text: str) -> None:
        print(text, flush=True)

    def complain(self, text: str) -> None:
        print(text, file=sys.stderr, flush=True)

    def stream(self, piece: str) -> None:
        print(piece, end="", flush=True)

    @contextmanager
    def progress(self, name: str) -> Iterator[Advance]:
        told = [-1]

        def advance(percent: int, word: str) -> None:
            if percent // 25 > told[0]:
                told[0] = percent // 25
                self.say(f"{name}: {percent} % {word}")

        yield advance


class RichScreen:
    def __init__(self) -> None:
        self._console = Console(highlight=False)

    def heading(self, text: str) -> None:
        self._console.print(f"\n{text}", style="bold magenta", markup=False)

    def say(self, text: str) -> None:
        self._console.print(text, markup=False, soft_wrap=True)

    def complain(self, text: str) -> None:
        self._console.print(text, style="bold red", markup=False, soft_wrap=True)

    def stream(self, piece: str) -> None:
        self._console.print(piece, style="cyan", end="", markup=False, soft_wrap=True)

    @contextmanager
    def progress(self, name: str) -> Iterator[Advance]:
        columns = (
            TextColumn("{task.description}"),
            BarColumn(bar_width=32, complete_style="magenta", finished_style="green"),
            TaskProgressColumn(),
            TextColumn("{task.fields[word]}", style="dim", markup=False),
            TimeElapsedColumn(),
        )
        with Progress(*columns, console=self._console) as bars:
            task = bars.add_task(name, total=100, word="")

            def advance(percent: int, word: str) -> None:
                bars.update(task, completed=percent, word=word)

            yield advance
