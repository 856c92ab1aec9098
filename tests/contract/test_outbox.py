"""What the `Outbox` port promises, proved for every engine."""

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import NamedTuple

import pytest

from broker.errors import NotFound
from broker.ids import JobId
from broker.jobs import Change, Job, JobState, Payload
from broker.ports import Store
from broker.store.memory import MemoryStore
from broker.store.memory_outbox import MemoryOutbox
from broker.store.sqlite import outbox
from broker.store.sqlite.store import SqliteStore
from broker.webhooks import Answer, Delivery, DeliveryState, Outbox, answered
from tests.support.builders import NOW, a_grant, a_job
from tests.support.running import run

URL = "https://receiver.example/hook"


class Kept(NamedTuple):
    store: Store
    outbox: Outbox


Open = Callable[[], AbstractAsyncContextManager[Kept]]


@asynccontextmanager
async def _memory() -> AsyncIterator[Kept]:
    store = MemoryStore()
    yield Kept(store, MemoryOutbox(store))


@pytest.fixture(params=["memory", "sqlite"])
def open_kept(request: pytest.FixtureRequest, tmp_path: Path) -> Open:
    @asynccontextmanager
    async def _sqlite() -> AsyncIterator[Kept]:
        async with SqliteStore(tmp_path / "jobs.db", on_fatal=lambda error: None) as store:
            yield Kept(store, store.outbox)

    return _memory if request.param == "memory" else _sqlite


async def added(kept: Kept, url: str | None = URL) -> Job:
    job = a_job()
    await kept.store.add(job, Payload("a cat"), None, url)
    return job


async def ended(kept: Kept, url: str | None = URL) -> Job:
    job = await added(kept, url)
    return await end(kept, job)


async def end(kept: Kept, job: Job) -> Job:
    return await kept.store.change(
        job.id, lambda view: Change(view.job.ended(JobState.CANCELLED, NOW))
    )


async def due_jobs(
    kept: Kept, now: float = NOW, limit: int = 10, but: tuple[str, ...] = ()
) -> list[JobId]:
    return [delivery.job_id for delivery in await kept.outbox.due(now, limit, but)]


async def of(kept: Kept, job: Job) -> Delivery:
    delivery = await kept.outbox.of_job(job.id)
    assert delivery is not None
    return delivery


def test_a_delivery_is_made_with_its_job_and_due_when_that_has_ended(open_kept: Open) -> None:
    async def scene() -> None:
        async with open_kept() as kept:
            job = await added(kept)

            assert await due_jobs(kept) == []
            await end(kept, job)

            (delivery,) = await kept.outbox.due(NOW, 10)
            assert delivery[1:] == (job.id, URL, DeliveryState.WAITING, 0, 0.0, None, None)
            assert await kept.outbox.find(delivery.id) == delivery
            assert await kept.outbox.of_job(job.id) == delivery

    run(scene())


def test_a_job_that_tells_nobody_has_no_delivery(open_kept: Open) -> None:
    async def scene() -> None:
        async with open_kept() as kept:
            job = await ended(kept, url=None)

            assert await due_jobs(kept) == []
            assert await kept.outbox.of_job(job.id) is None
            assert await kept.outbox.find("msg_0") is None

    run(scene())


def test_a_job_in_the_hands_of_a_worker_is_not_due(open_kept: Open) -> None:
    async def scene() -> None:
        async with open_kept() as kept:
            await added(kept)
            assert await kept.store.claim(a_grant(), NOW)

            assert await due_jobs(kept) == []

    run(scene())


def test_a_try_that_failed_is_due_again_at_its_moment(open_kept: Open) -> None:
    async def scene() -> None:
        async with open_kept() as kept:
            job = await ended(kept)
            before = await of(kept, job)
            after = before.tried(answered(500), NOW, roll=0.5)

            assert await kept.outbox.note(before, after)

            assert await of(kept, job) == after
            assert await due_jobs(kept, after.next_try_at - 0.1) == []
            assert await due_jobs(kept, after.next_try_at) == [job.id]

    run(scene())


def test_what_was_delivered_or_is_dead_is_not_due(open_kept: Open) -> None:
    async def scene() -> None:
        async with open_kept() as kept:
            for status in (200, 410):
                before = await of(kept, await ended(kept))
                await kept.outbox.note(before, before.tried(answered(status), NOW, roll=0.5))

            assert await due_jobs(kept, NOW + 1e9) == []

    run(scene())


def test_the_longest_due_come_first_and_no_more_than_asked_for(open_kept: Open) -> None:
    async def scene() -> None:
        async with open_kept() as kept:
            tried, second, third = [await ended(kept) for _ in range(3)]
            before = await of(kept, tried)
            await kept.outbox.note(before, before.tried(Answer(None, "Silence."), NOW, roll=0.5))

            assert await due_jobs(kept, NOW + 100) == [second.id, third.id, tried.id]
            assert await due_jobs(kept, NOW + 100, limit=2) == [second.id, third.id]

    run(scene())


def test_those_that_begin_with_a_given_origin_are_passed_over(open_kept: Open) -> None:
    async def scene() -> None:
        async with open_kept() as kept:
            for path in "abc":
                await ended(kept, f"https://full.example/{path}")
            other = await ended(kept, "https://full.example.other/")
            odd = await ended(kept, "https://100%25_.example/")

            full = ("https://full.example/", "https://busy.example/")
            assert await due_jobs(kept, limit=2, but=full) == [other.id, odd.id]
            assert await due_jobs(kept, but=(*full, "https://100%25_.example/")) == [other.id]

    run(scene())


def test_what_has_changed_meanwhile_is_not_written_over(open_kept: Open) -> None:
    async def scene() -> None:
        async with open_kept() as kept:
            before = await of(kept, await ended(kept))
            resent = before.again(NOW)
            assert await kept.outbox.note(before, resent)

            assert not await kept.outbox.note(before, before.tried(answered(200), NOW, roll=0.5))

            assert await kept.outbox.find(before.id) == resent

    run(scene())


def test_a_page_is_of_one_state_newest_first_and_goes_on_behind_a_delivery(
    open_kept: Open,
) -> None:
    async def scene() -> None:
        async with open_kept() as kept:
            made = [await of(kept, await ended(kept)) for _ in range(6)]
            dead = [
                delivery.tried(answered(410), NOW, roll=0.5)
                for delivery in made
                if delivery != made[3]
            ]
            for after in dead:
                before = after._replace(state=DeliveryState.WAITING, tries=0, last_error=None)
                assert await kept.outbox.note(before, after)

            newest = list(await kept.outbox.page(DeliveryState.DEAD, 2))
            rest = list(await kept.outbox.page(DeliveryState.DEAD, 9, newest[-1].id))

            assert newest + rest == dead[::-1]
            assert await kept.outbox.page(DeliveryState.WAITING, 9) == [made[3]]
            assert await kept.outbox.page(DeliveryState.DELIVERED, 9) == []
            assert len(await kept.outbox.page(None, 9)) == 6
            with pytest.raises(NotFound):
                await kept.outbox.page(None, 9, "msg_0")

    run(scene())


def test_a_delivery_goes_with_its_job(open_kept: Open) -> None:
    async def scene() -> None:
        async with open_kept() as kept:
            before = await of(kept, await ended(kept))

            await kept.store.delete([before.job_id])

            assert await kept.outbox.find(before.id) is None
            assert await kept.outbox.page(None, 9) == []
            assert not await kept.outbox.note(before, before.again(NOW))

    run(scene())


def test_a_page_of_the_dead_reads_those_alone(tmp_path: Path) -> None:
    async def scene() -> None:
        async with SqliteStore(tmp_path / "jobs.db", on_fatal=lambda error: None) as store:
            plans = [
                " ".join(
                    str(row[-1]) for row in await store._read(f"EXPLAIN QUERY PLAN {sql}", values)
                )
                for sql, values in (
                    (_page_sql("dead"), (10,)),
                    (_due_sql(), {"now": NOW, "limit": 10, "but": "[]"}),
                )
            ]

            assert "webhooks_dead" in plans[0]
            assert "webhooks_waiting (next_try_at<?)" in plans[1]
            assert "TEMP B-TREE" not in " ".join(plans)

    run(scene())


def _page_sql(state: str) -> str:
    return outbox._PAGE.format(where=f"WHERE webhooks.state = '{state}'")


def _due_sql() -> str:
    return outbox._SQL["due"]
