"""Streamed text: repeats are dropped, gaps refused, and what was begun is not begun again in silence."""

from itertools import permutations

import pytest

from broker.chunks import Chunk, ChunkKind, fresh, joined
from broker.errors import ChunkGap, InvalidValue
from broker.jobs import Action, JobKind, JobState
from broker.leases import Phase
from tests.support.desk import Desk, in_loop

HELLO = tuple(Chunk(seq, ChunkKind.TEXT, letter) for seq, letter in enumerate("Hello"))
PIECES = tuple(Chunk(seq, ChunkKind.TEXT, word) for seq, word in enumerate(("It ", "is ", "so.")))


@pytest.fixture
def desk() -> Desk:
    return Desk()


def test_chunks_in_order_are_all_new() -> None:
    assert fresh(HELLO, 0) == HELLO


def test_a_repeat_is_dropped() -> None:
    assert fresh(HELLO[:3], 3) == ()
    assert fresh(HELLO[1:4], 3) == HELLO[3:4]


def test_of_two_chunks_with_one_number_the_first_stays() -> None:
    other = Chunk(0, ChunkKind.TEXT, "J")

    assert fresh([HELLO[0], other], 0) == HELLO[:1]
    assert fresh([other, HELLO[1]], 1) == HELLO[1:2]


@pytest.mark.parametrize(
    ("sent", "next_seq", "missing"),
    [(HELLO[1:], 0, 0), ((HELLO[0], HELLO[2]), 0, 1), (HELLO[4:], 2, 2)],
)
def test_a_gap_is_refused_with_the_number_that_is_missing(
    sent: tuple[Chunk, ...], next_seq: int, missing: int
) -> None:
    with pytest.raises(ChunkGap) as refused:
        fresh(sent, next_seq)

    assert refused.value.expected_seq == missing
    assert str(missing) in refused.value.message


def test_the_order_within_one_message_does_not_matter() -> None:
    for order in permutations(HELLO):
        assert fresh(order, 0) == HELLO


def test_however_an_answer_is_cut_and_repeated_its_text_is_the_same() -> None:
    for first in range(6):
        for second in range(6):
            kept: list[Chunk] = []
            for sent in (HELLO[:first], HELLO[: max(first, second)], HELLO[second:], HELLO):
                if sent and sent[0].seq <= len(kept):
                    kept += fresh(sent, len(kept))

            assert joined(kept, ChunkKind.TEXT) == "Hello"


def test_nothing_sent_is_nothing_new() -> None:
    assert fresh((), 7) == ()


def test_text_and_reasoning_are_numbered_together_and_read_apart() -> None:
    mixed = [
        Chunk(0, ChunkKind.REASONING, "Greet "),
        Chunk(1, ChunkKind.TEXT, "Hel"),
        Chunk(2, ChunkKind.REASONING, "him."),
        Chunk(3, ChunkKind.TEXT, "lo"),
    ]

    assert joined(mixed, ChunkKind.TEXT) == "Hello"
    assert joined(mixed, ChunkKind.REASONING) == "Greet him."
    assert joined([], ChunkKind.TEXT) == ""


@in_loop
async def test_an_answer_that_was_begun_ends_with_an_error_and_is_not_begun_again(
    desk: Desk,
) -> None:
    held = await desk.held(JobKind.CHAT, is_streaming=True)
    with desk.notifier.watch(held.job.id) as watch:
        await desk.queue.add_chunks(held.job.id, held.token, PIECES[:2])
        await desk.passes(60)

        told = [await watch.next(0), await watch.next(0)]

    assert [news and news.job.error_code for news in told] == [None, "stream_interrupted"]
    assert await desk.claim() is None


@in_loop
async def test_chunks_are_kept_once_and_in_order(desk: Desk) -> None:
    held = await desk.held(JobKind.CHAT)
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
    held = await desk.held(JobKind.CHAT)
    for number, piece in enumerate(PIECES):
        await desk.passes(9 if number == 0 else 50)
        await desk.queue.add_chunks(held.job.id, held.token, [piece])

    job = await desk.job(held.job.id)
    assert job.state == JobState.PROCESSING
    assert job.action == Action.RECOVER
    assert job.phase == Phase.GENERATING


@in_loop
async def test_a_video_takes_no_chunks(desk: Desk) -> None:
    held = await desk.held(JobKind.VIDEO)

    with pytest.raises(InvalidValue):
        await desk.queue.add_chunks(held.job.id, held.token, PIECES)
