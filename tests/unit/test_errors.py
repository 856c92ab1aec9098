"""The error tree: as drawn, each with a code, each with a status where it meets HTTP."""

from collections.abc import Callable

import pytest

from broker import errors
from broker.api.errors import JOB_KINDS, KINDS, problem, problem_of, problem_of_job
from broker.errors import (
    BrokerError,
    ChunkGap,
    LeaseLost,
    LimitReached,
    ResultRejected,
    StartRefused,
)


def all_errors(above: type[BrokerError] = BrokerError) -> list[type[BrokerError]]:
    return [above, *(each for below in above.__subclasses__() for each in all_errors(below))]


FOR_CALLERS = [each for each in all_errors() if not issubclass(each, StartRefused)]


def an_error(kind: type[BrokerError]) -> BrokerError:
    made: dict[type[BrokerError], Callable[[], BrokerError]] = {
        ChunkGap: lambda: ChunkGap(3),
        LimitReached: lambda: LimitReached("Enough for now.", 2.5),
        ResultRejected: lambda: ResultRejected("not_mp4", "No."),
    }
    return made[kind]() if kind in made else kind()


def drawn() -> dict[str, str]:
    """Each name in the drawing and the name that it hangs from."""
    above: list[str] = []
    tree: dict[str, str] = {}
    for line in (errors.__doc__ or "").splitlines():
        branch, _, rest = line.rpartition("── ")
        if not branch and line != "BrokerError":
            continue
        name = (rest or line).split()[0]
        depth = (len(branch) + 3) // 4
        above[depth:] = [name]
        tree[name] = above[depth - 1] if depth else ""
    return tree


def test_the_tree_is_as_it_is_drawn() -> None:
    actual = {each.__name__: each.__bases__[0].__name__ for each in all_errors()}

    assert drawn() == actual | {"BrokerError": ""}


def test_every_error_has_a_code_of_its_own() -> None:
    codes = [each.code for each in all_errors()]

    assert len(set(codes)) == len(codes)
    assert all(code.replace("_", "").isalpha() and code.islower() for code in codes)


@pytest.mark.parametrize("kind", all_errors())
def test_every_error_says_something(kind: type[BrokerError]) -> None:
    error = an_error(kind)

    assert len(error.message) > 2
    assert str(error) == error.message


def test_a_message_of_its_own_takes_the_place_of_the_usual_one() -> None:
    assert LeaseLost("It is over.").message == "It is over."
    assert LeaseLost("No.", param="lease_token").param == "lease_token"


@pytest.mark.parametrize("kind", FOR_CALLERS)
def test_every_error_that_a_caller_can_meet_has_a_status_and_keeps_its_code(
    kind: type[BrokerError],
) -> None:
    told = problem_of(an_error(kind))

    assert told.status >= 400
    assert told.code == kind.code
    assert told.body["error"]["code"] == kind.code
    assert told.body["detail"] == told.body["error"]["message"]
    assert set(told.body["error"]) >= {"message", "type", "param", "code"}


@pytest.mark.parametrize("kind", [each for each in FOR_CALLERS if each.can_retry])
def test_what_helps_to_repeat_says_when(kind: type[BrokerError]) -> None:
    told = problem_of(an_error(kind))

    assert told.status in (429, 503, 507)
    assert int(dict(told.headers)[b"retry-after"]) > 0


def test_a_conflict_tells_clients_not_to_repeat_it() -> None:
    for kind in FOR_CALLERS:
        told = problem_of(an_error(kind))
        if told.status == 409:
            assert dict(told.headers)[b"x-should-retry"] == b"false"


def test_an_error_carries_what_its_receiver_needs() -> None:
    assert problem_of(ChunkGap(3)).body["error"]["expected_seq"] == 3
    assert problem_of(ResultRejected("not_mp4", "No.")).body["error"]["gate_class"] == "not_mp4"


def test_a_limit_says_when_it_is_over_and_no_sdk_waits_for_hours() -> None:
    soon, tomorrow = (problem_of(LimitReached("No.", wait)) for wait in (2.5, 40_000.0))

    assert (soon.status, dict(soon.headers)[b"retry-after"]) == (429, b"3")
    assert (b"x-should-retry", b"false") not in soon.headers
    assert (b"x-should-retry", b"false") in tomorrow.headers


def test_a_refused_field_has_the_status_that_its_route_promises() -> None:
    refused = errors.InvalidValue("No.", param="prompt")

    assert problem_of(refused).status == 400
    assert problem_of(refused, invalid_status=422).status == 422
    assert problem_of(LeaseLost(), invalid_status=422).status == 409


def test_every_way_of_not_starting_has_its_own_exit_status() -> None:
    codes = [each.exit_code for each in all_errors(StartRefused)]  # type: ignore[attr-defined]

    assert len(set(codes)) == len(codes)
    assert 0 not in codes


def test_a_failed_job_is_told_in_words_that_clients_know() -> None:
    limited = problem_of_job("rate_limited", "Later.", 90.4)
    late = problem_of_job("client_wait_over", "Too late.")
    unknown = problem_of_job("ui_changed", "Lost its way.")

    assert (limited.status, limited.code) == (429, "rate_limit_exceeded")
    assert dict(limited.headers) == {
        b"retry-after": b"60",
        b"x-ratelimit-remaining-requests": b"0",
        b"x-ratelimit-reset-requests": b"90s",
        b"x-should-retry": b"false",
    }
    assert (b"x-should-retry", b"false") not in problem_of_job("rate_limited", "", 30.0).headers
    assert (late.status, late.code) == (504, "timeout")
    assert (unknown.status, unknown.code) == (502, "ui_changed")


def test_each_code_stands_for_one_answer() -> None:
    assert all(problem(code, "x").status == kind.status for code, kind in KINDS.items())
    assert all(problem_of_job(code, "x").status == kind.status for code, kind in JOB_KINDS.items())
