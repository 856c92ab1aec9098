"""What becomes of a result: the first valid one is published, exactly once, and nothing valid is thrown away."""

import asyncio
from collections.abc import Sequence

import pytest

from broker.chunks import Chunk, ChunkKind
from broker.errors import (
    AlreadyFinished,
    InvalidValue,
    LeaseLost,
    ResultConflict,
    ResultRejected,
    StoreFailed,
)
from broker.ids import UNNAMED_WORKER, LeaseToken, TokenHash, hash_token
from broker.jobs import Attempt, Job, JobKind, JobState, Outcome
from broker.leases import Phase
from broker.outputs import Result
from broker.results import Adopt, Complete, Verdict
from tests.support.builders import NOW, TOKEN, WORKER, a_film_result, a_job, a_lease
from tests.support.desk import FILM, OTHER_FILM, Desk, Gate, in_loop, turns

STRANGER = LeaseToken("lt_stranger")
EARLIER = LeaseToken("lt_earlier")
ENDED = [JobState.FAILED, JobState.CANCELLED]


@pytest.fixture
def desk() -> Desk:
    return Desk()


class View:
    """A job as a transaction would show it."""

    def __init__(
        self,
        job: Job,
        *attempts: Attempt,
        result: Result | None = None,
        late: Result | None = None,
        chunks: Sequence[Chunk] = (),
    ) -> None:
        self.job = job
        self._attempts = attempts
        self._result = result
        self._late = late
        self._chunks = chunks

    def attempt_with(self, token_hash: TokenHash) -> Attempt | None:
        return next((a for a in self._attempts if a.token_hash == token_hash), None)

    def last_attempt(self) -> Attempt | None:
        return self._attempts[-1] if self._attempts else None

    def result(self) -> Result | None:
        return self._result

    def late_result(self) -> Result | None:
        return self._late

    def chunks(self) -> Sequence[Chunk]:
        return self._chunks


def held(kind: JobKind = JobKind.CHAT, **fields) -> Job:
    given = {"state": JobState.PROCESSING, "attempt": 1, "lease": a_lease(kind)} | fields
    return a_job(kind, **given)


def an_attempt(job: Job, number: int = 1, *, worker=WORKER, token=EARLIER) -> Attempt:
    token_hash = hash_token(token)
    return Attempt(
        job.id, number, worker, token_hash, NOW, NOW, Phase.GENERATING, Outcome.LOST, None, None
    )


def answered(text: str | None = "Hi.", token: LeaseToken | None = TOKEN, **of_it) -> Complete:
    token_hash = None if token is None else hash_token(token)
    return Complete(NOW + 5, JobKind.CHAT, token_hash, text=text, **of_it)


def filmed(content: str = "film", token: LeaseToken | None = TOKEN) -> Complete:
    token_hash = None if token is None else hash_token(token)
    return Complete(NOW + 5, JobKind.VIDEO, token_hash, a_film_result(content))


def published(text: str = "Hi.") -> Result:
    change = answered(text)(View(held()))
    assert change is not None
    assert change.result is not None
    return change.result


def test_the_first_valid_result_completes_its_job() -> None:
    act = answered(reasoning="Greet.", finish_reason="length")

    change = act(View(held()))

    assert change is not None
    assert change.job.state == JobState.COMPLETED
    assert change.result is not None
    assert (change.result.text, change.result.reasoning) == ("Hi.", "Greet.")
    assert (change.result.finish_reason, change.result.attempt) == ("length", 1)
    assert change.result.size_bytes == 3
    assert change.ended is None, "the attempt that succeeds stays in the job itself"
    assert change.job.last_attempt is not None
    assert change.job.last_attempt.outcome == Outcome.COMPLETED
    assert (act.verdict, act.published) == (Verdict.PUBLISHED, change.result)


@pytest.mark.parametrize("token", [STRANGER, None])
def test_a_stranger_completes_nothing(token: LeaseToken | None) -> None:
    job = held()

    for view in (View(job), View(job.moved(JobState.PENDING)._replace(lease=None))):
        with pytest.raises(LeaseLost):
            answered(token=token)(view)


def test_an_identical_repeat_gets_the_same_answer_and_changes_nothing() -> None:
    done = View(held().ended(JobState.COMPLETED, NOW), result=published())
    act = answered()

    assert act(done) is None
    assert (act.verdict, act.published) == (Verdict.REPEATED, None)


def test_a_different_result_after_the_first_is_refused() -> None:
    done = View(held().ended(JobState.COMPLETED, NOW), result=published())

    with pytest.raises(ResultConflict):
        answered("Something else.")(done)
    with pytest.raises(ResultConflict):
        answered(finish_reason="length")(done)


@pytest.mark.parametrize("state", ENDED)
def test_a_valid_result_that_comes_late_is_kept_and_not_published(state: JobState) -> None:
    over = held(JobKind.VIDEO).ended(state, NOW, "some_code")
    act = filmed()

    change = act(View(over))

    assert change is not None
    assert change.job == over
    assert (change.result, change.late) == (None, a_film_result()._replace(attempt=1))
    assert (act.verdict, act.published) == (Verdict.LATE, None)


@pytest.mark.parametrize("state", ENDED)
def test_a_late_result_is_kept_once(state: JobState) -> None:
    over = held(JobKind.VIDEO).ended(state, NOW)
    view = View(over, late=a_film_result())

    assert filmed()(view) is None
    with pytest.raises(ResultConflict):
        filmed("another film")(view)


def test_a_lost_worker_that_finishes_after_all_wins_while_the_job_is_open() -> None:
    waiting = held().moved(JobState.PENDING)._replace(lease=None, attempt=1)
    view = View(waiting, an_attempt(waiting))

    change = answered(token=EARLIER)(view)

    assert change is not None
    assert change.job.state == JobState.COMPLETED
    assert change.ended is None


def test_the_attempt_that_is_overtaken_ends_as_overtaken() -> None:
    job = held(attempt=2)
    view = View(job, an_attempt(job, 1))

    change = answered(token=EARLIER)(view)

    assert change is not None
    assert change.result is not None
    assert change.result.attempt == 1
    assert change.ended is not None
    assert (change.ended.number, change.ended.outcome) == (2, Outcome.OVERTAKEN)


def test_a_worker_may_leave_the_text_to_what_it_has_streamed() -> None:
    streamed = [
        Chunk(0, ChunkKind.REASONING, "Greet."),
        Chunk(1, ChunkKind.TEXT, "Hel"),
        Chunk(2, ChunkKind.TEXT, "lo"),
    ]
    view = View(held(next_seq=3), chunks=streamed)

    change = answered(text=None)(view)

    assert change is not None
    assert change.result is not None
    assert (change.result.text, change.result.reasoning) == ("Hello", "Greet.")


def test_what_one_attempt_streamed_is_never_taken_for_anothers_answer() -> None:
    job = held(attempt=2, next_seq=2)
    others = [Chunk(0, ChunkKind.REASONING, "Hm."), Chunk(1, ChunkKind.TEXT, "half of ano")]
    view = View(job, an_attempt(job, 1), chunks=others)

    with pytest.raises(InvalidValue):
        answered(text=None, token=EARLIER)(view)
    change = answered("The whole.", token=EARLIER)(view)

    assert change is not None
    assert change.result is not None
    assert (change.result.text, change.result.reasoning) == ("The whole.", None)


@pytest.mark.parametrize("text", ["", None])
def test_an_empty_answer_is_no_answer(text: str | None) -> None:
    with pytest.raises(InvalidValue) as refused:
        answered(text)(View(held()))

    assert refused.value.param == "content"


def test_an_answer_is_not_a_film_and_a_film_is_no_answer() -> None:
    with pytest.raises(InvalidValue):
        answered()(View(held(JobKind.VIDEO)))
    with pytest.raises(InvalidValue):
        filmed()(View(held(JobKind.CHAT)))


def test_a_worker_without_a_token_completes_what_such_a_worker_holds() -> None:
    legacy = held(lease=a_lease(JobKind.CHAT, worker=UNNAMED_WORKER, is_legacy=True))
    change = answered(token=None)(View(legacy))

    assert change is not None
    assert change.job.state == JobState.COMPLETED


def test_a_worker_without_a_token_may_come_late_too() -> None:
    legacy = held(lease=a_lease(JobKind.CHAT, worker=UNNAMED_WORKER, is_legacy=True))
    over = legacy.ended(JobState.FAILED, NOW, "timeout")
    act = answered(token=None)

    change = act(View(over))

    assert change is not None
    assert change.late is not None
    assert act.verdict == Verdict.LATE


def test_an_act_that_is_run_again_says_what_it_did_the_last_time() -> None:
    act = answered()
    act(View(held()))

    act(View(held().ended(JobState.CANCELLED, NOW)))

    assert (act.verdict, act.published) == (Verdict.LATE, None)


def test_a_film_of_an_earlier_run_completes_its_job_and_changes_no_ended_one() -> None:
    adopt = Adopt(NOW + 5, a_film_result())

    change = adopt(View(held(JobKind.VIDEO)))

    assert change is not None
    assert (change.job.state, change.result) == (JobState.COMPLETED, a_film_result())
    assert change.job.last_attempt is not None
    for state in (JobState.COMPLETED, *ENDED):
        assert adopt(View(held(JobKind.VIDEO).ended(state, NOW))) is None


@in_loop
async def test_the_first_answer_wins_and_a_repeat_gets_the_same_answer(desk: Desk) -> None:
    held = await desk.held(JobKind.CHAT)
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
    await desk.media.remove(held.job.id)
    assert await desk.deliver(held) == Verdict.REPEATED
    assert desk.media.kept == {}, "a pruned film does not come back"


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
async def test_a_film_for_a_chat_is_not_even_put_in_place(desk: Desk) -> None:
    held = await desk.held(JobKind.CHAT)

    with pytest.raises(InvalidValue):
        await desk.deliver(held)

    assert desk.media.kept == {}


@in_loop
async def test_a_film_without_a_lease_is_not_even_put_in_place(desk: Desk) -> None:
    held = await desk.held()

    with pytest.raises(LeaseLost):
        await desk.queue.complete_film(held.job.id, STRANGER, desk.media.film(FILM))

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
