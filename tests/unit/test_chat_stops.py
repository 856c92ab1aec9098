"""An answer is cut at its first stop, in whatever pieces it comes."""

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker.api.openai.chat.stops import StopCutter, cut

LETTERS = st.text("ab<", max_size=12)
STOPS = st.lists(st.text("ab<", min_size=1, max_size=4), max_size=4)


def told(pieces: Sequence[str], stops: Sequence[str]) -> list[str]:
    """What is told after each piece, and at the end."""
    cutter = StopCutter(stops)
    return [*(cutter.feed(piece) for piece in pieces), cutter.rest()]


@pytest.mark.parametrize(
    ("text", "stops", "left"),
    [
        ("one two", [], ("one two", False)),
        ("one two", ["x"], ("one two", False)),
        ("one two three", ["two"], ("one ", True)),
        ("one two two", ["two"], ("one ", True)),
        ("stop at once", ["stop"], ("", True)),
        ("abc", ["c", "b"], ("a", True)),
        ("one tw", ["two"], ("one tw", False)),
    ],
)
def test_a_text_goes_up_to_the_first_stop(
    text: str, stops: Sequence[str], left: tuple[str, bool]
) -> None:
    assert cut(text, stops) == left


def test_of_two_stops_that_overlap_the_one_that_is_whole_first_counts() -> None:
    assert cut("abcX", ["abcX", "bc"]) == ("a", True)


def test_what_may_be_the_beginning_of_a_stop_is_held_back() -> None:
    assert told(["one <", "en", "d> two"], ["<end>"]) == ["one ", "", "", ""]
    assert told(["one <", "em>", " two"], ["<end>"]) == ["one ", "<em>", " two", ""]
    assert told(["one <", "en"], ["<end>"]) == ["one ", "", "<en"]


def test_nothing_follows_a_stop() -> None:
    assert told(["one.", " two", " three."], ["."]) == ["one", "", "", ""]


@given(st.lists(LETTERS, max_size=8), STOPS)
def test_the_pieces_make_no_difference(pieces: list[str], stops: list[str]) -> None:
    assert "".join(told(pieces, stops)) == cut("".join(pieces), stops)[0]


@given(st.lists(LETTERS, max_size=8), STOPS)
def test_no_stop_is_ever_told(pieces: list[str], stops: list[str]) -> None:
    text = "".join(told(pieces, stops))

    assert not any(stop in text for stop in stops)
