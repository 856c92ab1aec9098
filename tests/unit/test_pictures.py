"""The pictures of an image job: one result, whole or not at all, published once as any other."""

import pytest

from broker import chores
from broker.chores import DAY_SECONDS, FilmLimits
from broker.errors import InvalidValue, LeaseLost, ResultConflict, ResultRejected, StoreFailed
from broker.ids import LeaseToken
from broker.jobs import JobKind, JobState
from broker.leases import Phase
from broker.outputs import PICTURE_ENDINGS, Picture, digest_of, picture_names
from broker.results import Verdict
from tests.support.desk import PICTURES, Desk, in_loop

IMAGE = JobKind.IMAGE


@pytest.fixture
def desk() -> Desk:
    return Desk()


def a_picture(name: str, mime: str = "image/png") -> Picture:
    return Picture(f"sha-of-{name}", 1000, mime, 640, 480)


def test_the_digest_of_pictures_is_of_each_and_of_their_order() -> None:
    a, b = a_picture("a"), a_picture("b")

    digests = {digest_of(pictures) for pictures in ([a, b], [b, a], [a], [b], [])}

    assert len(digests) == 5
    assert digest_of([a, b]) == digest_of((a, b))


def test_pictures_are_named_by_their_number_and_type() -> None:
    pictures = [a_picture("x", mime) for mime in PICTURE_ENDINGS]

    assert picture_names("job_1", pictures) == ["job_1.1.png", "job_1.2.jpg", "job_1.3.webp"]


@in_loop
async def test_pictures_are_published_together_and_stay_as_they_are(desk: Desk) -> None:
    held = await desk.held(IMAGE, Phase.UPLOADING)

    verdicts = [await desk.deliver_pictures(held) for _ in range(2)]
    for other in ((PICTURES[0],), PICTURES[::-1], (*PICTURES, b"picture of a third")):
        with pytest.raises(ResultConflict):
            await desk.deliver_pictures(held, *other)

    assert verdicts == [Verdict.PUBLISHED, Verdict.REPEATED]
    assert desk.media.sets == {held.job.id: list(PICTURES)}
    record = await desk.store.get(held.job.id)
    assert record is not None
    assert record.result is not None
    assert [picture.size_bytes for picture in record.result.pictures] == [*map(len, PICTURES)]
    assert record.result.size_bytes == sum(map(len, PICTURES))


@in_loop
async def test_one_that_will_not_do_keeps_all_of_them_out(desk: Desk) -> None:
    held = await desk.held(IMAGE, Phase.UPLOADING)

    with pytest.raises(ResultRejected) as refused:
        await desk.deliver_pictures(held, PICTURES[0], b"<html>")

    assert refused.value.gate_class == "not_image"
    assert desk.media.sets == {}
    assert await desk.deliver_pictures(held) == Verdict.PUBLISHED


@in_loop
async def test_a_file_that_was_there_before_is_no_new_picture(desk: Desk) -> None:
    first, second = await desk.held(IMAGE), await desk.held(IMAGE, Phase.UPLOADING)
    await desk.deliver_pictures(first)

    for files in ((b"picture of a dog", PICTURES[1]), (b"picture of a dog",) * 2):
        with pytest.raises(ResultRejected) as refused:
            await desk.deliver_pictures(second, *files)
        assert refused.value.gate_class == "repeated_file"

    assert await desk.deliver_pictures(second, b"picture of a dog") == Verdict.PUBLISHED


@in_loop
async def test_pictures_that_come_late_are_kept_beside_and_never_published(desk: Desk) -> None:
    held = await desk.held(IMAGE, Phase.GENERATING)
    await desk.queue.cancel(held.job.id, None)

    verdicts = [await desk.deliver_pictures(held) for _ in range(2)]
    with pytest.raises(ResultConflict):
        await desk.deliver_pictures(held, b"picture of a dog")

    assert verdicts == [Verdict.LATE, Verdict.LATE]
    assert desk.media.sets == {f"{held.job.id}.late": list(PICTURES)}
    record = await desk.store.get(held.job.id)
    assert record is not None
    assert (record.job.state, record.result) == (JobState.CANCELLED, None)
    assert record.late is not None
    assert len(record.late.pictures) == 2


@in_loop
async def test_a_lost_worker_that_delivers_pictures_after_all_wins(desk: Desk) -> None:
    lost = await desk.held(IMAGE, Phase.GENERATING)
    await desk.passes(150)
    second = await desk.taken()

    assert await desk.deliver_pictures(lost) == Verdict.PUBLISHED
    assert (await desk.beat(second)).state == JobState.COMPLETED


@pytest.mark.parametrize("kind", [JobKind.VIDEO, JobKind.CHAT])
@in_loop
async def test_pictures_of_another_kind_of_job_are_not_even_put_in_place(
    desk: Desk, kind: JobKind
) -> None:
    held, image = await desk.held(kind), await desk.held(IMAGE)

    with pytest.raises(InvalidValue):
        await desk.deliver_pictures(held)
    with pytest.raises(InvalidValue):
        await desk.deliver(image)
    with pytest.raises(InvalidValue):
        await desk.queue.complete_text(image.job.id, image.token, "A cat.")
    with pytest.raises(LeaseLost):
        await desk.deliver_pictures(image, token=LeaseToken("lt_stranger"))

    assert (desk.media.sets, desk.media.kept) == ({}, {})


@in_loop
async def test_pictures_that_could_not_be_put_in_place_leave_the_job_open(desk: Desk) -> None:
    held = await desk.held(IMAGE, Phase.UPLOADING)
    broken = desk.media.pictures(*PICTURES)

    async def break_down(name: str) -> None:
        raise StoreFailed

    broken.publish = break_down  # type: ignore[method-assign]
    with pytest.raises(StoreFailed):
        await desk.queue.complete_pictures(held.job.id, held.token, broken)

    assert await desk.state(held) == JobState.PROCESSING
    assert await desk.deliver_pictures(held) == Verdict.PUBLISHED


# Housekeeping.


@in_loop
async def test_pictures_go_when_they_are_too_old_and_with_their_job(desk: Desk) -> None:
    old, late = await desk.held(IMAGE), await desk.held(IMAGE)
    await desk.deliver_pictures(old)
    await desk.queue.cancel(late.job.id, None)
    await desk.deliver_pictures(late, b"picture of a dog")
    desk.clock.advance(8 * DAY_SECONDS)
    young = await desk.held(IMAGE)
    await desk.deliver_pictures(young, b"picture of a bird")

    limits = FilmLimits(max_age_days=7.0, max_bytes=0)
    assert await chores.prune_films(desk.store, desk.media, desk.clock, limits) == 2

    assert set(desk.media.sets) == {young.job.id}
    for held in (old, late):
        record = await desk.store.get(held.job.id)
        assert record is not None
        kept = record.result or record.late
        assert kept is not None
        assert kept.removed_at == desk.clock.now()
        assert kept.pictures
    await chores.delete_jobs(desk.store, desk.media, [young.job.id])
    assert desk.media.sets == {}


@in_loop
async def test_pictures_count_for_the_size_cap(desk: Desk) -> None:
    for name in (b"a", b"b", b"c"):
        held = await desk.held(IMAGE)
        await desk.deliver_pictures(held, b"picture " + name * 92)

    limits = FilmLimits(max_age_days=0, max_bytes=250)
    count = await chores.prune_films(desk.store, desk.media, desk.clock, limits)

    assert (count, len(desk.media.sets)) == (2, 1)


@in_loop
async def test_pictures_of_an_earlier_run_complete_their_job_at_start(desk: Desk) -> None:
    held, broken = await desk.held(IMAGE, Phase.UPLOADING), await desk.submit(IMAGE)
    desk.media.sets |= {held.job.id: list(PICTURES), broken: [PICTURES[0], b"<html>"]}
    video = await desk.submit(JobKind.VIDEO)
    desk.media.sets[video] = list(PICTURES)

    assert await chores.adopt_films(desk.queue, desk.store, desk.media, desk.clock) == 1

    record = await desk.store.get(held.job.id)
    assert record is not None
    assert record.result is not None
    assert len(record.result.pictures) == 2
    assert await desk.deliver_pictures(held) == Verdict.REPEATED
    assert (await desk.job(broken)).state == JobState.PENDING
    assert (await desk.job(video)).state == JobState.PENDING
