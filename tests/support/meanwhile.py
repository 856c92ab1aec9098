"""Two sides at once: a worker, or further clients, busy in the background while a test asks."""

import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TypeVar

from tests.support.worker import ScriptedWorker

Work = Callable[[ScriptedWorker], None]
T = TypeVar("T")


@contextmanager
def meanwhile(work: Work, worker: ScriptedWorker) -> Iterator[None]:
    """A worker busy in the background; what goes wrong there is raised here."""
    failed: list[BaseException] = []

    def run() -> None:
        try:
            work(worker)
        except BaseException as error:
            failed.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    yield
    thread.join(30)
    if failed:
        raise failed[0]


def says(text: str, **fields: object) -> Work:
    """A worker that takes one chat and answers it."""

    def work(worker: ScriptedWorker) -> None:
        answer = worker.answer(worker.take("chat"), text, **fields)
        assert answer.status_code == 200, answer.text

    return work


def at_once(deeds: Sequence[Callable[[], T]]) -> list[T]:
    """All of them at the same time; their results in order."""
    with ThreadPoolExecutor(len(deeds)) as pool:
        return [each.result(60) for each in [pool.submit(deed) for deed in deeds]]
