"""What the `KeyShelf` port promises, and what a store does with the limits of a key, proved for every engine."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path

import pytest

from broker.errors import LimitReached, NotFound
from broker.ids import Owner
from broker.jobs import Change, Job, JobState, Payload
from broker.keys import (
    DAY_SECONDS,
    NO_LIMITS,
    Key,
    KeyHash,
    KeyId,
    KeyShelf,
    Limits,
    Scope,
)
from broker.ports import JobFilter, Store
from broker.repeats import RequestKey
from broker.store.memory_keyshelf import MemoryKeyShelf
from broker.store.sqlite.keyshelf import open_keyshelf, read_keys
from broker.store.sqlite.store import SqliteStore
from tests.support.builders import NOW, a_job
from tests.support.running import run
from tests.support.stores import Open

OpenShelf = Callable[[], AbstractAsyncContextManager[KeyShelf]]
LIMITS = Limits(60, 5, 100, ("grok", "grok-4"))
CHOSEN = RequestKey("key:order-1", "d1", joins=True, is_chosen=True)


def a_key(name: str = "gbw_00000001", limits: Limits = LIMITS) -> Key:
    return Key(
        KeyId(name),
        Scope.WORKER,
        Owner("desk"),
        "The desk's",
        KeyHash("ab" * 32),
        NOW,
        NOW + 100,
        None,
        None,
        50.0,
        limits,
    )


@pytest.fixture(params=["memory", "sqlite"])
def open_shelf(request: pytest.FixtureRequest, tmp_path: Path) -> OpenShelf:
    @asynccontextmanager
    async def opened() -> AsyncIterator[KeyShelf]:
        if request.param == "memory":
            yield MemoryKeyShelf()
            return
        async with SqliteStore(tmp_path / "jobs.db", on_fatal=lambda error: None) as store:
            yield store.keys

    return opened


def test_keys_come_back_as_they_were_put_oldest_first(open_shelf: OpenShelf) -> None:
    kept = [a_key(), a_key("gbc_00000002", NO_LIMITS)._replace(expires_at=None, idle_seconds=None)]

    async def scene() -> None:
        async with open_shelf() as shelf:
            assert list(await shelf.all()) == []
            await shelf.put(kept[0])
            await shelf.put(kept[1])
            assert list(await shelf.all()) == kept

    run(scene())


def test_an_end_is_changed_in_the_place_of_what_it_was(open_shelf: OpenShelf) -> None:
    first, second = a_key(), a_key("gbw_00000002")
    shorter = first._replace(expires_at=NOW + 1, idle_seconds=None)

    async def scene() -> None:
        async with open_shelf() as shelf:
            await shelf.put(first)
            await shelf.put(shorter, second)
            assert list(await shelf.all()) == [shorter, second]

    run(scene())


def test_what_is_revoked_stays_so_whoever_writes_next(open_shelf: OpenShelf) -> None:
    """The broker may write of a key what it read before the command line revoked it."""
    revoked = a_key()._replace(revoked_at=NOW + 5)

    async def scene() -> None:
        async with open_shelf() as shelf:
            await shelf.put(revoked)
            await shelf.put(a_key())
            await shelf.note_use(revoked.id, NOW + 60)
            assert list(await shelf.all()) == [revoked]

    run(scene())


def test_a_use_lengthens_a_key_that_lasts_by_use_and_no_other(open_shelf: OpenShelf) -> None:
    fixed = a_key("gbw_00000002")._replace(idle_seconds=None)
    endless = a_key("gbw_00000003")._replace(idle_seconds=None, expires_at=None)

    async def scene() -> None:
        async with open_shelf() as shelf:
            await shelf.put(a_key(), fixed, endless)
            for key in (a_key(), fixed, endless):
                await shelf.note_use(key.id, NOW + 10)
            early = [key.expires_at for key in await shelf.all()]
            for key in (a_key(), fixed, endless):
                await shelf.note_use(key.id, NOW + 90)

            assert early == [NOW + 100, NOW + 100, None]
            assert [key.expires_at for key in await shelf.all()] == [NOW + 140, NOW + 100, None]
            assert {key.last_used_at for key in await shelf.all()} == {NOW + 90}

    run(scene())


def test_a_key_can_be_forgotten(open_shelf: OpenShelf) -> None:
    async def scene() -> None:
        async with open_shelf() as shelf:
            await shelf.put(a_key(), a_key("gbw_00000002"))
            await shelf.forget(a_key().id)
            await shelf.forget(a_key().id)
            assert [key.id for key in await shelf.all()] == ["gbw_00000002"]

    run(scene())


def test_the_command_line_and_the_broker_see_each_others_keys(tmp_path: Path) -> None:
    path = tmp_path / "jobs.db"

    async def scene() -> None:
        async with SqliteStore(path, on_fatal=lambda error: None) as store:
            await store.keys.put(a_key())
            with open_keyshelf(path) as shelf:
                assert list(await shelf.all()) == [a_key()]
                await shelf.put(a_key("gbw_00000002"))
            assert [key.id for key in await store.keys.all()] == ["gbw_00000001", "gbw_00000002"]
        with open_keyshelf(path) as shelf:
            assert len(await shelf.all()) == 2

    assert read_keys(path) == ()
    run(scene())
    assert [key.id for key in read_keys(path)] == ["gbw_00000001", "gbw_00000002"]


# Limits.


def an_owned_job(owner: str = "alice", now: float = NOW) -> Job:
    return a_job(now=now, owner=Owner(owner))


async def add(store: Store, job: Job, limits: Limits, key: RequestKey | None = None) -> Job:
    return await store.add(job, Payload("p"), key, None, limits)


async def counted(adding: list[Job], store: Store, limits: Limits) -> int:
    """How many of these were taken, all sent at once."""
    answers = await asyncio.gather(
        *(add(store, job, limits) for job in adding), return_exceptions=True
    )
    assert all(isinstance(answer, Job | LimitReached) for answer in answers)
    return sum(isinstance(answer, Job) for answer in answers)


def test_of_fifty_at_once_as_many_are_taken_as_may_be_open(open_store: Open) -> None:
    async def scene() -> None:
        async with open_store() as store:
            mine = [an_owned_job() for _ in range(50)]

            assert await counted(mine, store, Limits(open_jobs=5)) == 5
            assert sum((await store.count(Owner("alice"))).values()) == 5
            assert await counted([an_owned_job("bob")] * 1, store, Limits(open_jobs=5)) == 1

    run(scene())


def test_a_job_that_has_ended_makes_room(open_store: Open) -> None:
    limits = Limits(open_jobs=1)

    async def scene() -> None:
        async with open_store() as store:
            first = await add(store, an_owned_job(), limits)
            with pytest.raises(LimitReached):
                await add(store, an_owned_job(), limits)

            await store.change(
                first.id, lambda view: Change(view.job.ended(JobState.CANCELLED, NOW))
            )

            await add(store, an_owned_job(), limits)

    run(scene())


def test_jobs_are_counted_by_the_day_and_the_refusal_says_when_it_is_over(
    open_store: Open,
) -> None:
    limits, midnight = Limits(daily_jobs=3), NOW - NOW % DAY_SECONDS
    late = midnight + DAY_SECONDS - 90

    async def scene() -> None:
        async with open_store() as store:
            assert await counted([an_owned_job(now=late) for _ in range(9)], store, limits) == 3
            with pytest.raises(LimitReached) as refused:
                await add(store, an_owned_job(now=late), limits)
            assert refused.value.retry_after_seconds == 90
            assert await counted([an_owned_job(now=late + 90)] * 1, store, limits) == 1

    run(scene())


def test_a_repeat_is_not_counted_again_and_is_answered_at_the_limit(open_store: Open) -> None:
    limits = Limits(open_jobs=1, daily_jobs=1)

    async def scene() -> None:
        async with open_store() as store:
            first = await add(store, an_owned_job(), limits, CHOSEN)
            repeats = [add(store, an_owned_job(), limits, CHOSEN) for _ in range(10)]

            assert {job.id for job in await asyncio.gather(*repeats)} == {first.id}
            with pytest.raises(LimitReached):
                await add(store, an_owned_job(), limits, CHOSEN._replace(name="key:order-2"))

    run(scene())


def test_a_refused_job_leaves_nothing(open_store: Open) -> None:
    refused = an_owned_job()

    async def scene() -> None:
        async with open_store() as store:
            await add(store, an_owned_job(), Limits(open_jobs=1))
            with pytest.raises(LimitReached):
                await add(store, refused, Limits(open_jobs=1), CHOSEN)

            assert await store.get(refused.id) is None
            assert await store.job_of_request(refused.owner, CHOSEN.name) is None
            assert sum((await store.count()).values()) == 1

    run(scene())


def test_a_list_does_not_go_on_behind_somebody_elses_job(open_store: Open) -> None:
    """Another owner's id is told as one that is not there."""

    async def scene() -> None:
        async with open_store() as store:
            mine = await add(store, an_owned_job(), NO_LIMITS)
            foreign = await add(store, an_owned_job("bob"), NO_LIMITS)
            wanted = JobFilter(Owner("alice"))

            assert await store.page(wanted, 5, mine.id) == []
            for unknown in (foreign.id, an_owned_job().id):
                with pytest.raises(NotFound, match="to continue behind"):
                    await store.page(wanted, 5, unknown)
            assert len(await store.page(JobFilter(), 5, foreign.id)) == 1

    run(scene())
