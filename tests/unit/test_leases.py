"""Who may still act, and until when."""

from collections.abc import Callable

import pytest

from broker.failures import Failure
from broker.ids import UNNAMED_WORKER, LeaseToken, hash_token
from broker.jobs import JobKind, JobState
from broker.leases import Lease, Phase
from tests.support.builders import NOW, TIMERS, TOKEN, a_lease
from tests.support.desk import FILM, Desk, in_loop

VIDEO = TIMERS[JobKind.VIDEO]
Advance = Callable[[Lease, float], Lease]


@pytest.fixture
def desk() -> Desk:
    return Desk()


def test_a_hand_out_is_not_a_delivery_until_the_worker_acts() -> None:
    lease = a_lease()

    assert lease.confirmed_at is None
    assert lease.phase == Phase.ASSIGNED
    assert lease.deadline(VIDEO) == NOW + 10


@pytest.mark.parametrize(("kind", "lasts"), [(JobKind.VIDEO, 150), (JobKind.CHAT, 90)])
def test_each_beat_gives_a_lease_its_full_time_again(kind: JobKind, lasts: float) -> None:
    lease = a_lease(kind).renewed(NOW + 3, TIMERS[kind])

    again = lease.renewed(NOW + 23, TIMERS[kind])

    assert lease.confirmed_at == NOW + 3
    assert lease.expires_at == NOW + 3 + lasts
    assert again.confirmed_at == NOW + 3
    assert again.expires_at == NOW + 23 + lasts


@pytest.mark.parametrize(("kind", "stalls"), [(JobKind.VIDEO, 300), (JobKind.CHAT, 60)])
def test_beats_alone_do_not_keep_a_job_that_makes_no_progress(kind: JobKind, stalls: float) -> None:
    lease = a_lease(kind).renewed(NOW + stalls - 1, TIMERS[kind])

    assert lease.deadline(TIMERS[kind]) == NOW + stalls


@pytest.mark.parametrize(
    "advance",
    [
        lambda lease, now: lease.advanced(Phase.PREPARING, None, now),
        lambda lease, now: lease.advanced(None, 1, now),
        lambda lease, now: lease.touched(now),
    ],
    ids=["phase", "progress", "streamed text"],
)
def test_an_advance_starts_the_progress_clock_again(advance: Advance) -> None:
    lease = advance(a_lease(), NOW + 200).renewed(NOW + 400, VIDEO)

    assert lease.deadline(VIDEO) == NOW + 200 + 300


def test_no_beat_and_no_advance_outlasts_the_run_cap() -> None:
    lease = a_lease().advanced(Phase.GENERATING, 90, NOW + 890).renewed(NOW + 890, VIDEO)

    assert lease.deadline(VIDEO) == NOW + 900


def test_neither_phase_nor_progress_goes_back() -> None:
    lease = a_lease().advanced(Phase.GENERATING, 40, NOW + 1)

    assert lease.advanced(Phase.PREPARING, 10, NOW + 2) == lease
    later = lease.advanced(Phase.PREPARING, 41, NOW + 2)
    assert (later.phase, later.progress) == (Phase.GENERATING, 41)


def test_saying_the_same_again_is_not_an_advance() -> None:
    lease = a_lease().advanced(Phase.GENERATING, 40, NOW + 1)

    assert lease.advanced(Phase.GENERATING, 40, NOW + 100).advanced_at == NOW + 1


def test_only_its_own_token_opens_a_lease() -> None:
    lease = a_lease(token=TOKEN)

    assert lease.is_for(hash_token(TOKEN))
    assert not lease.is_for(hash_token(LeaseToken("lt_another")))
    assert TOKEN not in str(lease)


@pytest.mark.parametrize(("kind", "lasts"), [(JobKind.VIDEO, 300), (JobKind.CHAT, 60)])
def test_a_worker_without_a_token_holds_its_job_for_the_whole_timeout(
    kind: JobKind, lasts: float
) -> None:
    lease = a_lease(kind, is_legacy=True)

    assert lease.confirmed_at == NOW
    assert lease.deadline(TIMERS[kind]) == NOW + lasts


def test_an_unnamed_worker_that_sends_its_token_is_a_worker_like_any_other() -> None:
    lease = a_lease(is_legacy=True).renewed(NOW + 5, VIDEO)

    assert not lease.is_legacy
    assert lease.deadline(VIDEO) == NOW + 5 + 150


@pytest.mark.parametrize("phase", list(Phase))
def test_submitted_is_the_point_of_no_return(phase: Phase) -> None:
    before = (Phase.ASSIGNED, Phase.PREPARING)

    assert phase.is_submitted == (phase not in before)


def test_a_lease_cannot_be_changed_behind_anybodys_back() -> None:
    lease = a_lease()

    with pytest.raises(AttributeError):
        setattr(lease, "expires_at", NOW + 1000)  # noqa: B010 - that it cannot is the claim


@in_loop
async def test_a_worker_without_name_and_token_can_do_its_work(desk: Desk) -> None:
    film = await desk.held(JobKind.VIDEO, worker=UNNAMED_WORKER)
    text = await desk.held(JobKind.CHAT, worker=UNNAMED_WORKER)
    wrong = await desk.held(JobKind.CHAT, worker=UNNAMED_WORKER)
    await desk.passes(59)

    await desk.queue.complete_film(film.job.id, None, desk.media.film(FILM))
    await desk.queue.complete_text(text.job.id, None, "Yes.")
    job = await desk.queue.fail(wrong.job.id, None, Failure("unknown", "Odd page."))

    assert await desk.state(film) == await desk.state(text) == JobState.COMPLETED
    assert (job.state, job.error_message) == (JobState.FAILED, "Odd page.")
    assert (film.lease_seconds, text.lease_seconds) == (300, 60)


@in_loop
async def test_such_a_workers_lease_lasts_the_whole_timeout_and_is_not_tried_again(
    desk: Desk,
) -> None:
    held = await desk.held(JobKind.VIDEO, worker=UNNAMED_WORKER)
    await desk.passes(299)
    assert await desk.state(held) == JobState.PROCESSING

    await desk.passes(1)

    job = await desk.job(held.job.id)
    assert (job.state, job.error_code) == (JobState.FAILED, "timeout")
