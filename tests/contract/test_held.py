"""A worker says which leases it holds: those live on, every other of its own is lost at once. On both stores."""

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from broker.jobs import Action, JobKind, JobState, Outcome
from broker.leases import Phase
from broker.ports import Store
from broker.store.memory import MemoryStore
from broker.store.sqlite.store import SqliteStore
from tests.support.builders import OTHER_WORKER, WORKER
from tests.support.desk import Desk
from tests.support.running import run

Open = Callable[[], AbstractAsyncContextManager[Store]]
POST = '{"post_id": "p"}'


@asynccontextmanager
async def _memory() -> AsyncIterator[Store]:
    yield MemoryStore()


@pytest.fixture(params=["memory", "sqlite"])
def open_store(request: pytest.FixtureRequest, tmp_path: Path) -> Open:
    if request.param == "memory":
        return _memory
    return lambda: SqliteStore(tmp_path / "jobs.db", on_fatal=lambda error: None)


def at_a_desk(open_store: Open, scene: Callable[[Desk], Any]) -> None:
    async def body() -> None:
        async with open_store() as store:
            desk = Desk()
            desk.use(store)  # type: ignore[arg-type]
            await scene(desk)

    run(body())


@pytest.mark.parametrize("kind", list(JobKind))
def test_what_was_submitted_and_is_not_held_any_more_is_recovered_at_once(
    open_store: Open, kind: JobKind
) -> None:
    async def scene(desk: Desk) -> None:
        held = await desk.held(kind)
        await desk.beat(held, Phase.SUBMITTED, evidence=POST)

        assert await desk.queue.give_up_others(WORKER, []) == [held.job.id]

        again = await desk.taken()
        assert (again.job.id, again.action) == (held.job.id, Action.RECOVER)
        assert (again.job.attempt, again.job.losses, again.job.evidence) == (2, 1, POST)
        (ended,) = await desk.store.attempts(held.job.id)
        assert (ended.outcome, ended.failure) == (Outcome.LOST, "not_held")

    at_a_desk(open_store, scene)


def test_what_was_not_submitted_is_tried_again_and_what_never_arrived_is_not_counted(
    open_store: Open,
) -> None:
    async def scene(desk: Desk) -> None:
        begun, unseen = await desk.held(phase=Phase.PREPARING), await desk.held()

        given_up = await desk.queue.give_up_others(WORKER, [])

        assert set(given_up) == {begun.job.id, unseen.job.id}
        jobs = [await desk.job(held.job.id) for held in (begun, unseen)]
        assert [job.state for job in jobs] == [JobState.PENDING] * 2
        assert [job.losses for job in jobs] == [1, 0]
        assert (await desk.taken()).job.id == unseen.job.id

    at_a_desk(open_store, scene)


def test_what_is_held_and_what_others_hold_is_left_alone(open_store: Open) -> None:
    async def scene(desk: Desk) -> None:
        mine, gone = await desk.held(phase=Phase.PREPARING), await desk.held(phase=Phase.SUBMITTED)
        theirs = await desk.held(worker=OTHER_WORKER, phase=Phase.PREPARING)
        before = [await desk.job(held.job.id) for held in (mine, theirs)]

        assert await desk.queue.give_up_others(WORKER, [mine.token]) == [gone.job.id]
        assert await desk.queue.give_up_others(WORKER, [mine.token]) == []

        assert [await desk.job(held.job.id) for held in (mine, theirs)] == before

    at_a_desk(open_store, scene)


def test_a_token_of_an_earlier_lease_holds_nothing(open_store: Open) -> None:
    async def scene(desk: Desk) -> None:
        first = await desk.held(phase=Phase.SUBMITTED)
        await desk.passes(150)
        second = await desk.taken()
        await desk.beat(second)

        assert await desk.queue.give_up_others(WORKER, [first.token]) == [first.job.id]
        assert await desk.state(second) == JobState.PENDING

    at_a_desk(open_store, scene)


def test_a_streamed_answer_that_was_begun_is_not_begun_again(open_store: Open) -> None:
    async def scene(desk: Desk) -> None:
        from tests.unit.test_queue import PIECES

        held = await desk.held(JobKind.CHAT, is_streaming=True)
        await desk.queue.add_chunks(held.job.id, held.token, PIECES)

        await desk.queue.give_up_others(WORKER, [])

        record = await desk.store.get(held.job.id)
        assert record is not None
        assert record.job.error_code == "stream_interrupted"
        assert record.late is not None
        assert record.late.text == "It is so."

    at_a_desk(open_store, scene)
