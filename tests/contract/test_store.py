"""What the `Store` port promises, proved for every engine."""

import asyncio
from collections.abc import Callable

import pytest

from broker.chunks import Chunk, ChunkKind
from broker.errors import AlreadyFinished, NotFound
from broker.ids import LeaseToken, Owner, hash_token, new_job_id
from broker.jobs import Attempt, Change, Job, JobKind, JobState, Outcome, Payload
from broker.leases import Phase
from broker.ports import JobFilter, JobView, Store
from broker.store.sqlite.store import SqliteStore
from tests.support.builders import (
    NOW,
    OTHER_WORKER,
    TOKEN,
    WORKER,
    a_film_result,
    a_grant,
    a_job,
    a_picture_result,
)
from tests.support.running import run
from tests.support.stores import Open


def becomes(state: JobState) -> Callable[[JobView], Change]:
    return lambda view: Change(view.job.ended(state, NOW + 1))


async def kept(store: Store, *jobs: Job, prompt: str = "a cat") -> None:
    for job in jobs:
        await store.add(job, Payload(prompt, inputs=(f"{job.id}.0",)))


def test_a_job_comes_back_as_it_was_kept(open_store: Open) -> None:
    job = a_job(priority=3, evidence='{"post_id": "p"}', waiting_reason="rate_limited")

    async def scene() -> None:
        async with open_store() as store:
            await store.add(
                job, Payload("a ☃ cat", "{}", '{"duration_seconds": 6}', ("one", "two"))
            )

            record = await store.get(job.id)

            assert record is not None
            assert record.job == job
            assert record.result is None
            assert await store.payload(job.id) == Payload(
                "a ☃ cat", "{}", '{"duration_seconds": 6}', ("one", "two")
            )
            assert await store.get(new_job_id()) is None
            assert await store.payload(new_job_id()) is None

    run(scene())


def test_a_claim_hands_out_the_smallest_turn_with_its_lease_and_payload(open_store: Open) -> None:
    first, second = a_job(turn=NOW - 5), a_job(turn=NOW - 3)

    async def scene() -> None:
        async with open_store() as store:
            await kept(store, second, first)

            taken = await store.claim(a_grant(), NOW)

            assert taken is not None
            job, payload = taken
            assert (job.id, job.state, job.attempt) == (first.id, JobState.PROCESSING, 1)
            assert job.lease is not None
            assert job.lease.token_hash == hash_token(TOKEN)
            assert job.lease.phase == Phase.ASSIGNED
            assert job.started_at == NOW
            assert job.deadline_at == NOW + 10
            assert payload.prompt == "a cat"
            record = await store.get(first.id)
            assert record is not None
            assert record.job == job

    run(scene())


def test_a_thousand_jobs_and_fifty_claimers_give_each_job_once(open_store: Open) -> None:
    jobs = [a_job(turn=NOW + number) for number in range(1000)]

    async def scene() -> None:
        async with open_store() as store:
            await asyncio.gather(*(store.add(job, Payload("p")) for job in jobs))
            handed: list[str] = []

            async def claimer(number: int) -> None:
                token = LeaseToken(f"lt_{number}")
                while taken := await store.claim(a_grant(token=token), NOW):
                    handed.append(taken[0].id)

            await asyncio.gather(*(claimer(number) for number in range(50)))

            assert sorted(handed) == sorted(job.id for job in jobs)

    run(scene())


def test_a_claim_never_crosses_kinds_and_tries_them_in_order(open_store: Open) -> None:
    video, chat = a_job(JobKind.VIDEO, turn=1.0), a_job(JobKind.CHAT, turn=2.0)

    async def scene() -> None:
        async with open_store() as store:
            await kept(store, video, chat)

            both = a_grant(JobKind.CHAT) | a_grant(JobKind.VIDEO)
            first = await store.claim(both, NOW)
            none = await store.claim(a_grant(JobKind.CHAT), NOW)
            second = await store.claim(both, NOW)

            assert first is not None
            assert first[0].id == chat.id
            assert none is None
            assert second is not None
            assert second[0].id == video.id

    run(scene())


def test_a_delayed_job_is_not_handed_out_before_its_moment(open_store: Open) -> None:
    job = a_job(ready_at=NOW + 60)

    async def scene() -> None:
        async with open_store() as store:
            await kept(store, job)

            assert await store.ripen(NOW + 59) == []
            assert await store.claim(a_grant(), NOW + 59) is None
            assert await store.ripen(NOW + 60) == [JobKind.VIDEO]
            assert await store.claim(a_grant(), NOW + 60) is not None
            assert await store.ripen(NOW + 61) == []

    run(scene())


def test_a_reserved_job_waits_for_its_worker_and_then_for_anybody(open_store: Open) -> None:
    job = a_job(reserved_for=WORKER, reserved_until=NOW + 30)

    async def scene() -> None:
        async with open_store() as store:
            await kept(store, job)

            assert await store.claim(a_grant(worker=OTHER_WORKER), NOW) is None
            taken = await store.claim(a_grant(worker=WORKER), NOW)
            assert taken is not None
            assert taken[0].reserved_for is None

            await kept(store, other := a_job(reserved_for=WORKER, reserved_until=NOW + 30))
            late = await store.claim(a_grant(now=NOW + 30, worker=OTHER_WORKER), NOW + 30)
            assert late is not None
            assert late[0].id == other.id

    run(scene())


def test_a_change_is_whole(open_store: Open) -> None:
    job = a_job()
    result = a_film_result()

    def complete(view: JobView) -> Change:
        lease = view.job.lease
        assert lease is not None
        attempt = Attempt(
            view.job.id,
            1,
            WORKER,
            lease.token_hash,
            NOW,
            NOW + 1,
            Phase.UPLOADING,
            Outcome.COMPLETED,
        )
        return Change(view.job.ended(JobState.COMPLETED, NOW + 1), ended=attempt, result=result)

    async def scene() -> None:
        async with open_store() as store:
            await kept(store, job)
            await store.claim(a_grant(), NOW)

            changed = await store.change(job.id, complete)

            record = await store.get(job.id)
            assert record is not None
            assert record.job == changed
            assert record.job.state == JobState.COMPLETED
            assert record.result == result
            (attempt,) = await store.attempts(job.id)
            assert attempt.outcome == Outcome.COMPLETED

    run(scene())


def test_a_refused_change_changes_nothing(open_store: Open) -> None:
    job = a_job()

    def refuse(view: JobView) -> Change:
        raise AlreadyFinished

    async def scene() -> None:
        async with open_store() as store:
            await kept(store, job)

            with pytest.raises(AlreadyFinished):
                await store.change(job.id, refuse)
            with pytest.raises(NotFound):
                await store.change(new_job_id(), refuse)

            record = await store.get(job.id)
            assert record is not None
            assert record.job == job

    run(scene())


def test_one_refusal_does_not_spoil_what_is_written_with_it(open_store: Open) -> None:
    jobs = [a_job() for _ in range(20)]

    def refuse(view: JobView) -> Change:
        raise AlreadyFinished

    async def scene() -> None:
        async with open_store() as store:
            adding = [store.add(job, Payload("p")) for job in jobs]
            refused = [store.change(job.id, refuse) for job in jobs]
            twice = store.add(jobs[0], Payload("again")) if isinstance(store, SqliteStore) else None
            after = [store.add(a_job(), Payload("p")) for _ in range(5)]

            await asyncio.gather(*adding, *after)
            outcomes = await asyncio.gather(*refused, return_exceptions=True)

            assert all(isinstance(outcome, AlreadyFinished) for outcome in outcomes)
            if twice is not None:
                with pytest.raises(Exception, match="database"):
                    await twice
            assert sum((await store.count()).values()) == 25

    run(scene())


def test_a_caller_that_leaves_never_leaves_half_an_operation(open_store: Open) -> None:
    jobs = [a_job() for _ in range(30)]

    async def scene() -> None:
        async with open_store() as store:
            adding = [asyncio.ensure_future(store.add(job, Payload("p"))) for job in jobs]
            for future in adding[::3]:
                future.cancel()
            await asyncio.gather(*adding, return_exceptions=True)
            await store.ripen(NOW)

            for job, future in zip(jobs, adding, strict=True):
                record, payload = await store.get(job.id), await store.payload(job.id)
                assert (record is None) == (payload is None)
                assert future.cancelled() or record is not None

    run(scene())


def test_a_view_knows_the_past_of_its_job(open_store: Open) -> None:
    job = a_job(JobKind.CHAT)
    pieces = (Chunk(0, ChunkKind.TEXT, "He"), Chunk(1, ChunkKind.REASONING, "hm"))

    def add_chunks(view: JobView) -> Change:
        return Change(view.job._replace(next_seq=2), chunks=pieces)

    def lose(view: JobView) -> Change:
        lease = view.job.lease
        assert lease is not None
        ended = Attempt(
            view.job.id,
            1,
            WORKER,
            lease.token_hash,
            NOW,
            NOW,
            Phase.ASSIGNED,
            Outcome.LOST,
            "x",
            "y",
        )
        back = view.job.moved(JobState.PENDING)._replace(lease=None)
        return Change(back, ended=ended, late=a_film_result("late"))

    seen: list[object] = []

    def look(view: JobView) -> None:
        seen.append(list(view.chunks()))
        seen.append(view.last_attempt())
        seen.append(view.attempt_with(hash_token(TOKEN)))
        seen.append(view.attempt_with(hash_token(LeaseToken("lt_stranger"))))
        seen.append(view.result())
        seen.append(view.late_result())

    async def scene() -> None:
        async with open_store() as store:
            await kept(store, job)
            await store.claim(a_grant(JobKind.CHAT), NOW)
            await store.change(job.id, add_chunks)
            assert list(await store.chunks_after(job.id, 1, 0)) == [pieces[1]]
            await store.change(job.id, look)
            await store.change(job.id, lose)
            await store.change(job.id, look)

    run(scene())
    chunks, last, mine, stranger, result, late = seen[:6]
    assert chunks == list(pieces)
    assert (last, mine, stranger, result, late) == (None, None, None, None, None)
    _, last, mine, stranger, result, late = seen[6:]
    assert isinstance(last, Attempt)
    assert (last.outcome, last.failure, last.detail) == (Outcome.LOST, "x", "y")
    assert mine == last
    assert (stranger, result, late) == (None, None, a_film_result("late"))


def test_pages_go_from_new_to_old_without_gap_or_repeat(open_store: Open) -> None:
    jobs = [a_job(created_at=NOW + number // 2) for number in range(11)]

    async def scene() -> list[str]:
        async with open_store() as store:
            await kept(store, *jobs)
            seen: list[str] = []
            after = None
            while page := await store.page(JobFilter(), 4, after):
                seen += [record.job.id for record in page]
                after = page[-1].job.id
            with pytest.raises(NotFound):
                await store.page(JobFilter(), 4, new_job_id())
            return seen

    assert run(scene()) == [job.id for job in reversed(jobs)]


def test_a_page_keeps_to_its_filter(open_store: Open) -> None:
    mine = a_job(JobKind.VIDEO, owner=Owner("me"), created_at=NOW)
    theirs = a_job(JobKind.CHAT, owner=Owner("them"), created_at=NOW + 10)

    async def scene() -> None:
        async with open_store() as store:
            await kept(store, mine, theirs)
            await store.change(mine.id, becomes(JobState.CANCELLED))

            async def ids(wanted: JobFilter) -> list[str]:
                return [record.job.id for record in await store.page(wanted, 10)]

            assert await ids(JobFilter(owner=Owner("me"))) == [mine.id]
            assert await ids(JobFilter(kind=JobKind.CHAT)) == [theirs.id]
            assert await ids(JobFilter(state=JobState.CANCELLED)) == [mine.id]
            assert await ids(JobFilter(created_after=NOW)) == [theirs.id]
            assert await ids(JobFilter(created_before=NOW + 10)) == [mine.id]
            assert await ids(JobFilter(owner=Owner("me"), kind=JobKind.CHAT)) == []

    run(scene())


def test_counts_follow_every_move(open_store: Open) -> None:
    jobs = [a_job() for _ in range(3)]

    async def scene() -> None:
        async with open_store() as store:
            await kept(store, *jobs)
            await store.claim(a_grant(), NOW)
            ids = [
                record.job.id for record in await store.page(JobFilter(state=JobState.PENDING), 5)
            ]
            await store.change(ids[0], becomes(JobState.CANCELLED))
            await store.delete([ids[1]])

            counts = await store.count()

            assert {state: n for (_, state), n in counts.items() if n} == {
                JobState.PROCESSING: 1,
                JobState.CANCELLED: 1,
            }
            assert sum((await store.count(Owner("nobody"))).values()) == 0

    run(scene())


def test_what_is_due_comes_longest_overdue_first(open_store: Open) -> None:
    late, later, never = a_job(deadline_at=NOW), a_job(deadline_at=NOW - 5), a_job()

    async def scene() -> None:
        async with open_store() as store:
            await kept(store, late, later, never)

            assert await store.due(NOW, 10) == [later.id, late.id]
            assert await store.due(NOW, 1) == [later.id]
            await store.change(later.id, becomes(JobState.FAILED))
            assert await store.due(NOW, 10) == [late.id]

    run(scene())


def test_under_way_is_what_is_held_or_waits_to_be_recovered(open_store: Open) -> None:
    held, submitted, fresh = a_job(turn=1.0), a_job(turn=2.0, submitted_at=NOW), a_job(turn=3.0)

    async def scene() -> None:
        async with open_store() as store:
            await kept(store, held, submitted, fresh)
            await store.claim(a_grant(), NOW)

            assert {job.id for job in await store.under_way()} == {held.id, submitted.id}

    run(scene())


def test_another_jobs_film_is_known_by_its_digest(open_store: Open) -> None:
    job = a_job()
    result = a_film_result()

    async def scene() -> None:
        async with open_store() as store:
            await kept(store, job)
            await store.change(
                job.id, lambda view: Change(view.job.ended(JobState.COMPLETED, NOW), result=result)
            )

            assert await store.has_result(result.sha256, NOW - 1, new_job_id())
            assert not await store.has_result(result.sha256, NOW - 1, job.id)
            assert not await store.has_result(result.sha256, NOW + 1, new_job_id())
            assert not await store.has_result("another", NOW - 1, new_job_id())

    run(scene())


def test_a_forgotten_film_leaves_its_row(open_store: Open) -> None:
    old, new = a_job(), a_job()

    async def scene() -> None:
        async with open_store() as store:
            await kept(store, old, new)
            for job, at in ((old, NOW), (new, NOW + 100)):
                result = a_film_result(job.id, at)
                await store.change(job.id, _completed_with(result))

            assert [r.job.id for r in await store.films(NOW + 50, 10)] == [old.id]
            assert [r.job.id for r in await store.films(None, 10)] == [old.id, new.id]
            await store.forget_film(old.id, NOW + 200)

            assert [r.job.id for r in await store.films(None, 10)] == [new.id]
            record = await store.get(old.id)
            assert record is not None
            assert record.result is not None
            assert record.result.removed_at == NOW + 200

    run(scene())


def _completed_with(result):  # type: ignore[no-untyped-def]
    return lambda view: Change(view.job.ended(JobState.COMPLETED, NOW), result=result)


def test_deleting_spares_what_a_worker_holds_and_returns_what_it_removed(open_store: Open) -> None:
    held, ended = a_job(turn=1.0), a_job(turn=2.0)

    async def scene() -> None:
        async with open_store() as store:
            await kept(store, held, ended)
            await store.claim(a_grant(), NOW)
            await store.change(ended.id, becomes(JobState.CANCELLED))

            removed = await store.delete([held.id, ended.id, new_job_id()])

            assert [job.id for job, _ in removed] == [ended.id]
            assert removed[0][1].inputs == (f"{ended.id}.0",)
            assert await store.get(ended.id) is None
            assert await store.payload(ended.id) is None
            assert await store.get(held.id) is not None

    run(scene())


def test_old_jobs_are_those_that_ended_long_ago(open_store: Open) -> None:
    ended, open_job = a_job(), a_job()

    async def scene() -> None:
        async with open_store() as store:
            await kept(store, ended, open_job)
            await store.change(ended.id, becomes(JobState.FAILED))

            assert await store.old_jobs(NOW + 2, 10) == [ended.id]
            assert await store.old_jobs(NOW + 1, 10) == []

    run(scene())


def test_pieces_of_ended_answers_are_dropped_and_no_others(open_store: Open) -> None:
    ended, running = a_job(JobKind.CHAT, turn=1.0), a_job(JobKind.CHAT, turn=2.0)
    piece = Chunk(0, ChunkKind.TEXT, "Hello")

    async def scene() -> None:
        async with open_store() as store:
            await kept(store, ended, running)
            for job in (ended, running):
                await store.claim(a_grant(JobKind.CHAT), NOW)
                await store.change(
                    job.id, lambda view: Change(view.job._replace(next_seq=1), chunks=(piece,))
                )
            await store.change(ended.id, becomes(JobState.COMPLETED))

            assert await store.prune_chunks(NOW + 2, 10) == 1
            assert await store.prune_chunks(NOW + 2, 10) == 0

            assert await store.chunks_after(ended.id, 1, -1) == []
            assert await store.chunks_after(running.id, 1, -1) == [piece]

    run(scene())


def test_pictures_come_back_in_their_order_and_each_is_known_by_its_digest(
    open_store: Open,
) -> None:
    job, other = a_job(JobKind.IMAGE), a_job(JobKind.IMAGE)
    result = a_picture_result(*(f"{n}" for n in range(10, 0, -1)))
    late = a_picture_result("a", "b", now=NOW + 1)

    async def scene() -> None:
        async with open_store() as store:
            await kept(store, job, other)
            await store.change(job.id, _completed_with(result))
            await store.change(
                other.id,
                lambda view: Change(view.job.ended(JobState.FAILED, NOW + 1), late=late),
            )
            seen: list[object] = []
            await store.change(other.id, lambda view: seen.append(view.late_result()))

            record, beside = await store.get(job.id), await store.get(other.id)

            assert record is not None
            assert beside is not None
            assert (record.result, record.late) == (result, None)
            assert (beside.result, beside.late) == (None, late)
            assert seen == [late]
            assert [r.result or r.late for r in await store.films(None, 10)] == [result, late]
            for digest in ("sha-of-10", "sha-of-1", "sha-of-b"):
                assert await store.has_result(digest, NOW - 1, new_job_id())
                assert not await store.has_result(digest, NOW + 2, new_job_id())
            assert not await store.has_result("sha-of-1", NOW - 1, job.id)
            assert not await store.has_result("sha-of-11", NOW - 1, new_job_id())
            await store.forget_film(job.id, NOW + 9)
            forgotten = await store.get(job.id)
            assert forgotten is not None
            assert forgotten.result == result._replace(removed_at=NOW + 9)
            assert await store.delete([job.id])
            assert not await store.has_result("sha-of-1", NOW - 1, new_job_id())

    run(scene())


def test_the_first_result_stays_and_of_late_ones_the_last(open_store: Open) -> None:
    job = a_job()
    first, second = a_film_result("first"), a_film_result("second")

    async def scene() -> None:
        async with open_store() as store:
            await kept(store, job)
            await store.change(job.id, _completed_with(first))
            for result in (first, second):
                await store.change(
                    job.id, lambda view, result=result: Change(view.job, result=result, late=result)
                )

            record = await store.get(job.id)
            assert record is not None
            assert (record.result, record.late) == (first, second)

    run(scene())


def test_a_view_knows_how_earlier_attempts_failed(open_store: Open) -> None:
    job = a_job()

    def fails(view: JobView) -> Change:
        lease = view.job.lease
        assert lease is not None
        ended = Attempt(
            view.job.id,
            view.job.attempt,
            WORKER,
            lease.token_hash,
            NOW,
            NOW,
            Phase.ASSIGNED,
            Outcome.FAILED,
            f"class_{view.job.attempt}",
        )
        return Change(view.job.moved(JobState.PENDING)._replace(lease=None), ended=ended)

    known: list[list[bool]] = []

    def look(view: JobView) -> None:
        known.append([view.has_failed_with(f"class_{n}") for n in (1, 2, 3)])

    async def scene() -> None:
        async with open_store() as store:
            await kept(store, job)
            await store.change(job.id, look)
            for number in (1, 2):
                await store.claim(a_grant(token=LeaseToken(f"lt_{number}")), NOW)
                await store.change(job.id, fails)
            await store.change(job.id, look)

    run(scene())
    assert known == [[False] * 3, [True, True, False]]


def test_a_page_can_begin_with_the_oldest(open_store: Open) -> None:
    jobs = [a_job() for _ in range(5)]

    async def scene() -> None:
        async with open_store() as store:
            await kept(store, *jobs)

            page = await store.page(JobFilter(), 2, oldest_first=True)
            rest = await store.page(JobFilter(), 9, jobs[1].id, oldest_first=True)

            assert [record.job for record in [*page, *rest]] == jobs

    run(scene())
