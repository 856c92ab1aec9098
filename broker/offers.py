"""What the pages of the workers offer, read from what each said of itself. Pure: words in, sets out.

A page's labels are people's language ("6s", "720p", "16:9 Wide"), so numbers are picked out of them. What is not
understood is not there.
"""

import re
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple, TypeVar

from broker.workers import Worker

T = TypeVar("T")

#: Of one list a worker sends; no page has as many choices.
MAX_WORDS = 100
_NUMBER = re.compile(r"\d{1,4}", re.ASCII)
_ASPECT = re.compile(r"(\d{1,4}(?:\.\d)?)\s*[:x×]\s*(\d{1,4}(?:\.\d)?)", re.ASCII)


class Offers(NamedTuple):
    """What can be had now. None is: not known, so anything may be asked for."""

    #: Seconds.
    durations: frozenset[int] | None = None
    #: Such as `720p`.
    resolutions: frozenset[str] | None = None
    #: Such as `16:9`.
    aspects: frozenset[str] | None = None
    #: What can be done with a film that is there: `edit`, `extend`, `remix`. Empty where nothing can.
    operations: frozenset[str] | None = None
    #: How many images may come with a prompt.
    max_images: int | None = None
    #: By the names that the page shows.
    models: frozenset[str] | None = None


def offers_of(workers: Iterable[Worker]) -> Offers:
    """What at least one of these workers offers. Where one of them does not say, anything is possible."""
    each = [_offers(worker) for worker in workers]
    most = [offer.max_images for offer in each if offer.max_images is not None]
    return Offers(
        _union([offer.durations for offer in each]),
        _union([offer.resolutions for offer in each]),
        _union([offer.aspects for offer in each]),
        _union([offer.operations for offer in each]),
        max(most) if most and len(most) == len(each) else None,
        _union([offer.models for offer in each]),
    )


def _offers(worker: Worker) -> Offers:
    said = worker.hello.capabilities if worker.hello else {}
    operations = said.get("operations")
    return Offers(
        _read(said.get("durations", said.get("duration")), _seconds),
        _read(said.get("resolutions", said.get("resolution")), _resolution),
        _read(said.get("aspects", said.get("aspect")), _aspect),
        # Said to be none is not unsaid: a page either can do it or cannot.
        frozenset() if operations == [] else _read(operations, _word),
        _count(said.get("max_images")),
        _read(said.get("models"), _word),
    )


def _union(each: list[frozenset[T] | None]) -> frozenset[T] | None:
    known = [words for words in each if words is not None]
    return frozenset().union(*known) if known and len(known) == len(each) else None


def _read(said: Any, understood: Callable[[Any], T | None]) -> frozenset[T] | None:
    if not isinstance(said, list):
        return None
    found = {understood(word) for word in said[:MAX_WORDS]}
    return frozenset(word for word in found if word is not None) or None


def _seconds(word: Any) -> int | None:
    number = _number(word)
    return number if number and number <= 600 else None


def _resolution(word: Any) -> str | None:
    number = _number(word)
    return f"{number}p" if number and number >= 100 else None


def _number(word: Any) -> int | None:
    if isinstance(word, str):
        match = _NUMBER.search(word)
        return int(match[0]) if match else None
    is_number = isinstance(word, int | float) and not isinstance(word, bool)
    return round(word) if is_number and 0 < word < 10_000 else None


def _aspect(word: Any) -> str | None:
    match = _ASPECT.search(word) if isinstance(word, str) else None
    return f"{match[1]}:{match[2]}" if match else None


def _word(word: Any) -> str | None:
    return word.strip() or None if isinstance(word, str) and len(word) <= 200 else None


def _count(said: Any) -> int | None:
    is_count = isinstance(said, int) and not isinstance(said, bool) and said >= 0
    return said if is_count else None
