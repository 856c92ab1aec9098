"""Housekeeping, one deed at a time: expire, grace, prune, adopt."""

from collections.abc import Sequence

import pytest

from broker import chores
from broker.chores import DAY_SECONDS, FilmLimits
from broker.chunks import Chunk, ChunkKind
from broker.ids import JobId, new_job_id
from broker.jobs import Action, JobKind, JobState, Payload
from broker.leases import Phase
from broker.media_ports import Film
from broker.ports import JobFilter
from broker.store.memory import MemoryStore
from tests.support.builders import NOW, a_job, a_new_job
from tests.support.desk import FILM, Desk, in_loop

WEEK = 7 * DAY_SECONDS
NO_CAP = FilmLimits(max_age_days=7.0, max_bytes=0)


@pytest.fixture
def desk() -> Desk:
    return Desk()


async def filmed(desk: Desk, content: str = "") -> JobId:
    held = await desk.held(phase=Phase.UPLOADING)
    await desk.deliver(held, FILM + content.encode())
    return held.job.id


async def pruned(desk: Desk, limits: FilmLimits = NO_CAP) -> int:
    return await chores.prune_films(desk.store, desk.media, desk.clock, limits)


async def removed_at(desk: Desk, job_id: JobId) -> float | None:
    record = await desk.store.get(job_id)
    assert record is not None
    kept = record.result or record.late
    assert kept is not None
    return kept.removed_at


# Deadlines.


@in_loop
async def test_every_deadline_that_has_passed_is_acted_on(desk: Desk) -> None:
    count = chores.BATCH + 1
    for number in range(count):
        await desk.store.add(a_job(JobKind.CHAT, NOW - number * 1e-3), Payload("p"))
    later = await desk.submit()
    desk.clock.advance(60)

    assert await chores.expire_due(desk.queue, desk.store, desk.clock) == count
    assert await chores.expire_due(desk.queue, desk.store, desk.clock) == 0

    assert (await desk.job(later)).state == JobState.PENDING
    assert (await desk.store.count())[JobKind.CHAT, JobState.FAILED] == count


@in_loop
async def test_a_job_deleted_meanwhile_keeps_no_other_from_its_deadline(desk: Desk) -> None:
    class Deleting(MemoryStore):
        async def due(self, now: float, limit: int) -> Sequence[JobId]:
            due = await super().due(now, limit)
            await self.delete([gone])
            return due

    desk.use(Deleting())
    gone, due = await desk.submit(JobKind.CHAT), await desk.submit(JobKind.CHAT)
    desk.clock.advance(60)

    await chores.expire_due(desk.queue, desk.store, desk.clock)

    assert await desk.store.get(gone) is None
    assert (await desk.job(due)).state == JobState.FAILED


@in_loop
async def test_grace_is_for_every_live_lease_and_for_nothing_else(desk: Desk) -> None:
    held = [await desk.held(phase=Phase.PREPARING) for _ in range(3)]
    waiting = await desk.submit()
    before = await desk.job(waiting)
    desk.clock.advance(149)

    assert await chores.grant_grace(desk.queue, desk.store) == 3

    await desk.passes(149)
    assert {await desk.state(each) for each in held} == {JobState.PROCESSING}
    assert await desk.job(waiting) == before


@pytest.mark.parametrize("was", ["processing", "waiting to be recovered"])
@in_loop
async def test_what_was_submitted_is_still_recovered_after_a_long_absence(
    desk: Desk, was: str
) -> None:
    """Broker and browser were both away, longer than a run cap: the result is paid for and may be there."""
    held = await desk.held(phase=Phase.GENERATING)
    if was == "waiting to be recovered":
        await desk.passes(150)
    desk.clock.advance(3600)
    await chores.grant_grace(desk.queue, desk.store)

    for _ in range(20):
        await desk.passes(10)
        if again := await desk.claim():
            break

    assert again is not None
    assert (again.job.id, again.action) == (held.job.id, Action.RECOVER)


@in_loop
async def test_a_recovery_handed_out_as_grace_is_given_is_still_no_submit(desk: Desk) -> None:
    await desk.held(phase=Phase.GENERATING)
    await desk.passes(150)
    await chores.grant_grace(desk.queue, desk.store)
    again = await desk.taken()

    await desk.beat(again, Phase.SUBMITTED)
    job = await desk.fail(again, "not_logged_in")

    assert (again.action, job.action) == (Action.RECOVER, Action.RECOVER)


# Films.


@in_loop
async def test_a_film_goes_when_it_is_too_old_and_its_row_says_when(desk: Desk) -> None:
    old = await filmed(desk, "old")
    desk.clock.advance(DAY_SECONDS)
    young = await filmed(desk, "young")

    desk.clock.advance(WEEK - DAY_SECONDS)
    assert await pruned(desk) == 0
    desk.clock.advance(1)
    assert await pruned(desk) == 1

    assert set(desk.media.kept) == {young}
    assert await removed_at(desk, old) == desk.clock.now()
    assert await removed_at(desk, young) is None
    assert (await desk.job(old)).state == JobState.COMPLETED


@in_loop
async def test_a_film_that_came_late_grows_old_like_any_other(desk: Desk) -> None:
    held = await desk.held(phase=Phase.GENERATING)
    await desk.queue.cancel(held.job.id, None)
    await desk.deliver(held)
    desk.clock.advance(WEEK + 1)

    assert await pruned(desk) == 1

    assert desk.media.kept == {}
    assert await removed_at(desk, held.job.id) == desk.clock.now()


@in_loop
async def test_no_step_of_the_machines_clock_makes_a_film_old(desk: Desk) -> None:
    job_id = await filmed(desk)

    for years in (10, -20):
        desk.clock.step_wall(years * 365 * DAY_SECONDS)
        assert await pruned(desk) == 0

    assert set(desk.media.kept) == {job_id}


@in_loop
async def test_zero_days_keep_films_for_ever(desk: Desk) -> None:
    await filmed(desk)
    desk.clock.advance(1000 * DAY_SECONDS)

    assert await pruned(desk, FilmLimits(0, 0)) == 0


def on_disk(desk: Desk, ages: dict[str, float], size: int = 100) -> None:
    """Films of these ages, oldest first, as the disk would list them."""

    async def films() -> Sequence[Film]:
        at = desk.clock.wall()
        kept = [Film(name, size, at - age) for name, age in ages.items() if name in desk.media.kept]
        return sorted(kept, key=lambda film: film.modified_at)

    desk.media.kept = dict.fromkeys(ages, b"film")
    desk.media.films = films  # type: ignore[method-assign]


@in_loop
async def test_over_the_cap_the_oldest_films_go_until_there_is_room_again(desk: Desk) -> None:
    names = [new_job_id() for _ in range(10)]
    on_disk(desk, {name: 86_400.0 - number for number, name in enumerate(names)})

    assert await pruned(desk, FilmLimits(0, 1000)) == 0
    assert await pruned(desk, FilmLimits(0, 999)) == 5

    assert set(desk.media.kept) == set(names[5:])


@in_loop
async def test_a_film_just_finished_stays_however_full_the_store_is(desk: Desk) -> None:
    old, fresh = new_job_id(), new_job_id()
    on_disk(desk, {old: 3601.0, fresh: 3599.0})

    assert await pruned(desk, FilmLimits(0, 10)) == 1

    assert set(desk.media.kept) == {fresh}


@in_loop
async def test_a_file_that_is_not_ours_is_left_alone(desk: Desk) -> None:
    on_disk(desk, {"holiday.mp4": 86_400.0})

    assert await pruned(desk, FilmLimits(7, 10)) == 0

    assert set(desk.media.kept) == {"holiday.mp4"}


# Rows.


async def with_everything(desk: Desk) -> JobId:
    """A job with a film, a late film and two images."""
    job = a_new_job()._replace(payload=Payload("a cat", inputs=("one", "two")))
    job_id = (await desk.queue.submit(job)).id
    held = await desk.taken()
    await desk.deliver(held, FILM + job_id.encode())
    desk.media.kept[f"{job_id}.late"] = FILM
    desk.media.inputs |= {"one": b"1", "two": b"2", "another": b"3"}
    return job_id


@in_loop
async def test_a_deleted_job_takes_its_films_and_images_with_it(desk: Desk) -> None:
    job_id = await with_everything(desk)

    assert await chores.delete_jobs(desk.store, desk.media, [job_id, new_job_id()]) == 1

    assert await desk.store.get(job_id) is None
    assert desk.media.kept == {}
    assert set(desk.media.inputs) == {"another"}


@in_loop
async def test_what_a_worker_holds_is_not_deleted(desk: Desk) -> None:
    held = await desk.held()

    assert await chores.delete_jobs(desk.store, desk.media, [held.job.id]) == 0

    assert await desk.state(held) == JobState.PROCESSING


@in_loop
async def test_rows_of_jobs_that_ended_long_ago_go_with_all_they_left(desk: Desk) -> None:
    old = await with_everything(desk)
    desk.clock.advance(60 * DAY_SECONDS)
    young, held = await filmed(desk), await desk.held()

    desk.clock.advance(30 * DAY_SECONDS + 1)
    assert await chores.prune_jobs(desk.store, desk.media, desk.clock, 90) == 1

    assert await desk.store.get(old) is None
    kept = {record.job.id for record in await desk.store.page(JobFilter(), 10)}
    assert kept == {young, held.job.id}
    assert set(desk.media.kept) == {young}


@in_loop
async def test_streamed_pieces_go_ten_minutes_after_the_answer_is_whole(desk: Desk) -> None:
    held = await desk.held(JobKind.CHAT)
    await desk.queue.add_chunks(held.job.id, held.token, [Chunk(0, ChunkKind.TEXT, "Yes.")])
    await desk.queue.complete_text(held.job.id, held.token, None)

    desk.clock.advance(600)
    assert await chores.prune_chunks(desk.store, desk.clock) == 0
    desk.clock.advance(1)
    assert await chores.prune_chunks(desk.store, desk.clock) == 1

    record = await desk.store.get(held.job.id)
    assert record is not None
    assert record.result is not None
    assert record.result.text == "Yes."


# What an earlier run left.


async def adopted(desk: Desk) -> int:
    return await chores.adopt_films(desk.queue, desk.store, desk.media, desk.clock)


@pytest.mark.parametrize("is_held", [True, False])
@in_loop
async def test_a_whole_film_without_a_row_completes_its_job(desk: Desk, is_held: bool) -> None:
    job_id = (await desk.held()).job.id if is_held else await desk.submit()
    desk.media.kept[job_id] = FILM

    assert await adopted(desk) == 1
    assert await adopted(desk) == 0

    record = await desk.store.get(job_id)
    assert record is not None
    assert record.job.state == JobState.COMPLETED
    assert record.result is not None
    assert record.result.sha256 == desk.media.film(FILM).sha256
    assert record.result.size_bytes == len(FILM)
    assert await desk.claim() is None


@in_loop
async def test_a_worker_that_sends_an_adopted_film_again_is_told_that_it_is_there(
    desk: Desk,
) -> None:
    held = await desk.held(phase=Phase.UPLOADING)
    desk.media.kept[held.job.id] = FILM
    await adopted(desk)

    assert await desk.deliver(held) == "repeated"


@in_loop
async def test_nothing_but_an_acceptable_film_of_an_open_video_job_is_adopted(desk: Desk) -> None:
    broken, chat = await desk.submit(), await desk.submit(JobKind.CHAT)
    over = (await desk.queue.cancel(await desk.submit(), None)).id
    desk.media.kept |= {broken: b"<html>", chat: FILM, over: FILM, new_job_id(): FILM}
    desk.media.kept |= {"holiday.mp4": FILM, f"{broken}.late": FILM}
    before = [await desk.job(job_id) for job_id in (broken, chat, over)]

    assert await adopted(desk) == 0

    assert [await desk.job(job_id) for job_id in (broken, chat, over)] == before
    assert len(desk.media.kept) == 6


@in_loop
async def test_unfinished_uploads_are_swept_first(desk: Desk) -> None:
    swept: list[str] = []

    async def sweep_leftovers() -> int:
        swept.append("leftovers")
        return 1

    desk.media.sweep_leftovers = sweep_leftovers  # type: ignore[method-assign]

    await adopted(desk)

    assert swept == ["leftovers"]
