"""What the workers' pages offer: read from their own words, and joined."""

from typing import Any

import pytest

from broker.ids import WorkerId
from broker.jobs import JobKind
from broker.offers import Offers, offers_of
from broker.workers import Hello, Roster, Worker
from tests.support.builders import NOW


def worker(capabilities: Any = None, name: str = "wrk_1") -> Worker:
    roster = Roster()
    if capabilities is None:
        return roster.see(WorkerId(name), [JobKind.VIDEO], NOW)
    hello = Hello("desk", "1", [JobKind.VIDEO], capabilities=capabilities)
    return roster.greet(WorkerId(name), hello, NOW)


def offered(**capabilities: Any) -> Offers:
    return offers_of([worker(capabilities)])


def test_without_workers_nothing_is_known() -> None:
    assert offers_of([]) == Offers()


def test_a_worker_that_says_nothing_makes_nothing_known() -> None:
    assert offers_of([worker()]) == Offers()
    assert offers_of([worker({})]) == Offers()


def test_the_words_of_the_protocol_are_read() -> None:
    offers = offered(
        durations=[6, 10],
        resolutions=["480p", "720p"],
        aspects=["16:9", "9:16"],
        operations=["remix", "extend"],
        max_images=8,
        models=["Grok 4", "Aurora"],
    )

    assert offers == Offers(
        frozenset({6, 10}),
        frozenset({"480p", "720p"}),
        frozenset({"16:9", "9:16"}),
        frozenset({"remix", "extend"}),
        8,
        frozenset({"Grok 4", "Aurora"}),
    )


def test_a_pages_labels_are_read_under_the_words_of_older_workers() -> None:
    offers = offered(
        duration=["6s", "10 Sek.", "Length: 15 seconds"],
        resolution=["480p", "720p HD", 1080],
        aspect=["16:9 Wide", "Portrait 2 : 3", "19.5x9"],
    )

    assert offers.durations == {6, 10, 15}
    assert offers.resolutions == {"480p", "720p", "1080p"}
    assert offers.aspects == {"16:9", "2:3", "19.5:9"}


def test_numbers_are_read_as_numbers_and_as_texts() -> None:
    assert offered(durations=[6.0, "10", "15s"]).durations == {6, 10, 15}


def test_a_page_that_can_do_nothing_with_a_film_says_so_by_an_empty_list() -> None:
    assert offered(operations=[]).operations == frozenset()
    assert offered().operations is None


@pytest.mark.parametrize(
    "said",
    [None, "6s", 6, {"a": 1}, [], [None, True, {}, [6]], ["a few"], [-1, 0, 1e300, float("nan")]],
)
def test_what_is_not_understood_is_not_known(said: Any) -> None:
    offers = offered(durations=said, resolutions=said, aspects=said)

    assert offers == Offers()


@pytest.mark.parametrize("said", [None, "8", 8.0, True, -1, [8]])
def test_a_count_of_images_is_a_whole_number(said: Any) -> None:
    assert offered(max_images=said).max_images is None


def test_a_long_list_is_read_in_part() -> None:
    assert len(offered(models=[f"m{number}" for number in range(10_000)]).models or ()) == 100


def test_what_one_worker_offers_can_be_had() -> None:
    one = worker({"durations": [6], "operations": ["edit"], "max_images": 1})
    other = worker({"durations": [6, 10], "operations": [], "max_images": 8})

    offers = offers_of([one, other])

    assert offers.durations == {6, 10}
    assert offers.operations == {"edit"}
    assert offers.max_images == 8


def test_where_one_worker_does_not_say_anything_may_be_asked_for() -> None:
    one, other = worker({"durations": [6], "max_images": 1}), worker({"aspects": ["1:1"]})

    assert offers_of([one, other]) == Offers()
