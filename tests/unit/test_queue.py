"""The promises about a job's life that `JobQueue` keeps, on a store in memory and a clock moved by hand.

Results are in `test_results.py`, time in `test_deadlines.py`, failures in `test_retries.py`, streamed text in
`test_chunks.py`, waking in `test_workers.py`.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from broker.chunks import Chunk, ChunkKind
from broker.errors import (
    AlreadyFinished,
    AlreadySubmitted,
    BrokerError,
    DiskFull,
    LeaseLost,
    NotFound,
    ShuttingDown,
    StoreFailed,
)
from broker.failures import Failure
from broker.ids import JobId, LeaseToken, Owner, WorkerId
from broker.jobs import Action, Job, JobKind, JobState, OnLost, Outcome
from broker.leases import Phase
from broker.results import Verdict
from broker.store.memory import MemoryStore
from tests.support.builders import OTHER_WORKER, WORKER
from tests.support.desk import Desk, Gate, in_loop, turns

VIDEO, CHAT = JobKind.VIDEO, JobKind.CHAT
STALE = LeaseToken("lt_stale")
POST = '{"post_id": "p1", "baseline": []}'
PIECES = tuple(Chunk(seq, ChunkKind.TEXT, word) for seq, word in enumerate(("It ", "is ", "so.")))


@pytest.fixture
def desk() -> Desk:
    return Desk()


# Accepted means durable.


@in_loop
async def test_a_job_is_accepted_when_it_is_on_disk_and_not_before(desk: Desk) -> None:
    gate = Gate()

    class SlowDisk(MemoryStore):
        async def add(self, *added: Any) -> Job:  # type: ignore[override]
            await gate.passed()
            return await super().add(*added)

    desk.use(SlowDisk())

    submitting = asyncio.create_task(desk.submit())
    await gate.reached.wait()
    await turns()
    assert not submitting.done()

    gate.open()
    assert (await desk.job(await submitting)).state == JobState.PENDING


@in_loop
async def test_a_job_that_could_not_be_kept_is_not_accepted(desk: Desk) -> None:
    class BrokenDisk(MemoryStore):
        async def add(self, *added: Any) -> Job:  # type: ignore[override]
            raise StoreFailed

    desk.use(BrokenDisk())

    with pytest.raises(StoreFailed):
        await desk.submit()


@in_loop
async def test_a_full_disk_takes_no_new_work_and_hands_out_no_video(desk: Desk) -> None:
    await desk.submit(VIDEO)
    held = await desk.held(CHAT)
    await desk.submit(CHAT)
    desk.queue.is_disk_full = True

    for kind in JobKind:
        with pytest.raises(DiskFull):
            await desk.submit(kind)
    handed = [await desk.claim(), await desk.claim()]

    assert [each and each.job.kind for each in handed] == [CHAT, None]
    assert sum((await desk.store.count()).values()) == 3
    assert (await desk.queue.complete_text(held.job.id, held.token, "Yes."))[1] == "published"
    desk.queue.is_disk_full = False
    assert (await desk.taken()).job.kind == VIDEO


@in_loop
async def test_a_broker_that_is_going_away_takes_and_hands_out_nothing(desk: Desk) -> None:
    held = await desk.held()
    await desk.submit()
    desk.notifier.drain()

    with pytest.raises(ShuttingDown):
        await desk.submit()

    assert await desk.claim(wait=20.0) is None
    assert await desk.deliver(held) == Verdict.PUBLISHED


# One live lease per job; a stale token is refused.


@in_loop
async def test_two_workers_never_hold_one_job(desk: Desk) -> None:
    await desk.submit()
    first = await desk.taken()

    assert await desk.claim(worker=OTHER_WORKER) is None
    assert await desk.claim(worker=WORKER) is None
    assert first.action == Action.SUBMIT


@in_loop
async def test_fifty_workers_take_each_job_once(desk: Desk) -> None:
    jobs = [await desk.submit() for _ in range(200)]
    handed: list[JobId] = []

    async def works(worker: WorkerId) -> None:
        while assignment := await desk.claim(worker=worker):
            handed.append(assignment.job.id)
            await turns(1)

    await asyncio.gather(*(works(WorkerId(f"wrk_{number}")) for number in range(50)))

    assert sorted(handed) == sorted(jobs)


ACTS: dict[str, Callable[[Desk, JobId, LeaseToken], Awaitable[object]]] = {
    "beat": lambda desk, job, token: desk.queue.beat(job, token, Phase.SUBMITTED),
    "chunks": lambda desk, job, token: desk.queue.add_chunks(job, token, PIECES),
    "answer": lambda desk, job, token: desk.queue.complete_text(job, token, "Yes."),
    "error": lambda desk, job, token: desk.queue.fail(job, token, Failure("unknown", "")),
    "release": lambda desk, job, token: desk.queue.release(job, token, ""),
}


@pytest.mark.parametrize("act", ACTS)
@in_loop
async def test_a_token_that_holds_nothing_can_do_nothing(desk: Desk, act: str) -> None:
    another = await desk.held(CHAT)
    held = await desk.held(CHAT)
    before = await desk.job(held.job.id)

    for token in (STALE, another.token):
        with pytest.raises(LeaseLost) as refused:
            await ACTS[act](desk, held.job.id, token)
        assert refused.value.code == "lease_lost"

    assert await desk.job(held.job.id) == before


@pytest.mark.parametrize("act", [act for act in ACTS if act != "answer"])
@in_loop
async def test_a_worker_that_lost_its_lease_acts_no_more(desk: Desk, act: str) -> None:
    lost = await desk.held(CHAT, Phase.PREPARING, on_lost=OnLost.RECOVER)
    await desk.passes(59)
    await desk.beat(lost)
    await desk.passes(1)
    before = await desk.job(lost.job.id)

    with pytest.raises(LeaseLost if before.state != JobState.FAILED else BrokerError):
        await ACTS[act](desk, lost.job.id, lost.token)

    assert await desk.job(lost.job.id) == before


@in_loop
async def test_a_named_worker_may_not_leave_its_token_out(desk: Desk) -> None:
    held = await desk.held(CHAT)

    with pytest.raises(LeaseLost):
        await desk.queue.fail(held.job.id, None, Failure("unknown", ""))
    with pytest.raises(LeaseLost):
        await desk.queue.complete_text(held.job.id, None, "Yes.")

    assert await desk.state(held) == JobState.PROCESSING


# Handing out is not delivery.


@in_loop
async def test_the_first_beat_within_ten_seconds_makes_a_hand_out_real(desk: Desk) -> None:
    held = await desk.held()
    await desk.passes(9.9)

    await desk.beat(held)
    await desk.passes(100)

    assert await desk.state(held) == JobState.PROCESSING


@in_loop
async def test_a_hand_out_that_nobody_answers_goes_back_uncounted(desk: Desk) -> None:
    for number in range(1, 8):
        if number == 1:
            await desk.submit()
        held = await desk.taken(worker=OTHER_WORKER)
        await desk.passes(10)

        job = await desk.job(held.job.id)
        assert (job.state, job.losses, job.attempt) == (JobState.PENDING, 0, number)
        with pytest.raises(LeaseLost):
            await desk.beat(held)
    outcomes = {attempt.outcome for attempt in await desk.store.attempts(held.job.id)}
    assert outcomes == {Outcome.UNDELIVERED}


@in_loop
async def test_a_poll_that_is_dead_is_handed_nothing(desk: Desk) -> None:
    job_id = await desk.submit()

    assert await desk.claim(is_alive=lambda: False) is None

    assert (await desk.job(job_id)).state == JobState.PENDING


# At most one submit per attempt; what was submitted is recovered.


@in_loop
async def test_a_job_lost_before_submit_is_tried_again_after_a_pause(desk: Desk) -> None:
    held = await desk.held(phase=Phase.PREPARING)

    await desk.passes(150)
    assert await desk.claim() is None
    await desk.passes(5)

    again = await desk.taken()
    assert (again.job.id, again.action, again.job.attempt) == (held.job.id, Action.SUBMIT, 2)
    assert again.token != held.token


@in_loop
async def test_a_job_lost_after_submit_is_recovered_with_its_evidence(desk: Desk) -> None:
    held = await desk.held()
    await desk.beat(held, Phase.SUBMITTED, evidence=POST)

    await desk.passes(150)
    again = await desk.taken()

    assert (again.job.id, again.action) == (held.job.id, Action.RECOVER)
    assert again.job.evidence == POST


@in_loop
async def test_a_recovery_is_kept_for_the_worker_that_knows_it_and_then_for_anybody(
    desk: Desk,
) -> None:
    await desk.held(phase=Phase.GENERATING)
    await desk.passes(150)

    assert await desk.claim(worker=OTHER_WORKER) is None
    await desk.passes(30)

    assert (await desk.taken(worker=OTHER_WORKER)).action == Action.RECOVER


async def hand_outs(desk: Desk, on_lost: OnLost) -> tuple[list[Action], Job]:
    """Every hand-out of a job whose worker is lost each time right after its submit; and how it ended."""
    job_id = await desk.submit(on_lost=on_lost)
    seen = []
    while not (await desk.job(job_id)).state.is_final:
        if held := await desk.claim():
            seen.append(held.action)
            await desk.beat(held, Phase.SUBMITTED)
        await desk.passes(30)
    return seen, await desk.job(job_id)


@pytest.mark.parametrize(
    ("on_lost", "presses"), [(OnLost.RECOVER, 1), (OnLost.RETRY, 2), (OnLost.FAIL, 1)]
)
@in_loop
async def test_submit_is_pressed_as_often_as_the_client_allowed(
    desk: Desk, on_lost: OnLost, presses: int
) -> None:
    actions, job = await hand_outs(desk, on_lost)

    assert actions.count(Action.SUBMIT) == presses
    assert job.state == JobState.FAILED


@in_loop
async def test_a_recovery_that_fails_until_the_run_cap_is_a_lost_result(desk: Desk) -> None:
    actions, job = await hand_outs(desk, OnLost.RECOVER)

    assert (job.state, job.error_code) == (JobState.FAILED, "result_lost")
    assert actions.count(Action.RECOVER) >= 2


@in_loop
async def test_a_job_may_be_given_back_before_submit_and_not_after(desk: Desk) -> None:
    early, late = await desk.held(phase=Phase.PREPARING), await desk.held(phase=Phase.SUBMITTED)

    back = await desk.queue.release(early.job.id, early.token, "closing")
    with pytest.raises(AlreadySubmitted):
        await desk.queue.release(late.job.id, late.token, "closing")

    assert (back.state, back.losses, back.ready_at) == (JobState.PENDING, 0, None)
    assert await desk.state(late) == JobState.PROCESSING
    assert (await desk.taken()).job.id == early.job.id


# Cancelling.


@in_loop
async def test_a_worker_hears_of_a_cancellation_on_its_next_beat(desk: Desk) -> None:
    held = await desk.held(phase=Phase.GENERATING)

    job = await desk.queue.cancel(held.job.id, None)

    assert (job.state, job.error_code) == (JobState.CANCELLED, "cancelled")
    assert (await desk.beat(held)).state == JobState.CANCELLED
    assert (await desk.fail(held, "tab_closed")).state == JobState.CANCELLED
    assert await desk.queue.cancel(held.job.id, None) == await desk.job(held.job.id)


@in_loop
async def test_a_cancelled_job_is_never_handed_out(desk: Desk) -> None:
    await desk.queue.cancel(await desk.submit(), None)
    await desk.passes(10**6)

    assert await desk.claim() is None


@in_loop
async def test_nobody_cancels_somebody_elses_job(desk: Desk) -> None:
    job_id = await desk.submit()

    with pytest.raises(NotFound):
        await desk.queue.cancel(job_id, Owner("another"))

    assert (await desk.job(job_id)).state == JobState.PENDING


@in_loop
async def test_what_has_ended_can_neither_be_cancelled_nor_failed(desk: Desk) -> None:
    held = await desk.held(CHAT)
    await desk.queue.complete_text(held.job.id, held.token, "Yes.")

    with pytest.raises(AlreadyFinished):
        await desk.queue.cancel(held.job.id, None)
    with pytest.raises(AlreadyFinished):
        await desk.fail(held, "unknown")

    assert await desk.state(held) == JobState.COMPLETED


@in_loop
async def test_a_client_that_leaves_stops_only_what_has_cost_nothing(desk: Desk) -> None:
    paid, unpaid = await desk.held(CHAT, Phase.SUBMITTED), await desk.held(CHAT)

    for held in (paid, unpaid):
        await desk.queue.cancel(held.job.id, None, only_unsubmitted=True)

    assert await desk.state(paid) == JobState.PROCESSING
    assert await desk.state(unpaid) == JobState.CANCELLED


@in_loop
async def test_a_chat_whose_client_waited_long_enough_is_not_left_for_a_worker(desk: Desk) -> None:
    waiting, done = await desk.submit(CHAT), await desk.held(VIDEO)
    await desk.deliver(done)

    given_up = await desk.queue.give_up(waiting)
    finished = await desk.queue.give_up(done.job.id)

    assert (given_up.state, given_up.error_code) == (JobState.CANCELLED, "client_wait_over")
    assert finished.state == JobState.COMPLETED
    assert await desk.claim() is None
    with pytest.raises(NotFound):
        await desk.queue.give_up(JobId("job_" + 32 * "0"))
