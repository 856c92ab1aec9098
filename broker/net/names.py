"""Asks the system for the addresses of a name. What may be done with them, `guarded.py` decides."""

import asyncio
import socket
import threading
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress

#: Every address of a host, as text: what `resolve` below asks the system for.
Resolve = Callable[[str, int], Awaitable[Sequence[str]]]


async def resolve(host: str, port: int) -> Sequence[str]:
    """Raises `OSError` for a name without addresses.

    In a thread of its own: a name whose server is silent holds it for half a minute, and the pool that all others
    share would soon consist of such threads. Nobody waits for it when the program ends.
    """
    loop = asyncio.get_running_loop()
    answer: asyncio.Future[Sequence[str]] = loop.create_future()

    def ask() -> None:
        found: Sequence[str] | OSError
        try:
            entries = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
            found = [str(entry[4][0]) for entry in entries]
        except (OSError, UnicodeError) as error:
            found = error if isinstance(error, OSError) else OSError(str(error))
        with suppress(RuntimeError):  # The loop has ended meanwhile.
            loop.call_soon_threadsafe(_tell, answer, found)

    threading.Thread(target=ask, name="resolve", daemon=True).start()
    return await answer


def _tell(answer: "asyncio.Future[Sequence[str]]", found: Sequence[str] | OSError) -> None:
    if answer.done():
        return  # Nobody waits any more.
    if isinstance(found, OSError):
        answer.set_exception(found)
    else:
        answer.set_result(found)
