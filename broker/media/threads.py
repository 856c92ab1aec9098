"""The threads that touch the disk, and what a broken disk is called. Does not know what is read or written."""

import asyncio
import errno
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any, ParamSpec, TypeVar

from broker.errors import BrokerError, DiskFull, NotFound, StoreFailed

P = ParamSpec("P")
T = TypeVar("T")

#: Eight uploads may all be waiting for a slow disk, and readers still find a thread.
THREADS = 12

_NO_ROOM = {errno.ENOSPC, getattr(errno, "EDQUOT", errno.ENOSPC)}


class DiskThreads:
    """A pool whose deeds are carried through, even when their caller is cancelled."""

    def __init__(self, threads: int = THREADS) -> None:
        self.pool = ThreadPoolExecutor(threads, thread_name_prefix="media")

    def close(self, *, drop_waiting: bool = False) -> None:
        """Waits for what was begun, and for what waits for a thread unless that is to be dropped."""
        self.pool.shutdown(cancel_futures=drop_waiting)

    def start(self, deed: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        return self.pool.submit(deed, *args, **kwargs)

    def after(
        self, busy: Future[Any], deed: Callable[P, T], *args: P.args, **kwargs: P.kwargs
    ) -> None:
        """Does this in a thread once that is done, without waiting: also where the caller may not wait."""
        busy.add_done_callback(lambda _: self._start_or_do(deed, *args, **kwargs))

    def _start_or_do(self, deed: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> None:
        try:
            self.start(deed, *args, **kwargs)
        except RuntimeError:  # The pool is closed.
            deed(*args, **kwargs)

    async def read(self, deed: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """A file that is missing is `NotFound`."""
        return await outcome(self.start(deed, *args, **kwargs), NotFound)

    async def write(self, deed: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """A file that is missing is as bad as any other error of the disk."""
        return await outcome(self.start(deed, *args, **kwargs), StoreFailed)


async def outcome(future: Future[T], if_missing: type[BrokerError]) -> T:
    with disk_errors(if_missing):
        return await asyncio.shield(asyncio.wrap_future(future))


@contextmanager
def disk_errors(if_missing: type[BrokerError]) -> Iterator[None]:
    try:
        yield
    except FileNotFoundError as error:
        raise if_missing("The file is not there.") from error
    except PermissionError as error:
        # On Windows also this: the file is open in a reader.
        raise StoreFailed(
            "The file is in use or protected; the same call may be repeated."
        ) from error
    except OSError as error:
        if error.errno in _NO_ROOM:
            raise DiskFull from error
        raise StoreFailed(f"The disk did not obey: {error.strerror}. Repeating is safe.") from error
