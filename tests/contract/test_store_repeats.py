"""That a store keeps a request once, however often it is sent, proved for every engine."""

import asyncio

import pytest

from broker.errors import IdempotencyConflict
from broker.ids import Owner
from broker.jobs import Payload
from broker.repeats import RequestKey
from tests.support.builders import NOW, a_job
from tests.support.running import run
from tests.support.stores import Open

CHOSEN = RequestKey("key:order-1", "d1", joins=True, is_chosen=True)


def test_a_repeat_gets_the_job_of_the_first_sending(open_store: Open) -> None:
    first, second = a_job(), a_job(now=NOW + 10)

    async def scene() -> None:
        async with open_store() as store:
            assert await store.job_of_request(first.owner, CHOSEN.name) is None
            assert await store.add(first, Payload("p"), CHOSEN) == first
            assert await store.job_of_request(first.owner, CHOSEN.name) == first.id
            assert await store.add(second, Payload("p"), CHOSEN) == first
            assert await store.get(second.id) is None
            assert sum((await store.count()).values()) == 1

    run(scene())


def test_fifty_sendings_at_once_make_one_job(open_store: Open) -> None:
    async def scene() -> None:
        async with open_store() as store:
            adding = [store.add(a_job(), Payload("p"), CHOSEN) for _ in range(50)]

            found = await asyncio.gather(*adding)

            assert len({job.id for job in found}) == 1
            assert sum((await store.count()).values()) == 1

    run(scene())


def test_a_key_used_for_something_else_is_refused_and_keeps_nothing(open_store: Open) -> None:
    async def scene() -> None:
        async with open_store() as store:
            await store.add(a_job(), Payload("p"), CHOSEN)
            other = a_job()

            with pytest.raises(IdempotencyConflict):
                await store.add(other, Payload("q"), CHOSEN._replace(digest="d2"))

            assert await store.get(other.id) is None

    run(scene())


def test_keys_belong_to_their_owner(open_store: Open) -> None:
    mine, theirs = a_job(), a_job(owner=Owner("somebody else"))

    async def scene() -> None:
        async with open_store() as store:
            await store.add(mine, Payload("p"), CHOSEN)

            assert await store.add(theirs, Payload("p"), CHOSEN) == theirs

    run(scene())


def test_a_new_job_takes_the_name_over(open_store: Open) -> None:
    repeat = RequestKey("body:d1", "d1", joins=True, is_chosen=False)
    anew = repeat._replace(joins=False)
    first, second = a_job(), a_job()

    async def scene() -> None:
        async with open_store() as store:
            await store.add(first, Payload("p"), anew)
            assert await store.add(second, Payload("p"), anew) == second

            assert await store.add(a_job(), Payload("p"), repeat) == second

    run(scene())


def test_a_deleted_job_is_found_by_no_repeat(open_store: Open) -> None:
    first, second = a_job(), a_job()

    async def scene() -> None:
        async with open_store() as store:
            await store.add(first, Payload("p"), CHOSEN)
            await store.delete([first.id])

            assert await store.add(second, Payload("p"), CHOSEN) == second

    run(scene())


def test_old_keys_are_forgotten_and_young_ones_kept(open_store: Open) -> None:
    async def scene() -> None:
        async with open_store() as store:
            for at in (NOW, NOW + 1, NOW + 100):
                key = CHOSEN._replace(name=f"key:{at}")
                await store.add(a_job(now=at), Payload("p"), key)

            assert await store.prune_request_keys(NOW + 50, 1) == 1
            assert await store.prune_request_keys(NOW + 50, 10) == 1
            assert await store.prune_request_keys(NOW + 50, 10) == 0

            job = await store.add(a_job(), Payload("p"), CHOSEN._replace(name=f"key:{NOW + 100}"))
            assert job.created_at == NOW + 100

    run(scene())
