"""Every engine of the `Store` port, opened one way."""

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path

from broker.ports import Store
from broker.store.memory import MemoryStore
from broker.store.sqlite.store import SqliteStore

Open = Callable[[], AbstractAsyncContextManager[Store]]
ENGINES = ["memory", "sqlite"]


def opener(engine: str, folder: Path) -> Open:
    if engine == "memory":
        return _memory
    return lambda: SqliteStore(folder / "jobs.db", on_fatal=lambda error: None)


@asynccontextmanager
async def _memory() -> AsyncIterator[Store]:
    yield MemoryStore()
