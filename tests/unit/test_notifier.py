"""Waking those who wait: one poll for one job, nobody missed, nobody woken who cannot take it."""

import asyncio
from collections.abc import Iterator, Sequence
from contextlib import ExitStack

import pytest

from broker.chunks import Chunk, ChunkKind
from broker.errors import Overloaded
from broker.ids import WorkerId, new_job_id
from broker.jobs import JobKind, JobState
from broker.notifier import News, Notifier, Parked
from tests.support.builders import NOW, OTHER_WORKER, WORKER, a_film_result, a_job
from tests.support.desk import in_loop

VIDEO, CHAT = JobKind.VIDEO, JobKind.CHAT
SOON = 30.0


class Line:
    """Polls that stand in line at one notifier."""

    def __init__(self, max_parked: int = 100) -> None:
        self.notifier = Notifier(max_parked)
        self._stack = ExitStack()

    def __enter__(self) -> "Line":
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def joins(
        self,
        *kinds: JobKind,
        worker: WorkerId = WORKER,
        until: float = NOW + 20,
        is_alive: bool = True,
        may_take: Sequence[JobKind] = tuple(JobKind),
    ) -> Parked:
        parked = Parked(
            kinds or (VIDEO,), worker, until, lambda: is_alive, lambda kind: kind in may_take
        )
        self._stack.enter_context(self.notifier.parked(parked))
        self.notifier.arm(parked)
        return parked


def woken(*polls: Parked) -> list[bool]:
    return [not poll.is_armed for poll in polls]


@pytest.fixture
def line() -> Iterator[Line]:
    with Line() as line:
        yield line


@in_loop
async def test_work_wakes_exactly_one_poll_and_the_longest_waiting_first(line: Line) -> None:
    first, second, third = line.joins(), line.joins(), line.joins()

    line.notifier.wake(VIDEO)
    assert woken(first, second, third) == [True, False, False]

    line.notifier.wake(VIDEO)
    assert woken(first, second, third) == [True, True, False]


@in_loop
async def test_a_poll_is_woken_for_its_kinds_only(line: Line) -> None:
    chat, both = line.joins(CHAT), line.joins(VIDEO, CHAT)

    line.notifier.wake(VIDEO)

    assert woken(chat, both) == [False, True]


@in_loop
async def test_waking_nobody_is_no_error(line: Line) -> None:
    line.notifier.wake(VIDEO)

    assert woken(line.joins()) == [False]


@in_loop
async def test_a_dead_poll_is_skipped_and_ended(line: Line) -> None:
    dead, live = line.joins(is_alive=False), line.joins()

    line.notifier.wake(VIDEO)

    assert woken(dead, live) == [True, True]
    assert (dead.is_over, live.is_over) == (True, False)


@in_loop
async def test_a_worker_that_may_not_take_it_is_passed_over_and_keeps_its_place(line: Line) -> None:
    open_kinds = [CHAT]
    aside, able, later = line.joins(may_take=open_kinds), line.joins(), line.joins()

    line.notifier.wake(VIDEO)
    assert woken(aside, able, later) == [False, True, False]

    open_kinds.append(VIDEO)
    line.notifier.wake(VIDEO)
    assert woken(aside, later) == [True, False]


@in_loop
async def test_the_preferred_worker_is_woken_before_the_longest_waiting(line: Line) -> None:
    first, preferred = line.joins(), line.joins(worker=OTHER_WORKER)

    line.notifier.wake(VIDEO, prefer=OTHER_WORKER)
    assert woken(first, preferred) == [False, True]

    line.notifier.wake(VIDEO, prefer=OTHER_WORKER)
    assert woken(first) == [True]


@in_loop
async def test_a_preferred_worker_that_left_or_may_not_take_it_is_not_waited_for(
    line: Line,
) -> None:
    line.joins(worker=OTHER_WORKER, is_alive=False)
    line.joins(worker=OTHER_WORKER, may_take=())
    other = line.joins()

    line.notifier.wake(VIDEO, prefer=OTHER_WORKER)

    assert woken(other) == [True]


@in_loop
async def test_a_wake_up_between_arming_and_waiting_is_not_missed(line: Line) -> None:
    poll = line.joins()
    line.notifier.wake(VIDEO)

    async with asyncio.timeout(SOON):
        assert await poll.woken()


@in_loop
async def test_a_poll_that_leaves_hands_its_unused_wake_up_on(line: Line) -> None:
    leaving = Parked((VIDEO, CHAT), WORKER, NOW + 20, lambda: True, lambda kind: True)
    with line.notifier.parked(leaving):
        line.notifier.arm(leaving)
        video, chat = line.joins(VIDEO), line.joins(CHAT)
        line.notifier.wake(CHAT)

    assert woken(video, chat) == [False, True]


@in_loop
async def test_a_poll_that_used_its_wake_up_wakes_nobody_when_it_leaves(line: Line) -> None:
    taking = Parked((VIDEO,), WORKER, NOW + 20, lambda: True, lambda kind: True)
    with line.notifier.parked(taking):
        line.notifier.arm(taking)
        other = line.joins()
        line.notifier.wake(VIDEO)
        line.notifier.arm(taking)

    assert woken(other) == [False]


@in_loop
async def test_a_poll_stands_in_line_again_behind_the_others(line: Line) -> None:
    first, second = line.joins(), line.joins()
    line.notifier.wake(VIDEO)

    line.notifier.arm(first)
    line.notifier.wake(VIDEO)

    assert woken(first, second) == [False, True]


@in_loop
async def test_a_poll_ends_when_its_wait_is_over(line: Line) -> None:
    short, long = line.joins(until=NOW + 5), line.joins(until=NOW + 20)

    line.notifier.sweep(NOW + 4.9)
    assert woken(short, long) == [False, False]

    line.notifier.sweep(NOW + 5)
    assert (short.is_over, long.is_over) == (True, False)
    assert not await short.woken()

    line.notifier.wake(VIDEO)
    assert woken(long) == [True]


@in_loop
async def test_as_many_jobs_as_polls_wake_each_poll_once_and_in_order(line: Line) -> None:
    polls = [line.joins() for _ in range(50)]

    for number in range(50):
        line.notifier.wake(VIDEO)
        assert woken(*polls) == [True] * (number + 1) + [False] * (49 - number)


@in_loop
async def test_too_many_polls_are_refused_and_make_room_when_they_go(line: Line) -> None:
    line.notifier = Notifier(max_parked=1)
    poll = Parked((VIDEO,), WORKER, NOW + 20, lambda: True, lambda kind: True)
    with line.notifier.parked(poll):
        assert line.notifier.parked_count == 1
        with pytest.raises(Overloaded):
            line.joins()

    assert line.notifier.parked_count == 0
    line.joins()


@in_loop
async def test_a_worker_that_is_told_something_hears_it_at_once(line: Line) -> None:
    told, other = line.joins(), line.joins(worker=OTHER_WORKER)

    line.notifier.end_polls(lambda worker: worker == WORKER)

    assert (told.is_over, other.is_over) == (True, False)


@in_loop
async def test_draining_ends_every_poll_now_and_from_now_on(line: Line) -> None:
    before = line.joins()

    line.notifier.drain()
    after = line.joins()

    assert (before.is_over, after.is_over) == (True, True)
    assert not await after.woken()


@in_loop
async def test_a_watch_hears_the_news_of_its_job_in_order(line: Line) -> None:
    job, other = a_job(CHAT), a_job(CHAT)
    piece = Chunk(0, ChunkKind.TEXT, "Hi.")
    done = job.ended(JobState.COMPLETED, NOW)
    with line.notifier.watch(job.id) as watch, line.notifier.watch(job.id) as second:
        line.notifier.announce(News(other))
        line.notifier.announce(News(job, chunks=(piece,)))
        line.notifier.announce(News(done, result=a_film_result()))

        heard = [await watch.next(SOON), await watch.next(SOON), await watch.next(0)]

        assert heard == [News(job, chunks=(piece,)), News(done, result=a_film_result()), None]
        assert await second.next(0) == News(job, chunks=(piece,))


@in_loop
async def test_news_that_come_while_waiting_are_heard_at_once(line: Line) -> None:
    job = a_job()
    with line.notifier.watch(job.id) as watch:
        asyncio.get_running_loop().call_soon(line.notifier.announce, News(job))

        assert await watch.next(SOON) == News(job)


@in_loop
async def test_a_wait_for_news_ends_in_time_without_any(line: Line) -> None:
    with line.notifier.watch(new_job_id()) as watch:
        assert await watch.next(0.001) is None


@in_loop
async def test_draining_ends_every_wait_for_news_now_and_from_now_on(line: Line) -> None:
    job = a_job()
    with line.notifier.watch(job.id) as watch:
        asyncio.get_running_loop().call_soon(line.notifier.drain)
        async with asyncio.timeout(SOON / 2):
            assert await watch.next(SOON) is None
            assert await watch.next(SOON) is None
            with line.notifier.watch(job.id) as later:
                assert await later.next(SOON) is None
        line.notifier.announce(News(job))

        assert await watch.next(SOON) == News(job)


@in_loop
async def test_nobody_is_told_after_leaving(line: Line) -> None:
    job = a_job()
    with line.notifier.watch(job.id) as watch:
        pass

    line.notifier.announce(News(job))

    assert await watch.next(0) is None


@in_loop
async def test_whoever_listens_hears_the_news_of_all_jobs(line: Line) -> None:
    heard: list[News] = []
    line.notifier.listen(heard.append)
    first, second = News(a_job()), News(a_job(CHAT))

    line.notifier.announce(first)
    line.notifier.announce(second)

    assert heard == [first, second]
