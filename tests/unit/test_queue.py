"""The eight promises about a job's life, one by one, on a store in memory and a clock moved by hand."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from functools import wraps
from typing import Any

import pytest

from broker import chores
from broker.chunks import Chunk, ChunkKind
from broker.errors import (
    AlreadyFinished,
    AlreadySubmitted,
    BrokerError,
    ChunkGap,
    DiskFull,
    InvalidValue,
    LeaseLost,
    NotFound,
    ResultConflict,
    ResultRejected,
    ShuttingDown,
    StoreFailed,
)
from broker.handouts import Assignment, Poll
from broker.ids import UNNAMED_WORKER, JobId, LeaseToken, Owner, WorkerId
from broker.jobs import Action, Job, JobKind, JobState, OnLost, Outcome, Payload
from broker.leases import Phase
from broker.notifier import Notifier
from broker.queue import JobQueue
from broker.results import Verdict
from broker.retries import RULES, Failure
from broker.store.memory import MemoryStore
from broker.workers import Roster
from tests.support.builders import NOW, OTHER_WORKER, TIMERS, WORKER, a_new_job
from tests.support.clock import ManualClock
from tests.support.media import MemoryMedia
from tests.support.running import run

VIDEO, CHAT = JobKind.VIDEO, JobKind.CHAT
STALE = LeaseToken("lt_stale")
FILM, OTHER_FILM = b"film of a cat", b"film of a dog"
POST = '{"post_id": "p1", "baseline": []}'
PIECES = tuple(Chunk(seq, ChunkKind.TEXT, word) for seq, word in enumerate(("It ", "is ", "so.")))


class Desk:
    """A queue with all it needs; time passes when it is told to."""

    def __init__(self) -> None:
        self.clock = ManualClock(NOW)
        self.media = MemoryMedia()
        self.notifier = Notifier(max_parked=50)
        self.roster = Roster()
        self.use(MemoryStore())

    def use(self, store: MemoryStore) -> None:
        self.store = store
        parts = (self.store, self.media, self.notifier, self.roster, self.clock, TIMERS)
        self.queue = JobQueue(*parts, lambda: 0.0)

    async def submit(self, kind: JobKind = VIDEO, **fields: Any) -> JobId:
        return (await self.queue.submit(a_new_job(kind, **fields))).id

    async def claim(
        self,
        *kinds: JobKind,
        worker: WorkerId = WORKER,
        wait: float = 0.0,
        is_alive: Callable[[], bool] = lambda: True,
    ) -> Assignment | None:
        return await self.queue.claim(Poll(worker, kinds or tuple(JobKind), wait, is_alive))

    async def taken(self, *kinds: JobKind, worker: WorkerId = WORKER) -> Assignment:
        assignment = await self.claim(*kinds, worker=worker)
        assert assignment is not None, "There was nothing to claim."
        return assignment

    async def held(
        self, kind: JobKind = VIDEO, phase: Phase | None = None, *, worker=WORKER, **fields: Any
    ) -> Assignment:
        """A new job in a worker's hands; with a phase, it has beaten that."""
        await self.submit(kind, **fields)
        assignment = await self.taken(kind, worker=worker)
        if phase is not None:
            await self.beat(assignment, phase)
        return assignment

    async def beat(self, held: Assignment, phase: Phase | None = None, **told: Any) -> Job:
        return await self.queue.beat(held.job.id, held.token, phase, **told)

    async def fail(self, held: Assignment, name: str, **told: Any) -> Job:
        return await self.queue.fail(held.job.id, held.token, Failure(name, "", **told))

    async def deliver(self, held: Assignment, data: bytes = FILM) -> Verdict:
        upload = self.media.film(data)
        return (await self.queue.complete_film(held.job.id, held.token, upload))[1]

    async def passes(self, seconds: float) -> None:
        """Time passes and the sweep comes round."""
        self.clock.advance(seconds)
        await chores.expire_due(self.queue, self.store, self.clock)
        for kind in await self.store.ripen(self.clock.now()):
            self.notifier.wake(kind)

    async def job(self, job_id: JobId) -> Job:
        record = await self.store.get(job_id)
        assert record is not None
        return record.job

    async def state(self, held: Assignment) -> JobState:
        return (await self.job(held.job.id)).state


@pytest.fixture
def desk() -> Desk:
    return Desk()


def in_loop(test: Callable[..., Coroutine[Any, Any, None]]) -> Callable[..., None]:
    @wraps(test)
    def runs(**given: Any) -> None:
        run(test(**given))

    return runs


async def turns(count: int = 10) -> None:
    """Lets whatever can go on go on."""
    for _ in range(count):
        await asyncio.sleep(0)


class Gate:
    """Where a test holds something up: `await passed()` in there, `reached` and `open()` out here."""

    def __init__(self) -> None:
        self.reached = asyncio.Event()
        self._is_open = asyncio.Event()

    async def passed(self) -> None:
        self.reached.set()
        await self._is_open.wait()

    def open(self) -> None:
        self._is_open.set()


# 1. Accepted means durable.


@in_loop
async def test_a_job_is_accepted_when_it_is_on_disk_and_not_before(desk: Desk) -> None:
    gate = Gate()

    class SlowDisk(MemoryStore):
        async def add(self, job: Job, payload: Payload) -> None:
            await gate.passed()
            await super().add(job, payload)

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
        async def add(self, job: Job, payload: Payload) -> None:
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


# 2. One live lease per job; a stale token is refused.


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


# 3. At most one submit per attempt; what was submitted is recovered.


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


async def hand_outs(desk: Desk, on_lost: OnLost) -> list[Action]:
    """Every hand-out of a job whose worker is lost each time right after its submit."""
    await desk.submit(on_lost=on_lost)
    seen = []
    for _ in range(300):
        if held := await desk.claim():
            seen.append(held.action)
            await desk.beat(held, Phase.SUBMITTED)
        await desk.passes(30)
    assert (await desk.job(held.job.id if held else next(iter(desk.store._jobs)))).state.is_final
    return seen


@pytest.mark.parametrize(
    ("on_lost", "presses"), [(OnLost.RECOVER, 1), (OnLost.RETRY, 2), (OnLost.FAIL, 1)]
)
@in_loop
async def test_submit_is_pressed_as_often_as_the_client_allowed(
    desk: Desk, on_lost: OnLost, presses: int
) -> None:
    actions = await hand_outs(desk, on_lost)

    assert actions.count(Action.SUBMIT) == presses


@in_loop
async def test_a_recovery_that_fails_until_the_run_cap_is_a_lost_result(desk: Desk) -> None:
    actions = await hand_outs(desk, OnLost.RECOVER)

    (job,) = desk.store._jobs.values()
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


SET_ASIDE = {"rate_limited", "not_logged_in", "challenge_required", "paywall", "ui_changed"}


@pytest.mark.parametrize("name", RULES)
@in_loop
async def test_a_failure_is_noted_and_says_what_it_says_of_its_worker(
    desk: Desk, name: str
) -> None:
    held = await desk.held(phase=Phase.PREPARING)

    job = await desk.fail(held, name)

    (attempt,) = await desk.store.attempts(held.job.id)
    assert (attempt.outcome, attempt.failure, attempt.phase) == (
        Outcome.FAILED,
        name,
        Phase.PREPARING,
    )
    assert job.state in (JobState.PENDING, JobState.FAILED)
    await desk.submit()
    assert (await desk.claim(VIDEO) is None) == (name in SET_ASIDE)
    await desk.submit(CHAT)
    assert await desk.claim(CHAT) is not None


@in_loop
async def test_unnamed_workers_are_never_set_aside_as_they_never_say_hello(desk: Desk) -> None:
    for name in SET_ASIDE:
        held = await desk.held(worker=UNNAMED_WORKER)
        await desk.queue.fail(held.job.id, None, Failure(name, "login page"))
        held = await desk.held(worker=UNNAMED_WORKER)
        await desk.fail(held, name)

        assert await desk.claim(worker=UNNAMED_WORKER) is None
        await desk.submit()
        last = await desk.taken(worker=UNNAMED_WORKER)
        assert await desk.deliver(last, b"film " + name.encode()) == Verdict.PUBLISHED


# 4. Publication exactly once.


@in_loop
async def test_the_first_answer_wins_and_a_repeat_gets_the_same_answer(desk: Desk) -> None:
    held = await desk.held(CHAT)
    complete = desk.queue.complete_text

    first = await complete(held.job.id, held.token, "Yes.")
    again = await complete(held.job.id, held.token, "Yes.")
    with pytest.raises(ResultConflict) as refused:
        await complete(held.job.id, held.token, "No.")

    assert (first[1], again[1]) == (Verdict.PUBLISHED, Verdict.REPEATED)
    assert first[0] == again[0]
    assert refused.value.code == "result_conflict"
    record = await desk.store.get(held.job.id)
    assert record is not None
    assert record.result is not None
    assert record.result.text == "Yes."


@in_loop
async def test_a_film_is_published_once_and_stays_as_it_is(desk: Desk) -> None:
    held = await desk.held(phase=Phase.UPLOADING)

    verdicts = [await desk.deliver(held), await desk.deliver(held)]
    with pytest.raises(ResultConflict):
        await desk.deliver(held, OTHER_FILM)

    assert verdicts == [Verdict.PUBLISHED, Verdict.REPEATED]
    assert desk.media.kept == {held.job.id: FILM}


@in_loop
async def test_a_film_that_comes_late_is_kept_beside_and_never_published(desk: Desk) -> None:
    held = await desk.held(phase=Phase.GENERATING)
    await desk.queue.cancel(held.job.id, None)

    assert [await desk.deliver(held), await desk.deliver(held)] == [Verdict.LATE, Verdict.LATE]

    record = await desk.store.get(held.job.id)
    assert record is not None
    assert (record.job.state, record.result) == (JobState.CANCELLED, None)
    assert record.late is not None
    assert desk.media.kept == {f"{held.job.id}.late": FILM}


@in_loop
async def test_a_lost_worker_that_delivers_after_all_wins_and_the_other_is_told_to_stop(
    desk: Desk,
) -> None:
    lost = await desk.held(phase=Phase.GENERATING)
    await desk.passes(150)
    second = await desk.taken()

    assert await desk.deliver(lost) == Verdict.PUBLISHED

    assert (await desk.beat(second)).state == JobState.COMPLETED
    with pytest.raises(ResultConflict):
        await desk.deliver(second, OTHER_FILM)


@in_loop
async def test_a_file_that_the_gate_refuses_leaves_the_job_open(desk: Desk) -> None:
    held = await desk.held(phase=Phase.UPLOADING)

    with pytest.raises(ResultRejected) as refused:
        await desk.deliver(held, b"<html>")

    assert refused.value.gate_class == "not_mp4"
    assert desk.media.kept == {}
    assert (await desk.beat(held)).state == JobState.PROCESSING
    assert await desk.deliver(held) == Verdict.PUBLISHED


@in_loop
async def test_the_film_of_another_job_is_not_a_new_film(desk: Desk) -> None:
    first, second = await desk.held(), await desk.held(phase=Phase.UPLOADING)
    await desk.deliver(first)

    with pytest.raises(ResultRejected) as refused:
        await desk.deliver(second)

    assert refused.value.gate_class == "repeated_file"
    assert (await desk.beat(second)).state == JobState.PROCESSING
    assert await desk.deliver(second, OTHER_FILM) == Verdict.PUBLISHED


@in_loop
async def test_a_film_without_a_lease_is_not_even_put_in_place(desk: Desk) -> None:
    held = await desk.held()

    with pytest.raises(LeaseLost):
        await desk.queue.complete_film(held.job.id, STALE, desk.media.film(FILM))

    assert desk.media.kept == {}


@in_loop
async def test_nothing_else_is_done_to_a_job_while_its_film_is_put_in_place(desk: Desk) -> None:
    """The first upload fails on the disk, the second is under way: a cancel comes after it or before it."""
    held = await desk.held(phase=Phase.UPLOADING)
    first, second = Gate(), Gate()
    broken, good = desk.media.film(FILM), desk.media.film(FILM)
    publish = good.publish

    async def break_down(name: str) -> None:
        await first.passed()
        raise StoreFailed

    async def slowly(name: str) -> None:
        await second.passed()
        await publish(name)

    broken.publish, good.publish = break_down, slowly  # type: ignore[method-assign]
    complete = desk.queue.complete_film
    failing = asyncio.create_task(complete(held.job.id, held.token, broken))
    await first.reached.wait()
    finishing = asyncio.create_task(complete(held.job.id, held.token, good))
    await turns()
    first.open()
    await second.reached.wait()
    cancelling = asyncio.create_task(desk.queue.cancel(held.job.id, None))
    await turns()
    assert not cancelling.done()

    second.open()

    assert (await finishing)[1] == Verdict.PUBLISHED
    with pytest.raises(StoreFailed):
        await failing
    with pytest.raises(AlreadyFinished):
        await cancelling
    assert desk.media.kept == {held.job.id: FILM}


# 5. Every state that is not final has a deadline, kept without anybody's request.


@pytest.mark.parametrize(("kind", "deadline"), [(VIDEO, 24 * 3600), (CHAT, 60)])
@in_loop
async def test_a_job_that_nobody_takes_expires(desk: Desk, kind: JobKind, deadline: float) -> None:
    job_id = await desk.submit(kind)

    await desk.passes(deadline - 1)
    assert (await desk.job(job_id)).state == JobState.PENDING
    await desk.passes(1)

    job = await desk.job(job_id)
    assert (job.state, job.error_code) == (JobState.FAILED, "expired")


@in_loop
async def test_time_in_the_queue_is_no_part_of_a_jobs_time_to_run(desk: Desk) -> None:
    await desk.submit()
    await desk.passes(20_000)
    held = await desk.taken()
    for _ in range(14):
        await desk.beat(held)
        await desk.passes(20)
    assert await desk.state(held) == JobState.PROCESSING

    await desk.passes(20)

    assert await desk.state(held) == JobState.PENDING


@in_loop
async def test_progress_keeps_an_attempt_until_its_run_cap(desk: Desk) -> None:
    held = await desk.held(phase=Phase.PREPARING)
    for percent in range(44):
        await desk.passes(20)
        await desk.beat(held, progress=percent)
    assert await desk.state(held) == JobState.PROCESSING

    await desk.passes(20)

    assert await desk.state(held) == JobState.PENDING


# 6. A rate limit is a wait.


@in_loop
async def test_a_rate_limited_job_waits_uncounted_and_says_until_when(desk: Desk) -> None:
    held = await desk.held(phase=Phase.SUBMITTED)

    job = await desk.fail(held, "rate_limited", retry_at=NOW + 3600)

    assert (job.state, job.losses, job.waiting_reason) == (JobState.PENDING, 0, "rate_limited")
    assert job.ready_at is not None
    assert NOW + 3600 < job.ready_at <= NOW + 3630
    await desk.passes(3600)
    assert await desk.claim() is None
    await desk.passes(30)
    assert (await desk.taken()).action == Action.SUBMIT


@in_loop
async def test_a_limited_worker_is_left_in_peace_until_the_limit_ends(desk: Desk) -> None:
    """Also where the job itself could not wait, and so carries no moment of its own."""
    held = await desk.held(CHAT, is_streaming=True)
    await desk.queue.add_chunks(held.job.id, held.token, PIECES[:1])
    await desk.fail(held, "rate_limited", retry_at=NOW + 600)

    await desk.passes(599)
    await desk.submit(CHAT)
    assert await desk.claim(CHAT) is None
    await desk.passes(31)

    assert await desk.claim(CHAT) is not None


# 7. Every refusal has a code: the errors raised here carry theirs (test_errors.py), and so do jobs.


@in_loop
async def test_every_failed_job_says_why(desk: Desk) -> None:
    for name in RULES:
        held = await desk.held(phase=Phase.GENERATING, worker=WorkerId(f"wrk_{name}"))
        job = await desk.fail(held, name)
        if job.state == JobState.FAILED:
            assert job.error_code == name
            assert job.error_message
        else:
            assert job.waiting_reason


# 8. Once a delta was sent there is no silent retry.


@in_loop
async def test_an_answer_that_was_begun_ends_with_an_error_and_is_not_begun_again(
    desk: Desk,
) -> None:
    held = await desk.held(CHAT, is_streaming=True)
    with desk.notifier.watch(held.job.id) as watch:
        await desk.queue.add_chunks(held.job.id, held.token, PIECES[:2])
        await desk.passes(60)

        told = [await watch.next(0), await watch.next(0)]

    assert [news and news.job.error_code for news in told] == [None, "stream_interrupted"]
    assert await desk.claim() is None


@in_loop
async def test_chunks_are_kept_once_and_in_order(desk: Desk) -> None:
    held = await desk.held(CHAT)
    add = desk.queue.add_chunks

    await add(held.job.id, held.token, PIECES[:2])
    await add(held.job.id, held.token, PIECES[:3])
    with pytest.raises(ChunkGap) as refused:
        await add(held.job.id, held.token, [Chunk(7, ChunkKind.TEXT, "!")])

    assert refused.value.expected_seq == 3
    assert list(await desk.store.chunks_after(held.job.id, 1, -1)) == list(PIECES)
    job, _ = await desk.queue.complete_text(held.job.id, held.token, None)
    record = await desk.store.get(job.id)
    assert record is not None
    assert record.result is not None
    assert record.result.text == "It is so."


@in_loop
async def test_streamed_text_is_progress_and_proof_of_submit(desk: Desk) -> None:
    held = await desk.held(CHAT)
    for number, piece in enumerate(PIECES):
        await desk.passes(9 if number == 0 else 50)
        await desk.queue.add_chunks(held.job.id, held.token, [piece])

    job = await desk.job(held.job.id)
    assert job.state == JobState.PROCESSING
    assert job.action == Action.RECOVER
    assert job.phase == Phase.GENERATING


@in_loop
async def test_a_video_takes_no_chunks(desk: Desk) -> None:
    held = await desk.held(VIDEO)

    with pytest.raises(InvalidValue):
        await desk.queue.add_chunks(held.job.id, held.token, PIECES)


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


# Workers of the first generation, which name no worker and send no token.


@in_loop
async def test_a_worker_without_name_and_token_can_do_its_work(desk: Desk) -> None:
    film = await desk.held(VIDEO, worker=UNNAMED_WORKER)
    text = await desk.held(CHAT, worker=UNNAMED_WORKER)
    wrong = await desk.held(CHAT, worker=UNNAMED_WORKER)
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
    held = await desk.held(VIDEO, worker=UNNAMED_WORKER)
    await desk.passes(299)
    assert await desk.state(held) == JobState.PROCESSING

    await desk.passes(1)

    job = await desk.job(held.job.id)
    assert (job.state, job.error_code) == (JobState.FAILED, "timeout")


# Waking.


class Counting(MemoryStore):
    """Counts claims, and holds one up where it is told to."""

    claims = 0
    gate: Gate | None = None

    async def claim(self, grants, now):  # type: ignore[no-untyped-def,override]
        self.claims += 1
        taken = await super().claim(grants, now)
        if gate := self.gate:
            self.gate = None
            await gate.passed()
        return taken


async def parked(desk: Desk, *kinds: JobKind, **poll: Any) -> "asyncio.Task[Assignment | None]":
    before = desk.notifier.parked_count
    task = asyncio.create_task(desk.claim(*kinds, wait=20.0, **poll))
    await turns()
    assert desk.notifier.parked_count == before + 1
    return task


@in_loop
async def test_a_job_wakes_exactly_one_poll(desk: Desk) -> None:
    desk.use(store := Counting())
    polls = [await parked(desk) for _ in range(20)]
    assert store.claims == 20

    job_id = await desk.submit()
    await turns()

    assert store.claims == 21
    handed = await polls[0]
    assert handed is not None
    assert handed.job.id == job_id
    assert not any(poll.done() for poll in polls[1:])
    desk.notifier.drain()
    assert await asyncio.gather(*polls[1:]) == [None] * 19


@in_loop
async def test_dead_polls_take_nothing_and_keep_nobody_waiting(desk: Desk) -> None:
    alive = True
    dead = [await parked(desk, is_alive=lambda: alive) for _ in range(10)]
    live = await parked(desk, worker=OTHER_WORKER)
    alive = False

    job_id = await desk.submit()

    handed = await live
    assert handed is not None
    assert handed.job.id == job_id
    assert await asyncio.gather(*dead) == [None] * 10


@in_loop
async def test_a_job_that_comes_while_a_poll_looks_is_not_missed(desk: Desk) -> None:
    desk.use(store := Counting())
    store.gate = gate = Gate()
    poll = asyncio.create_task(desk.claim(wait=20.0))
    await gate.reached.wait()

    job_id = await desk.submit()
    gate.open()

    handed = await poll
    assert handed is not None
    assert handed.job.id == job_id


@in_loop
async def test_a_poll_that_is_served_otherwise_hands_its_wake_up_on(desk: Desk) -> None:
    """It looked and took a chat; the video that came meanwhile had woken it and nobody else."""
    desk.use(store := Counting())
    await desk.submit(CHAT)
    store.gate = gate = Gate()
    first = asyncio.create_task(desk.claim(VIDEO, CHAT, wait=20.0))
    await gate.reached.wait()
    second = await parked(desk, VIDEO, worker=OTHER_WORKER)

    job_id = await desk.submit(VIDEO)
    gate.open()

    taken, handed = await first, await second
    assert taken is not None
    assert handed is not None
    assert (taken.job.kind, handed.job.id) == (CHAT, job_id)


@pytest.mark.parametrize("how", ["dies", "is cancelled", "runs out"])
@in_loop
async def test_a_poll_that_goes_once_it_is_woken_hands_its_wake_up_on(desk: Desk, how: str) -> None:
    alive = True
    going = await parked(desk, is_alive=lambda: alive)
    staying = await parked(desk, worker=OTHER_WORKER)

    submitting = asyncio.create_task(desk.submit())
    while going not in _woken(going):
        await asyncio.sleep(0)
    if how == "dies":
        alive = False
    elif how == "is cancelled":
        going.cancel()
    else:
        desk.notifier.end_polls_of(WORKER)

    handed = await staying
    assert handed is not None
    assert handed.job.id == await submitting
    await asyncio.gather(going, return_exceptions=True)


def _woken(task: "asyncio.Task[Any]") -> list["asyncio.Task[Any]"]:
    """The task, once what it waits for is there and it has not yet gone on."""
    waiter = task._fut_waiter  # type: ignore[attr-defined]
    return [task] if waiter is None or waiter.done() else []


@in_loop
async def test_a_worker_that_is_set_aside_keeps_no_job_from_the_others(desk: Desk) -> None:
    desk.roster.see(WORKER, (VIDEO,), NOW)
    desk.roster.set_aside(WORKER, VIDEO, "ui_changed", None)
    await parked(desk, VIDEO)
    able = await parked(desk, VIDEO, worker=OTHER_WORKER)

    job_id = await desk.submit()

    handed = await able
    assert handed is not None
    assert handed.job.id == job_id


@in_loop
async def test_the_worker_that_knows_a_result_is_woken_to_recover_it(desk: Desk) -> None:
    held = await desk.held(phase=Phase.GENERATING)
    other = await parked(desk, worker=OTHER_WORKER)
    knowing = await parked(desk, worker=WORKER)

    await desk.passes(150)

    again = await knowing
    assert again is not None
    assert (again.job.id, again.action) == (held.job.id, Action.RECOVER)
    assert not other.done()


@in_loop
async def test_a_poll_ends_with_nothing_when_its_time_is_over(desk: Desk) -> None:
    poll = await parked(desk)
    desk.clock.advance(20)

    desk.notifier.sweep(desk.clock.now())

    assert await poll is None


@in_loop
async def test_draining_lets_every_poll_go(desk: Desk) -> None:
    polls = [await parked(desk) for _ in range(20)]

    desk.notifier.drain()

    assert await asyncio.gather(*polls) == [None] * 20
