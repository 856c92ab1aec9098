"""The pure parts of the benches: pairing, ratios, verdicts, the table, and the reading of answers."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from bench.figures import Figure, NotRun, Target
from bench.pairs import Pairs, alternate, quantile, spread
from bench.responses import Response, ResponseParser
from bench.table import BEGIN, END, replaced, table

FIGURE = Figure(
    name="B2",
    what="full cycle / beanstalkd fsync-each",
    value=1.52,
    low=1.44,
    high=1.61,
    unit="x",
    target=Target(">=", 1.5),
    durability="both: each write on disk",
    sides="6,080 ÷ 4,000 jobs/s",
)
ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nx: y\r\n\r\n{}"
CHUNKED = (
    b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"
    b"7\r\ndata: a\r\n7\r\ndata: b\r\n0\r\n\r\n"
)


def side(name: str, calls: list[str], numbers: list[float]) -> Callable[[], Awaitable[float]]:
    remaining = iter(numbers)

    async def measure() -> float:
        calls.append(name)
        return next(remaining)

    return measure


def test_the_sides_take_turns_and_the_warm_up_is_thrown_away() -> None:
    calls: list[str] = []
    ours, theirs = side("A", calls, [100, 4, 6]), side("B", calls, [1, 2, 2])

    pairs = asyncio.run(alternate(ours, theirs, rounds=2))

    assert calls == ["A", "B", "A", "B", "A", "B"]
    assert pairs == Pairs([4, 6], [2, 2])


def test_the_ratio_is_the_median_of_the_pairs_and_not_the_ratio_of_the_medians() -> None:
    # The machine was twice as fast in the second round, for both.
    pairs = Pairs(ours=[10, 40, 12], theirs=[10, 20, 4])

    assert pairs.ratio == (2.0, 1.0, 3.0)


def test_pairs_show_both_sides_in_absolute_numbers() -> None:
    assert Pairs([5930.4, 6000], [4030, 4000]).sides("jobs/s") == "5,965 ÷ 4,015 jobs/s"
    assert Pairs([0.361], [0.25]).sides("ms", 3) == "0.361 ÷ 0.250 ms"


def test_a_spread_is_the_median_and_the_range() -> None:
    assert spread([3.0, 1.0, 2.0]) == (2.0, 1.0, 3.0)


def test_a_quantile_is_one_of_the_numbers_measured() -> None:
    hundred = [float(number) for number in range(100)]

    assert quantile(hundred, 0.99) == 99.0
    assert quantile(hundred, 0.5) == 50.0
    assert quantile([7.0], 0.99) == 7.0


def test_a_figure_prints_its_one_line() -> None:
    assert FIGURE.line == (
        "B2 full cycle / beanstalkd fsync-each = 1.52x (1.44..1.61) target >= 1.5 reached"
    )


def test_a_figure_short_of_its_target_is_missed_in_either_direction() -> None:
    assert FIGURE._replace(value=1.49).line.endswith("target >= 1.5 missed")
    assert FIGURE._replace(target=Target("<=", 1.2)).line.endswith("target <= 1.2 missed")
    assert FIGURE._replace(target=Target("<=", 20.0)).line.endswith("target <= 20 reached")


def test_a_bench_that_was_not_run_is_never_a_pass() -> None:
    row = NotRun("B2", "full cycle / beanstalkd", Target(">=", 1.5), "it is not installed")

    assert not row.is_reached
    assert row.line == ("B2 full cycle / beanstalkd = not run (it is not installed) target >= 1.5")


def test_the_table_is_replaced_between_its_marks_and_nothing_else_changes() -> None:
    page = f"# Benchmarks\n\n{BEGIN}\n\nold figures\n\n{END}\n\nHow it is measured.\n"

    page = replaced(page, table([FIGURE]), "Measured today.")

    assert page.startswith("# Benchmarks\n")
    assert page.endswith("How it is measured.\n")
    assert "old figures" not in page
    assert "| B2 | full cycle / beanstalkd fsync-each | 1.52x (1.44..1.61) |" in page
    assert replaced(page, table([FIGURE]), "Measured today.") == page


def test_a_page_without_its_marks_is_refused() -> None:
    with pytest.raises(ValueError, match="marks"):
        replaced("# Benchmarks\n", "| |", "Measured today.")


@pytest.mark.parametrize("piece_bytes", [1, 2, 5, 17, 1000])
@pytest.mark.parametrize(
    ("raw", "answer"),
    [
        (ANSWER, Response(200, b"{}")),
        (b"HTTP/1.1 204 No Content\r\ndate: today\r\n\r\n", Response(204, b"")),
        (CHUNKED, Response(200, b"data: adata: b")),
    ],
    ids=["by length", "without a body", "in chunks"],
)
def test_an_answer_is_read_however_it_is_cut(
    raw: bytes, answer: Response, piece_bytes: int
) -> None:
    parser = ResponseParser()

    pieces = [raw[start : start + piece_bytes] for start in range(0, len(raw), piece_bytes)]
    answers = [parser.feed(piece) for piece in pieces]

    assert answers[-1] == answer
    assert answers[:-1] == [None] * (len(pieces) - 1)


def test_a_connection_is_read_answer_by_answer() -> None:
    parser = ResponseParser()

    assert parser.feed(CHUNKED) == Response(200, b"data: adata: b")
    assert parser.feed(ANSWER) == Response(200, b"{}")
    assert parser.feed(ANSWER) == Response(200, b"{}")


def test_each_chunk_is_shown_the_moment_it_is_whole() -> None:
    parser, seen = ResponseParser(), []
    parser.on_piece = seen.append

    parser.feed(CHUNKED[: CHUNKED.index(b"data: b")])

    assert seen == [b"data: a"]


def test_bytes_that_belong_to_no_answer_are_refused() -> None:
    with pytest.raises(ValueError, match="behind the answer"):
        ResponseParser().feed(ANSWER + b"more")
    with pytest.raises(ValueError, match="Not an answer"):
        ResponseParser().feed(b"SSH-2.0-x\r\n\r\n")
    with pytest.raises(ValueError, match="neither a length nor chunks"):
        ResponseParser().feed(b"HTTP/1.1 200 OK\r\n\r\n")
